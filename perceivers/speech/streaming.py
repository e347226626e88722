"""Speech as it comes in: who speaks now, and a reading at the end of every utterance."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import InputError
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.speech.endpointing import Endpointer, EndpointRules, Heard, Spoken

MOST_CHUNK_SECONDS: Final = 30.0
"""A longer chunk is a recording, not a stream."""

Samples = NDArray[np.float32]


class UtteranceReader(Protocol):
    """Reads one utterance; :class:`~affectgraph.perceivers.speech.SpeechEmotion` is one."""

    async def read(self, samples: Samples, captured_at: datetime) -> Reading:
        """Read mono sound at 16 kHz in [-1, 1], shape (n,)."""
        ...


@dataclass(frozen=True)
class Listening:
    """Partial activity.

    Attributes:
        until: Second of the stream up to which was listened.
        probability: Highest probability of speech since the last such event, 0 to 1.
        speaking: Whether an utterance is going on.
    """

    until: float
    probability: float
    speaking: bool


@dataclass(frozen=True)
class Utterance:
    """What was said, and how it sounded.

    Attributes:
        start: Second of the stream at which it begins, with a margin.
        end: Second at which it ends.
        reading: As of a voice note of the same sound; its evidence counts seconds from ``start``.
    """

    start: float
    end: float
    reading: Reading


class SpeechStream:
    """Listens to a stream of sound and reads each utterance when it ends.

    An utterance is read while the next one is listened to. At most ``waiting`` are read at a time;
    until one of them is told no more sound is taken from the source, so memory stays bounded (each
    holds at most ``rules.longest`` seconds, and those that wait to be read are of one chunk).

    Args:
        reader: Reads an utterance.
        rules: When an utterance begins and ends.
        waiting: Utterances that may be read at a time, 1 or more.
    """

    def __init__(
        self,
        reader: UtteranceReader,
        *,
        rules: EndpointRules | None = None,
        waiting: int = 2,
    ) -> None:
        if waiting < 1:
            raise ValueError(f"waiting must be at least 1, not {waiting}")
        self._reader = reader
        self._rules = rules or EndpointRules()
        self._waiting = waiting

    async def listen(
        self,
        chunks: AsyncIterable[NDArray[Any]],
        *,
        started_at: datetime | None = None,
    ) -> AsyncGenerator[Listening | Utterance, None]:
        """Listen until the source ends.

        Utterances come in the order in which they were spoken. Close the iterator when leaving it
        early (``contextlib.aclosing``): what is being read is then cancelled and awaited.

        Args:
            chunks: Mono sound at 16 kHz: float32 in [-1, 1] or int16, shape (n,), any lengths up to
                30 seconds.
            started_at: When the stream began (time zone aware; now by default).

        Yields:
            :class:`Listening` for every chunk with at least 32 ms of new sound, and
            :class:`Utterance` for every utterance.

        Raises:
            InputError: If a chunk is not such sound.
            AffectGraphError: Whatever the reader raises; the utterances before it were told.
        """
        began = started_at or datetime.now(UTC)
        ears = Endpointer(self._rules)
        pool = BlockingPool(1)
        source = aiter(chunks)
        unread: deque[Spoken] = deque()
        readings: deque[asyncio.Task[Utterance]] = deque()
        arrival: asyncio.Task[NDArray[Any]] | None = None
        ended = False
        try:
            while not ended or readings:
                if arrival is None and not ended and len(readings) < self._waiting:
                    arrival = asyncio.create_task(_next(source))
                # Of the readings the first alone: one that is done behind it must wait its turn.
                awaited = (arrival, readings[0] if readings else None)
                await asyncio.wait(
                    {task for task in awaited if task is not None},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                while readings and readings[0].done():
                    utterance = readings.popleft().result()
                    self._begin(unread, readings, began)
                    yield utterance
                if arrival is None or not arrival.done():
                    continue
                finished, arrival = arrival, None
                try:
                    sound = _as_samples(finished.result())
                except StopAsyncIteration:
                    ended = True
                    last = ears.finish()
                    heard = Heard((last,) if last else (), 0.0, None, False)
                else:
                    heard = await pool.run(lambda sound=sound: ears.feed(sound))  # type: ignore[misc]
                unread.extend(heard.ended)
                self._begin(unread, readings, began)
                if heard.probability is not None:
                    yield Listening(heard.until, heard.probability, heard.speaking)
        finally:
            await _cancelled([task for task in (arrival, *readings) if task is not None])

    def _begin(
        self, unread: deque[Spoken], readings: deque[asyncio.Task[Utterance]], began: datetime
    ) -> None:
        """Begin to read as many as may be read at a time, those spoken first before the others."""
        while unread and len(readings) < self._waiting:
            readings.append(asyncio.create_task(self._read(unread.popleft(), began)))

    async def _read(self, spoken: Spoken, began: datetime) -> Utterance:
        at = began + timedelta(seconds=spoken.start)
        reading = await self._reader.read(spoken.samples, at)
        return Utterance(spoken.start, spoken.end, reading)


async def _next(source: AsyncIterator[NDArray[Any]]) -> NDArray[Any]:
    return await anext(source)


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are gone, whatever they end with."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _as_samples(chunk: object) -> Samples:
    """A chunk as float32 in [-1, 1].

    Raises:
        InputError: If it is not one-dimensional sound in a known format.
    """
    if not isinstance(chunk, np.ndarray) or chunk.ndim != 1:
        raise InputError("a chunk of sound must be a one-dimensional array")
    if len(chunk) > MOST_CHUNK_SECONDS * SAMPLE_RATE:
        raise InputError(f"a chunk of sound may last {MOST_CHUNK_SECONDS:.0f} seconds at most")
    if chunk.dtype == np.int16:
        return chunk.astype(np.float32) / 32768.0
    if chunk.dtype != np.float32:
        raise InputError(f"a chunk of sound must be float32 or int16, not {chunk.dtype}")
    if not np.isfinite(chunk).all():
        raise InputError("a chunk of sound holds values that are not finite")
    return np.asarray(np.clip(chunk, -1.0, 1.0))
