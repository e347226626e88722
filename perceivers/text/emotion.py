"""Emotion from words: 28 labels with calibrated probabilities."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Affect, Distribution, Evidence, Modality, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.text.encoder import MiniLMEncoder, Span
from affectgraph.perceivers.text.head import VERSION, WEIGHTS, EmotionHead, features
from affectgraph.perceivers.text.language import sentences, unreadable
from affectgraph.perceivers.turn import Turn

_WHY: Final = {
    "absent": "no words in this turn",
    "unsupported-language": "the words do not look like English, which is all that can be read",
}


class TextEmotion:
    """Reads emotion from English words, on the encoding that the memory uses too.

    The distribution is over GoEmotions' 28 labels. Of a text that is longer than the encoder
    takes, the windows are read one by one and averaged by their length. The evidence is the
    sentence that by itself speaks most for the top emotion of Ekman's seven, with the probability
    of that emotion in it as score.

    Args:
        encoder: The encoder to share.
        weights: The head's weights; those of the package by default.
    """

    def __init__(self, encoder: MiniLMEncoder, *, weights: Path = WEIGHTS) -> None:
        self._encoder = encoder
        self._weights = weights
        self._pool = BlockingPool(size=2)
        self._loading = threading.Lock()
        self._head: EmotionHead | None = None

    @property
    def modality(self) -> Modality:
        """``text``."""
        return "text"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The encoder's model and the head."""
        own = self._weights != WEIGHTS
        head = ModelUse(self._weights.name) if own else ModelUse(VERSION, "Apache-2.0")
        return (*models_of(self._encoder), head)

    async def warm_up(self) -> None:
        """Load the encoder and the head; a second call does nothing.

        Raises:
            ModelMissingError: If the encoder's model is not pulled.
            ModelCorruptError: If the head's weights cannot be used.
        """
        await self._encoder.warm_up()
        if self._head is None:
            await self._pool.run(self._load)

    async def perceive(self, turn: Turn) -> Reading:
        """Read what was typed in a turn."""
        return await self.read(turn.text, turn.at)

    async def read(self, text: str, captured_at: datetime) -> Reading:
        """Read any words of the person: typed, heard, or both.

        Args:
            text: The words.
            captured_at: When they were said (time zone aware).

        Returns:
            A reading that covers the whole text; an abstention for a text without words
            (``absent``) or in another language (``unsupported-language``).
        """
        reason = unreadable(text)
        if reason is not None:
            return Reading.abstain("text", reason, _WHY[reason])
        await self.warm_up()
        windows = await self._encoder.windows(text)
        probs = await self._probs(text, windows, keep=True)
        lengths = np.array([end - start for start, end in windows], float)
        mean = (probs * lengths[:, None]).sum(0) / lengths.sum()
        distribution = _distribution(mean)
        top = distribution.to(EKMAN_7).top
        speaking = windows[int(np.argmax(_carried(probs, top)))]
        evidence = await self._evidence(text, speaking, top)
        affect = Affect.read(distribution, captured_at, evidence=(evidence,))
        return Reading(modality="text", affect=affect, covers=len(text), model=VERSION)

    async def _evidence(self, text: str, window: Span, top: str) -> Evidence:
        """The sentence of a window that speaks most for an emotion."""
        start, end = window
        found = [(start + a, start + b) for a, b in sentences(text[start:end])] or [window]
        carried = _carried(await self._probs(text, found, keep=False), top)
        best = int(np.argmax(carried))
        return Evidence(
            kind="span", start=found[best][0], end=found[best][1], score=float(carried[best])
        )

    async def _probs(self, text: str, spans: Sequence[Span], *, keep: bool) -> NDArray[np.float64]:
        """Probabilities of stretches of a text, shape (n, 28)."""
        head = self._head
        assert head is not None
        encodings = await self._encoder.encode_all([text[a:b] for a, b in spans], keep=keep)
        return await self._pool.run(lambda: head.probs(features(encodings)))

    def _load(self) -> None:
        with self._loading:
            if self._head is None:
                self._head = EmotionHead.load(self._weights)


def _distribution(probs: NDArray[np.float64]) -> Distribution:
    return Distribution.over(
        GOEMOTIONS_28, dict(zip(GOEMOTIONS_28.labels, probs.tolist(), strict=True))
    )


def _carried(probs: NDArray[np.float64], emotion: str) -> NDArray[np.float64]:
    """How much of each row lies on one of Ekman's seven, shape (n,), in [0, 1]."""
    return np.array([min(1.0, _distribution(row).to(EKMAN_7)[emotion]) for row in probs])
