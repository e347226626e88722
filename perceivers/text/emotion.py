"""Affect from words: 28 labels with calibrated probabilities, and valence, arousal, dominance."""

from __future__ import annotations

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
from affectgraph.perceivers.text.encoder import VERSION, Encoding, MiniLMEncoder
from affectgraph.perceivers.text.language import sentences, unreadable
from affectgraph.perceivers.text.network import Span
from affectgraph.perceivers.text.scale import FACTS, VADScale
from affectgraph.perceivers.turn import Turn

_WHY: Final = {
    "absent": "no words in this turn",
    "unsupported-language": "the words do not look like English, which is all that can be read",
}


class TextEmotion:
    """Reads affect from English words, on the encoding that the memory uses too.

    The distribution is over GoEmotions' 28 labels. Valence, arousal and dominance are measured:
    they come from a head of their own, trained on EmoBank, and are told on the scale of the
    anchors (:class:`~affectgraph.perceivers.text.scale.VADScale`). Of a text that is longer than
    the encoder takes, the windows are read one by one and averaged by their length. The evidence
    is the sentence that by itself speaks most for the top emotion of Ekman's seven, with the
    probability of that emotion in it as score.

    Args:
        encoder: The encoder to share.
        facts: What the trainer fitted beside the encoder's weights; of the package by default.
    """

    def __init__(self, encoder: MiniLMEncoder, *, facts: Path = FACTS) -> None:
        self._encoder = encoder
        self._facts = facts
        self._scale: VADScale | None = None
        self._pool = BlockingPool()

    @property
    def modality(self) -> Modality:
        """``text``."""
        return "text"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The encoder's model."""
        return models_of(self._encoder)

    async def warm_up(self) -> None:
        """Load the encoder and the scale; a second call does nothing.

        Raises:
            SetupError: If the weights cannot be used.
        """
        await self._encoder.warm_up()
        await self._told()

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
        scale = await self._told()
        windows = await self._encoder.windows(text)
        read = await self._encode(text, windows, keep=True)
        lengths = np.array([end - start for start, end in windows], float)
        share = lengths / lengths.sum()
        probs = np.stack([encoding.probs for encoding in read])
        distribution = _distribution(share @ probs)
        top = distribution.to(EKMAN_7).top
        speaking = windows[int(np.argmax(_carried(probs, top)))]
        affect = Affect.read(
            distribution,
            captured_at,
            evidence=(await self._evidence(text, speaking, top),),
            vad=scale.told(share @ np.stack([encoding.vad for encoding in read])),
        )
        return Reading(modality="text", affect=affect, covers=len(text), model=VERSION)

    async def _told(self) -> VADScale:
        if self._scale is None:
            self._scale = await self._pool.run(lambda: VADScale.load(self._facts))
        return self._scale

    async def _evidence(self, text: str, window: Span, top: str) -> Evidence:
        """The sentence of a window that speaks most for an emotion."""
        start, end = window
        found = [(start + a, start + b) for a, b in sentences(text[start:end])] or [window]
        read = await self._encode(text, found, keep=False)
        carried = _carried(np.stack([encoding.probs for encoding in read]), top)
        best = int(np.argmax(carried))
        return Evidence(
            kind="span", start=found[best][0], end=found[best][1], score=float(carried[best])
        )

    async def _encode(self, text: str, spans: Sequence[Span], *, keep: bool) -> list[Encoding]:
        return await self._encoder.encode_all([text[a:b] for a, b in spans], keep=keep)


def _distribution(probs: NDArray[np.float64]) -> Distribution:
    return Distribution.over(
        GOEMOTIONS_28, dict(zip(GOEMOTIONS_28.labels, probs.tolist(), strict=True))
    )


def _carried(probs: NDArray[np.float32], emotion: str) -> NDArray[np.float64]:
    """How much of each row lies on one of Ekman's seven, shape (n,), in [0, 1]."""
    return np.array(
        [min(1.0, _distribution(row.astype(float)).to(EKMAN_7)[emotion]) for row in probs]
    )
