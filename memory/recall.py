"""How recall ranks what it found: by meaning, or by meaning and emotion."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from affectgraph.memory.record import Cue, MemoryRecord, Recollection
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EKMAN_7

MAX_SEMANTIC: Final = 0.65
"""Cosine distance beyond which a memory is taken for unrelated.

Read off all-MiniLM-L6-v2 on ESConv's validation dialogues, what a seeker says against the
description of a situation: 2 % of pairs with different problems lie within it, and 27 % of pairs
from one dialogue (many of those turns are small talk). Another encoder needs another number.
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that the store offers.

    Attributes:
        record: The record.
        semantic: Cosine distance of its text from the cue's, in [0, 2].
    """

    record: MemoryRecord
    semantic: float


@runtime_checkable
class RecallStrategy(Protocol):
    """Ranks candidates. A strategy holds no state, so that recall is repeatable."""

    def candidates(self, limit: int) -> int:
        """How many nearest records to fetch so that ``limit`` may be chosen of them."""
        ...

    def rank(self, cue: Cue, candidates: Sequence[Candidate]) -> list[Recollection]:
        """Choose at most ``cue.limit`` of the candidates, nearest first."""
        ...


@dataclass(frozen=True, slots=True)
class ByMeaning:
    """What is nearest in meaning; how the person felt then and feels now has no part.

    This is the default: recall by mood can feed brooding, and in published comparisons it has not
    helped on its own.

    Attributes:
        max_semantic: Cosine distance beyond which nothing is recalled, in (0, 2].
    """

    max_semantic: float = MAX_SEMANTIC

    def __post_init__(self) -> None:
        _check_cutoff(self.max_semantic)

    def candidates(self, limit: int) -> int:
        """As many as are wanted."""
        return limit

    def rank(self, cue: Cue, candidates: Sequence[Candidate]) -> list[Recollection]:
        """By cosine distance."""
        return _nearest(
            cue.limit,
            (
                Recollection(
                    record=each.record,
                    distance=each.semantic,
                    breakdown={"semantic": each.semantic},
                )
                for each in candidates
                if each.semantic <= self.max_semantic
            ),
        )


@dataclass(frozen=True, slots=True)
class ByMeaningAndEmotion:
    """What is near in meaning and was felt alike: Emotional RAG's sum of two distances.

    After Huang et al. (2024), *Emotional RAG*, the combination by addition (C-A),
    ``d = d_sem + w * d_emo``. There the emotional distance is a cosine over scores of 1 to 10,
    which is squeezed into a narrow band and hardly counts. Here both parts fill [0, 1] before they
    are added: the semantic one by its cut-off, the emotional one as Hellinger distance of the
    distributions over the seven basic emotions. The sum is divided by ``1 + w``.

    A record without affect, or a cue without, is ranked by meaning alone on the same scale, and
    its breakdown has no ``emotional`` part.

    Attributes:
        weight: ``w``, at least 0; with 0 the order is that of :class:`ByMeaning`.
        max_semantic: Cosine distance beyond which nothing is recalled, in (0, 2].
        pool: Nearest records in meaning, as a multiple of the limit, that are ranked again.
    """

    weight: float = 1.0
    max_semantic: float = MAX_SEMANTIC
    pool: int = 4

    def __post_init__(self) -> None:
        _check_cutoff(self.max_semantic)
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise BuildError(f"recall: weight must be finite and at least 0, is {self.weight}")
        if self.pool < 1:
            raise BuildError(f"recall: pool must be at least 1, is {self.pool}")

    def candidates(self, limit: int) -> int:
        """``pool`` times as many as are wanted."""
        return self.pool * limit

    def rank(self, cue: Cue, candidates: Sequence[Candidate]) -> list[Recollection]:
        """By the weighted mean of both distances, in [0, 1]."""
        return _nearest(
            cue.limit,
            (self._weigh(cue, each) for each in candidates if each.semantic <= self.max_semantic),
        )

    def _weigh(self, cue: Cue, candidate: Candidate) -> Recollection:
        meaning = candidate.semantic / self.max_semantic
        breakdown = {"semantic": candidate.semantic}
        if cue.affect is None or candidate.record.affect is None:
            return Recollection(record=candidate.record, distance=meaning, breakdown=breakdown)
        feeling = emotional_distance(cue.affect.distribution, candidate.record.affect.distribution)
        return Recollection(
            record=candidate.record,
            distance=(meaning + self.weight * feeling) / (1 + self.weight),
            breakdown=breakdown | {"emotional": feeling},
        )


def emotional_distance(one: Distribution, other: Distribution) -> float:
    """Hellinger distance of two distributions, told over the seven basic emotions.

    Returns:
        A number in [0, 1]: 0 for equal distributions, 1 for those that share no emotion.

    Raises:
        BuildError: If a label set has no declared mapping to Ekman-7.
    """
    pairs = zip(one.to(EKMAN_7).probs, other.to(EKMAN_7).probs, strict=True)
    # As a sum of squares: 1 minus the overlap loses half the digits where the two are close.
    squares = sum((math.sqrt(p) - math.sqrt(q)) ** 2 for p, q in pairs)
    return min(1.0, math.sqrt(squares / 2))


def _check_cutoff(max_semantic: float) -> None:
    if not 0 < max_semantic <= 2:
        raise BuildError(f"recall: max_semantic must be above 0 and at most 2, is {max_semantic}")


def _nearest(limit: int, recollections: Iterable[Recollection]) -> list[Recollection]:
    # The record's id settles ties, so that the same cue always recalls the same.
    return sorted(recollections, key=lambda each: (each.distance, each.record.id))[:limit]
