"""MESC's units, their floors and their published rows.

A turn is what one speaker says before the other does; its label is the most frequent one of its
utterances. Paper 2's released code has it so, and asks for one prediction a therapist's turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.label_tables import Labels
from affectgraph.orchestrator.evaluation.result import Row
from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.taxonomy import MESC_10

NEUTRAL: Final = MESC_7.labels.index("neutral")
_SPELLED: Final[Mapping[str, int]] = MappingProxyType(
    {label.casefold(): index for index, label in enumerate(MESC_10.labels)}
    | {"open question": MESC_10.labels.index("Open questions")}
)


def strategies(rows: Iterable[mesc.Utterance]) -> Labels:
    """Indices into MESC_10's labels, shape (n,); for the therapist's rows.

    Raises:
        SetupError: If a row has no strategy, or one that is not among the ten.
    """
    told = []
    for row in rows:
        index = _SPELLED.get(row.strategy.casefold())
        if index is None:
            raise SetupError(f"MESC: dialogue {row.dialogue} has a strategy that is not of the ten")
        told.append(index)
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


_SOURCE_1: Final = "paper 1, Table IV: units and history unsaid"
_SOURCE_2: Final = "paper 2, Table 4: merged turns, gold labels in the history"

_ROWS: Final[tuple[tuple[str, str, Mapping[str, tuple[float, ...]]], ...]] = (
    ("DialogueGCN", _SOURCE_1, {"emotion": (46.27, 50.61)}),
    ("MMGCN", _SOURCE_1, {"emotion": (55.8, 57.58)}),
    ("MMDFN", _SOURCE_1, {"emotion": (58.13, 55.86)}),
    ("BlenderBot-Joint", _SOURCE_1, {"strategy": (48.0, 46.1), "response": (4.85, 15.25, 85.5)}),
    ("BBMHR", _SOURCE_1, {"response": (1.31, 15.38, 86.6)}),
    (
        "GPT-4", _SOURCE_1,
        {"emotion": (15.73, 15.80), "strategy": (9.73, 11.25), "tone": (14.04, 14.09),
         "response": (4.98, 9.96, 84.6)},
    ),
    (
        "SMES", _SOURCE_1,
        {"emotion": (54.6, 46.8), "strategy": (49.0, 20.2), "tone": (96.1, 64.0),
         "response": (37.89, 41.99, 90.2)},
    ),
    ("SMES, as paper 2 has its responses", _SOURCE_2, {"response": (5.13, 15.42, 86.80)}),
    (
        "GPT-4o, text", _SOURCE_2,
        {"emotion": (38.98, 43.56), "strategy": (24.88, 26.26), "tone": (72.46, 83.60),
         "response": (2.30, 9.20, 84.31)},
    ),
    (
        "Qwen2.5-7B, SFT", _SOURCE_2,
        {"emotion": (53.00, 51.13), "strategy": (35.14, 34.46), "tone": (98.63, 98.80),
         "response": (4.68, 13.81, 85.52)},
    ),
    (
        "Qwen2-0.5B, SFT + PPO", _SOURCE_2,
        {"emotion": (44.27, 44.99), "strategy": (36.34, 33.01), "tone": (99.33, 99.00),
         "response": (4.40, 12.31, 85.36)},
    ),
    (
        "MultiMood, SFT", _SOURCE_2,
        {"emotion": (56.38, 55.81), "strategy": (36.78, 34.32), "tone": (99.11, 99.11),
         "response": (4.58, 13.47, 85.71)},
    ),
    (
        "MultiMood, SFT + GRPO", _SOURCE_2,
        {"emotion": (58.60, 57.78), "strategy": (42.81, 39.65), "tone": (99.33, 99.00),
         "response": (6.18, 17.86, 86.80)},
    ),
)  # fmt: skip
"""Percent. Labels: accuracy, weighted F1. Responses: BLEU-2, ROUGE-L, BERTScore."""


def published(task: str) -> tuple[Row, ...]:
    """Published rows of ``emotion``, ``strategy`` or ``tone`` (the therapist's emotion)."""
    return tuple(
        Row.published(
            name, source, accuracy=round(told[task][0] / 100, 4),
            weighted_f1=round(told[task][1] / 100, 4),
        )
        for name, source, told in _ROWS
        if task in told
    )  # fmt: skip


def published_responses(bleu: str) -> tuple[Row, ...]:
    """Published rows of responses, percent.

    Args:
        bleu: Name of the column of paper 2's "BLEU-2"; paper 1 does not say how it counts.
    """
    return tuple(
        Row.published(
            name,
            source,
            **{
                (bleu if source == _SOURCE_2 else "bleu-2"): told["response"][0],
                "rouge-l": told["response"][1],
                "bertscore": told["response"][2],
            },
        )
        for name, source, told in _ROWS
        if "response" in told
    )
