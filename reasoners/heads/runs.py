"""What a trained head told of every unit of a test split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import SetupError

HeadTask = Literal["user_emotion", "strategy"]
Protocol = Literal["gold", "free"]
"""Whether the history holds the corpus's labels, or nothing but the system's own."""
Unit = Literal["turn", "utterance"]
Test = Literal["official", "episodes"]
"""The corpus's own test split, or dialogues of episodes that training has not seen."""

_TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class HeadRun:
    """The distributions of one system over the units of one test split.

    Attributes:
        task: Which label.
        protocol: What the history holds.
        unit: What is counted: merged turns, or utterances.
        name: The row's name.
        kind: ``ours``, or an ``ablation`` of it.
        split: Which test set.
        probs: Shape (n, k), each row summing to 1, in the order of the corpus's units.
        truth: Index of the corpus's label, shape (n,).
        groups: The dialogue of each unit, shape (n,).
        seeds: The same as ``probs`` for each seed that was averaged.
        note: What a reader of the row must know.

    Raises:
        SetupError: If the shapes do not agree, or a row is no distribution.
    """

    task: HeadTask
    protocol: Protocol
    unit: Unit
    name: str
    kind: Literal["ours", "ablation"]
    split: Test
    probs: NDArray[np.floating[Any]]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    seeds: tuple[NDArray[np.floating[Any]], ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        """Check the shapes."""
        count, labels = self.probs.shape
        if self.truth.shape != (count,) or self.groups.shape != (count,):
            raise SetupError(f"head run {self.name!r}: truth and groups want shape ({count},)")
        for told in (self.probs, *self.seeds):
            if told.shape != (count, labels):
                raise SetupError(f"head run {self.name!r}: seeds want shape ({count}, {labels})")
            if count and abs(told.sum(axis=1) - 1).max() > _TOLERANCE:
                raise SetupError(
                    f"head run {self.name!r}: a row of probabilities does not sum to 1"
                )
