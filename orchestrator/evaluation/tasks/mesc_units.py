"""MESC's units and their floors.

A turn is what one speaker says before the other does; its label is the most frequent one of its
utterances. Paper 2's released code has it so, and asks for one prediction a therapist's turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.label_tables import Labels
from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.taxonomy import MESC_10
from affectgraph.reasoners.training.mesc_dialogues import strategy_named

NEUTRAL: Final = MESC_7.labels.index("neutral")


def strategies(rows: Iterable[mesc.Utterance]) -> Labels:
    """Indices into MESC_10's labels, shape (n,); for the therapist's rows.

    Raises:
        SetupError: If a row has no strategy, or one that is not among the ten.
    """
    try:
        told = [MESC_10.labels.index(strategy_named(row.strategy)) for row in rows]
    except ValueError as error:
        raise SetupError(f"MESC: a row's strategy is none of the ten: {error}") from None
    return np.array(told, np.int64)


def dialogues(rows: Iterable[mesc.Utterance]) -> NDArray[np.int64]:
    """Number of each row's dialogue, shape (n,)."""
    return np.array([row.dialogue for row in rows], np.int64)


@dataclass(frozen=True)
class Side:
    """One speaker's labels in both units.

    Attributes:
        speaker: Whose.
        strategy: Whether the strategy is meant, and not the emotion.
    """

    speaker: mesc.Speaker
    strategy: bool = False

    def labels(self, rows: Iterable[mesc.Utterance]) -> Labels:
        """Index of each row's label, shape (n,)."""
        return strategies(rows) if self.strategy else mesc.emotions(rows)

    def units(self, sessions: mesc.Sessions) -> tuple[Labels, NDArray[np.int64]]:
        """Labels and dialogues of this speaker's rows."""
        rows = sessions.of(self.speaker)
        return self.labels(rows), dialogues(rows)

    def blind(self, train: mesc.Sessions, n: int, seed: int) -> dict[str, Labels]:
        """What is told without looking: the commonest label, and one drawn by its share."""
        known, _ = self.units(train)
        most = floors.majority(known, n)
        name = (MESC_10 if self.strategy else MESC_7).labels[int(most[0])]
        return {f"majority (always {name})": most, "random": floors.random(known, n, seed)}

    def first(self, train: mesc.Sessions) -> int:
        """What persistence tells of the first unit of a dialogue."""
        return (
            int(floors.majority(self.labels(train.of(self.speaker)), 1)[0])
            if (self.strategy)
            else NEUTRAL
        )

    def last_utterance(self, train: mesc.Sessions, test: mesc.Sessions) -> Labels:
        """For each turn the gold label of the speaker's last utterance before it.

        Args:
            train: Training turns.
            test: Utterances (not turns).
        """
        truth, of = self.units(test)
        told = floors.persistence(truth, of, self.first(train))
        begins = [
            before is None or (before.speaker, before.dialogue) != (row.speaker, row.dialogue)
            for before, row in zip((None, *test.rows), test.rows, strict=False)
        ]
        mine = [row.speaker == self.speaker for row in test.rows]
        return np.asarray(told[np.array(begins)[mine]], np.int64)
