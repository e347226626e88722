"""What the strategy head sees of a conversation: its lines, and which strategies were used when.

The same code serves the agent, the trainer and the evaluation, so that all three see alike.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.reasoners.tables import asks_for_advice
from affectgraph.reasoners.taxonomy import ESCONV_8

Floats = NDArray[np.float32]
Role = Literal["seeker", "supporter"]

ROLES: Final[tuple[Role, ...]] = ("seeker", "supporter")
STRATEGY_COUNT: Final = len(ESCONV_8)
ENCODED: Final = 768
"""Numbers of a line that are projected: the encoder's features."""
DENSE: Final = 28 + 3 + 7
"""Numbers of a line that are taken as they are: emotions, valence and the like, surface."""
LATEST: Final = 3
"""How many of the latest strategies are told one by one."""
HISTORY: Final = (LATEST + 2) * STRATEGY_COUNT + 6

_FAREWELL: Final = re.compile(r"\b(thanks?|bye|welcome|good (luck|night|day))\b", re.IGNORECASE)
_GREETING: Final = re.compile(r"\b(hi|hello|hey)\b", re.IGNORECASE)
_NEVER: Final = 30.0
_RUN: Final = 5
_MIDDLE: Final = 3.0  # of EmoBank's scale, 1 to 5


@dataclass(frozen=True)
class LineVector:
    """One line of a conversation in numbers.

    Attributes:
        encoded: The encoder's features, float32, shape (768,).
        dense: The square roots of the probabilities of GoEmotions' 28 labels; valence, arousal
            and dominance about the middle of their scale; length and marks. float32, shape (38,).
    """

    encoded: Floats
    dense: Floats


def line_vector(text: str, encoding: Encoding) -> LineVector:
    """Put a line into numbers.

    Args:
        text: The line.
        encoding: What the shared encoder says of it.
    """
    marks = (
        math.log1p(len(text.split())) / 3,
        "?" in text,
        text.rstrip().endswith("?"),
        "!" in text,
        asks_for_advice(text),
        _FAREWELL.search(text) is not None,
        _GREETING.search(text) is not None,
    )
    dense = np.concatenate(
        [np.sqrt(encoding.probs), encoding.vad - _MIDDLE, np.array(marks, np.float32)]
    )
    return LineVector(encoding.features.astype(np.float32), dense.astype(np.float32))


class StrategyHistory:
    """Which strategies were used, how often and how long ago, and whose turn it was."""

    def __init__(self) -> None:
        self._latest: list[int] = []
        self._counts = np.zeros(STRATEGY_COUNT, np.float32)
        self._since = np.full(STRATEGY_COUNT, _NEVER, np.float32)
        self._role: Role | None = None
        self._run = 0
        self._lines = 0
        self._supported = 0

    def vector(self) -> Floats:
        """What came before the line that is to be said, float32, shape (46,).

        The latest three strategies (one-hot, the last first; all 0 where there is none), the
        logarithm of each strategy's count, exp(-lines of the supporter since it / 4), and where
        the conversation stands: how many lines in a row came from whom, and how many there were.
        """
        latest = np.zeros((LATEST, STRATEGY_COUNT), np.float32)
        for back, strategy in enumerate(self._latest[: -LATEST - 1 : -1]):
            latest[back, strategy] = 1
        run = min(self._run, _RUN) / _RUN
        supporting, seeking = self._role == "supporter", self._role == "seeker"
        place = (
            run if supporting else 0.0,
            supporting,
            seeking,
            math.log1p(self._lines) / 3,
            math.log1p(self._supported) / 3,
            run if seeking else 0.0,
        )
        return np.concatenate(
            [
                latest.ravel(),
                np.log1p(self._counts),
                np.exp(-self._since / 4),
                np.array(place, np.float32),
            ]
        ).astype(np.float32)

    def tell(self, role: Role, strategy: int | None = None) -> None:
        """Add a line.

        Args:
            role: Whose.
            strategy: Index into ESConv's eight of a supporter's line; ``None`` if not known.
        """
        self._run = self._run + 1 if role == self._role else 1
        self._role = role
        self._lines += 1
        if role == "seeker":
            return
        self._supported += 1
        self._since += 1
        if strategy is not None:
            self._latest.append(strategy)
            self._counts[strategy] += 1
            self._since[strategy] = 0
