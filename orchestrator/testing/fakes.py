"""Fakes with realistic timing, for tests of graphs and of the nodes that people write."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from affectgraph.memory.record import Cue, MemoryRecord, Recollection
from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.turn import Turn

Fault = Literal["fails", "hangs"]


class FakePerceiver:
    """A perceiver that takes its time and then says what it was told to say.

    Args:
        modality: What it claims to read.
        label: Ekman-7 label that it reports, with probability ``p``.
        p: Probability of the label.
        seconds: Time a reading takes; about what the real model needs by default.
        fault: Fail with an error, or never return.
        transcript: Words that it claims to have heard.

    Attributes:
        calls: How often it was asked.
    """

    def __init__(
        self,
        modality: Modality,
        label: str = "neutral",
        *,
        p: float = 0.8,
        seconds: float = 0.02,
        fault: Fault | None = None,
        transcript: str | None = None,
    ) -> None:
        self.modality: Modality = modality
        self.calls = 0
        self._label, self._p, self._seconds = label, p, seconds
        self._fault, self._transcript = fault, transcript

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def perceive(self, turn: Turn) -> Reading:
        """The reading that was asked for, after the time that was asked for."""
        self.calls += 1
        if self._fault == "hangs":
            await asyncio.Event().wait()
        await asyncio.sleep(self._seconds)
        if self._fault == "fails":
            raise RuntimeError("this perceiver was made to fail")
        return self._reading(turn.at, len(turn.text))

    def _reading(self, at: datetime, covers: int) -> Reading:
        rest = (1 - self._p) / (len(EKMAN_7) - 1)
        weights = dict.fromkeys(EKMAN_7.labels, rest) | {self._label: self._p}
        return Reading(
            modality=self.modality,
            affect=Affect.read(Distribution.over(EKMAN_7, weights), at),
            transcript=self._transcript,
            covers=covers if self.modality == "text" else 0,
            model="fake",
        )


class FakeTextPerceiver(FakePerceiver):
    """A fake of the text modality that also reads transcripts."""

    def __init__(self, label: str = "neutral", *, p: float = 0.8, seconds: float = 0.01) -> None:
        super().__init__("text", label, p=p, seconds=seconds)

    async def read(self, text: str, captured_at: datetime) -> Reading:
        """The same reading for any text."""
        await asyncio.sleep(self._seconds)
        return self._reading(captured_at, len(text))


class ListMemory:
    """A memory in a list, ranked by shared words; keeps each user's records apart.

    Args:
        seconds: Time that each operation takes.
        fault: Fail or hang in ``recall`` and ``remember``.

    Attributes:
        records: What was remembered, oldest first.
    """

    def __init__(self, *, seconds: float = 0.005, fault: Fault | None = None) -> None:
        self.records: list[MemoryRecord] = []
        self._seconds, self._fault = seconds, fault

    async def warm_up(self) -> None:
        """Nothing to open."""

    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        """The user's records that share most words with the cue."""
        await self._work()
        words = set(cue.text.lower().split())
        found = []
        for record in self.records:
            if record.user == cue.user:
                theirs = set(record.text.lower().split())
                distance = 1 - len(words & theirs) / max(1, len(words | theirs))
                found.append((distance, record))
        found.sort(key=lambda pair: pair[0])
        return [
            Recollection(record=record, distance=distance, breakdown={"semantic": distance})
            for distance, record in found[: cue.limit]
        ]

    async def remember(self, record: MemoryRecord) -> None:
        """Keep the record, once."""
        await self._work()
        if all(kept.id != record.id for kept in self.records):
            self.records.append(record)

    async def export(self, user: str) -> Sequence[MemoryRecord]:
        """All records of the user."""
        return [record for record in self.records if record.user == user]

    async def erase(self, user: str) -> int:
        """Drop all records of the user."""
        before = len(self.records)
        self.records = [record for record in self.records if record.user != user]
        return before - len(self.records)

    async def close(self) -> None:
        """Nothing to close."""

    async def _work(self) -> None:
        if self._fault == "hangs":
            await asyncio.Event().wait()
        await asyncio.sleep(self._seconds)
        if self._fault == "fails":
            raise RuntimeError("this memory was made to fail")


class HashEmbedder:
    """Unit vectors out of words: texts that share words are near. No model, no meaning.

    Args:
        dimensions: Length of the vectors.
    """

    def __init__(self, dimensions: int = 64) -> None:
        self._dimensions = dimensions

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text, the same for the same words."""
        return [self._embed(text) for text in texts]

    def _embed(self, text: str) -> list[float]:
        vector = [0.0] * self._dimensions
        for word in text.lower().split() or [""]:
            digest = hashlib.sha256(word.encode()).digest()
            vector[int.from_bytes(digest[:4], "big") % self._dimensions] += 1.0
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector]
