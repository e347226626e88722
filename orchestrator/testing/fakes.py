"""Fakes of perception and memory with realistic timing, for tests of graphs and of nodes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from datetime import datetime
from typing import cast

from affectgraph.memory.record import Cue, MemoryRecord, Recollection
from affectgraph.orchestrator.testing.faults import Fault, WrongType, take
from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.turn import Turn

__all__ = [
    "FakeFusion",
    "FakePerceiver",
    "FakeTextPerceiver",
    "Fault",
    "HashEmbedder",
    "ListMemory",
]


class FakePerceiver:
    """A perceiver that takes its time and then says what it was told to say.

    As every perceiver does, it abstains where the turn has nothing of its modality, and opens the
    media that it claims to read.

    Args:
        modality: What it claims to read.
        label: Ekman-7 label that it reports, with probability ``p``.
        p: Probability of the label.
        seconds: Time a reading takes; about what the real model needs by default.
        fault: What goes wrong when it is asked.
        transcript: Words that it claims to have heard.

    Attributes:
        calls: How often it was asked.
        warmed: How often it was warmed up.
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
        self.warmed = 0
        self._label, self._p, self._seconds = label, p, seconds
        self._fault, self._transcript = fault, transcript
        self._pool = BlockingPool()

    async def warm_up(self) -> None:
        """Nothing to load."""
        self.warmed += 1

    async def perceive(self, turn: Turn) -> Reading:
        """The reading that was asked for, after the time that was asked for."""
        self.calls += 1
        await take(self._seconds, self._fault, "perceiver")
        if self._fault == "wrong type":
            return cast("Reading", WrongType())
        present = {"text": turn.text.strip(), "face": turn.shows, "speech": turn.sounds}
        if not present[self.modality]:
            return self._absent()
        if self.modality != "text":
            await self._pool.run(lambda: self._open(turn))
        return self._reading(turn.at, len(turn.text))

    def _open(self, turn: Turn) -> None:
        if self.modality == "face":
            for image in turn.images:
                image.pixels  # noqa: B018 - decoding is the check
            if turn.video is not None:
                turn.video.info  # noqa: B018
        elif (sound := turn.sound) is not None:
            sound.samples  # noqa: B018

    def _absent(self) -> Reading:
        return Reading.abstain(self.modality, "absent", f"nothing for {self.modality} in this turn")

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
    """A fake of the text modality that also reads transcripts.

    Args:
        label: Ekman-7 label that it reports, with probability ``p``.
        p: Probability of the label.
        seconds: Time a reading takes.
        fault: What goes wrong when it is asked.
    """

    def __init__(
        self,
        label: str = "neutral",
        *,
        p: float = 0.8,
        seconds: float = 0.01,
        fault: Fault | None = None,
    ) -> None:
        super().__init__("text", label, p=p, seconds=seconds, fault=fault)

    async def read(self, text: str, captured_at: datetime) -> Reading:
        """The same reading for any text that has words."""
        await take(self._seconds, self._fault, "text reader")
        if self._fault == "wrong type":
            return cast("Reading", WrongType())
        return self._reading(captured_at, len(text)) if text.strip() else self._absent()


class FakeFusion:
    """Takes the surest reading over, or says what it was told to say.

    Args:
        label: Ekman-7 label of every affect; by default what the surest reading says.
        seconds: Time that fusing takes.
        fault: What goes wrong when it is asked.

    Attributes:
        fused: What it was asked with, oldest first.
    """

    def __init__(
        self, label: str | None = None, *, seconds: float = 0.0, fault: Fault | None = None
    ) -> None:
        self.fused: list[tuple[Reading, ...]] = []
        self._label, self._seconds, self._fault = label, seconds, fault

    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        """The affect of the surest reading; ``None`` where no reading holds one."""
        self.fused.append(tuple(readings))
        await take(self._seconds, self._fault, "fusion")
        if self._fault == "wrong type":
            return cast("Affect", WrongType())
        heard = [reading.affect for reading in readings if reading.affect is not None]
        if not heard:
            return None
        # The printed form settles ties, so that the order of the readings does not matter.
        surest = max(heard, key=lambda affect: (affect.confidence, affect.model_dump_json()))
        if self._label is None:
            belief = surest.distribution.to(EKMAN_7)
            return Affect.read(belief, surest.captured_at, evidence=surest.evidence)
        return Affect.read(Distribution.certain(EKMAN_7, self._label), surest.captured_at)


class ListMemory:
    """A memory in a list, ranked by shared words; keeps each user's records apart.

    Args:
        seconds: Time that each operation takes.
        fault: What goes wrong in ``recall`` and ``remember``.

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
        await take(self._seconds, self._fault, "memory")
        if self._fault == "wrong type":
            return cast("Sequence[Recollection]", WrongType())
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
        await take(self._seconds, self._fault, "memory")
        key = (record.user, record.id)
        if all((kept.user, kept.id) != key for kept in self.records):
            self.records.append(record)

    async def export(self, user: str) -> Sequence[MemoryRecord]:
        """All records of the user, oldest first."""
        return sorted(
            (record for record in self.records if record.user == user),
            key=lambda record: (record.at, record.id),
        )

    async def erase(self, user: str) -> int:
        """Drop all records of the user."""
        before = len(self.records)
        self.records = [record for record in self.records if record.user != user]
        return before - len(self.records)

    async def close(self) -> None:
        """Nothing to close."""


class HashEmbedder:
    """Unit vectors out of words: texts that share words are near. No model, no meaning.

    Args:
        dimensions: Length of the vectors.
        seconds: Time that a call takes.
        fault: What goes wrong when it is asked.
    """

    def __init__(
        self, dimensions: int = 64, *, seconds: float = 0.0, fault: Fault | None = None
    ) -> None:
        self._dimensions, self._seconds, self._fault = dimensions, seconds, fault

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text, the same for the same words."""
        await take(self._seconds, self._fault, "embedder")
        if self._fault == "wrong type":
            return cast("list[list[float]]", WrongType())
        return [self._embed(text) for text in texts]

    def _embed(self, text: str) -> list[float]:
        vector = [0.0] * self._dimensions
        for word in text.lower().split() or [""]:
            digest = hashlib.sha256(word.encode()).digest()
            vector[int.from_bytes(digest[:4], "big") % self._dimensions] += 1.0
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector]
