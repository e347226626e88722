"""The framework's own text reader, as the trainer of a corpus without emotion labels asks it."""

from __future__ import annotations

from collections.abc import Sequence

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28, MESC_7
from affectgraph.perceivers.text import MiniLMEncoder
from affectgraph.perceivers.text.language import unreadable

_BATCH = 64


class TextBeliefs:
    """Beliefs over MESC-7 for many texts."""

    def __init__(self) -> None:
        self._encoder = MiniLMEncoder()

    async def __call__(self, texts: Sequence[str]) -> list[Distribution | None]:
        """Read texts; ``None`` for one without words or in a language that cannot be read."""
        await self._encoder.warm_up()
        wanted = [at for at, text in enumerate(texts) if unreadable(text) is None]
        found: list[Distribution | None] = [None] * len(texts)
        # Of like length together: what is padded is paid for.
        wanted.sort(key=lambda at: len(texts[at]))
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            read = await self._encoder.encode_all([texts[at] for at in batch], keep=False)
            for at, encoding in zip(batch, read, strict=True):
                odds = dict(zip(GOEMOTIONS_28.labels, encoding.probs.tolist(), strict=True))
                found[at] = Distribution.over(GOEMOTIONS_28, odds).to(EKMAN_7).to(MESC_7)
        return found
