from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.errors import InputError
from affectgraph.perceivers.media import AudioFile
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import (
    Endpointer,
    EndpointRules,
    Listening,
    SpeechEmotion,
    SpeechStream,
    Utterance,
)
from affectgraph.perceivers.speech.endpointing import FRAME, SpeechProbability, Spoken

DEMO = Path(__file__).parents[3] / "examples" / "voice.flac"
Samples = NDArray[np.float32]
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def loud(frames: Samples) -> NDArray[np.float32]:
    """Takes every loud frame for speech."""
    return np.asarray(np.abs(frames).mean(axis=1) > 0.1, dtype=np.float32)


def sound(*parts: tuple[float, float]) -> Samples:
    """Stretches of (seconds, level)."""
    return np.concatenate(
        [np.full(round(seconds * 16_000), level, np.float32) for seconds, level in parts]
    )


TALK = sound((1.0, 0.0), (1.0, 0.5), (1.0, 0.0), (0.05, 0.5), (1.0, 0.0), (2.0, 0.4), (1.0, 0.0))
"""A second of speech, a click, two seconds of speech."""


def fed(samples: Samples, sizes: Sequence[int], rules: EndpointRules | None = None) -> list[Spoken]:
    ears = Endpointer(rules, probability=loud)
    found: list[Spoken] = []
    at = 0
    while at < len(samples):
        size = sizes[len(found) % len(sizes)]
        found += ears.feed(samples[at : at + size]).ended
        at += size
    last = ears.finish()
    return [*found, last] if last else found


def test_utterances_are_cut_with_margins_and_clicks_are_dropped() -> None:
    first, second = fed(TALK, [1600])
    assert first.start == pytest.approx(0.6, abs=0.05)
    assert first.end == pytest.approx(2.4, abs=0.05)
    assert second.start == pytest.approx(3.65, abs=0.05)
    assert second.end == pytest.approx(6.45, abs=0.05)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(150, 9000), min_size=1, max_size=6))
def test_the_size_of_the_chunks_changes_nothing(sizes: list[int]) -> None:
    pairs = zip(fed(TALK, sizes), fed(TALK, [4000]), strict=True)
    for spoken, expected in pairs:
        assert spoken.start == expected.start
        np.testing.assert_array_equal(spoken.samples, expected.samples)


def test_one_who_never_stops_is_cut_and_nothing_is_lost() -> None:
    rules = EndpointRules(longest=3.0)
    parts = fed(sound((10.0, 0.5)), [16_000], rules)
    assert max(len(part.samples) for part in parts) <= 3.1 * 16_000
    assert sum(len(part.samples) for part in parts) == 160_000
    for part, after in pairwise(parts):
        assert after.start == pytest.approx(part.end, abs=1e-6)


def test_long_silence_is_not_kept() -> None:
    ears = Endpointer(probability=loud)
    for _ in range(100):
        ears.feed(np.zeros(16_000, np.float32))
    assert sum(map(len, ears._kept)) <= 0.45 * 16_000


def test_the_real_detector_gives_the_same_in_pieces() -> None:
    samples = AudioFile(DEMO).samples
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    whole = SpeechProbability()(frames)
    pieces = SpeechProbability()
    told = np.concatenate([pieces(frames[:7]), pieces(frames[7:8]), pieces(frames[8:])])
    np.testing.assert_allclose(told, whole, atol=1e-4)
    assert whole.max() > 0.9


@pytest.mark.parametrize(
    "bad", [{"pause": 0.0}, {"threshold": 1.0}, {"longest": 0.5}, {"margin": -1.0}]
)
def test_rules_that_end_nothing_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="end no utterance"):
        EndpointRules(**bad)


class Reads:
    """Tells how long what it was given is; may wait or fail."""

    def __init__(self, gate: asyncio.Event | None = None, error: Exception | None = None) -> None:
        self.gate, self.error = gate, error
        self.began: list[datetime] = []
        self.started = asyncio.Event()
        self.cancelled = self.reading = self.most = 0

    async def read(self, samples: Samples, captured_at: datetime) -> Reading:
        self.began.append(captured_at)
        self.started.set()
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            if self.gate:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.reading -= 1
        if self.error:
            raise self.error
        return Reading.abstain("speech", "noise", f"{len(samples)} samples")


class Source:
    """Chunks of a sound; counts what was taken, may wait for ever at its end."""

    def __init__(self, samples: NDArray[Any], size: int = 1600, *, endless: bool = False) -> None:
        self.samples, self.size, self.endless, self.taken = samples, size, endless, 0

    async def __aiter__(self) -> AsyncIterator[NDArray[Any]]:
        for at in range(0, len(self.samples), self.size):
            self.taken += 1
            yield self.samples[at : at + self.size]
        if self.endless:
            await asyncio.Event().wait()


@pytest.fixture
def loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SpeechProbability, "__call__", lambda _, frames: loud(frames))


@pytest.fixture
def demo() -> Samples:
    return AudioFile(DEMO).samples


def utterances(events: list[Listening | Utterance]) -> list[Utterance]:
    return [event for event in events if isinstance(event, Utterance)]


@pytest.mark.usefixtures("loudly")
@pytest.mark.parametrize("kind", [np.float32, np.int16])
async def test_activity_and_readings_as_they_come(kind: type) -> None:
    samples = TALK if kind is np.float32 else (TALK * 32767).astype(np.int16)
    reader = Reads()
    events = [event async for event in SpeechStream(reader).listen(Source(samples), started_at=AT)]
    first, second = utterances(events)
    assert [first.start, second.start] == pytest.approx([0.6, 3.65], abs=0.05)
    assert reader.began == [AT + timedelta(seconds=spoken.start) for spoken in (first, second)]
    activity = [event for event in events if isinstance(event, Listening)]
    assert len(activity) == len(events) - 2
    assert [event.until for event in activity] == sorted(event.until for event in activity)
    assert {event.speaking for event in activity} == {True, False}
    # The first is told long before the stream ends.
    assert events.index(first) < len(events) * 0.75


@pytest.mark.usefixtures("loudly")
async def test_an_utterance_that_the_stream_cuts_off_is_read() -> None:
    stream = SpeechStream(Reads()).listen(Source(sound((0.5, 0.0), (1.0, 0.5))))
    (only,) = utterances([event async for event in stream])
    assert only.end == pytest.approx(1.5, abs=0.04)


@pytest.mark.usefixtures("loudly")
async def test_a_slow_reader_holds_the_source_back() -> None:
    gate = asyncio.Event()
    reader = Reads(gate)
    many = np.tile(sound((0.5, 0.5), (1.0, 0.0)), 10)
    source = Source(many)
    stream = SpeechStream(reader, waiting=2).listen(source)
    async with aclosing(stream) as events:
        task = asyncio.ensure_future(_collect(events))
        for _ in range(2000):
            await asyncio.sleep(0)
            if len(reader.began) == 2:
                break
            await asyncio.sleep(0.001)
        taken = source.taken
        await asyncio.sleep(0.05)
        assert len(reader.began) == 2
        assert source.taken <= taken + 1 < len(many) // 1600
        gate.set()
        assert len(utterances(await task)) == 10


@pytest.mark.usefixtures("loudly")
async def test_of_the_utterances_of_one_chunk_no_more_are_read_at_a_time() -> None:
    gate = asyncio.Event()
    reader = Reads(gate)
    many = np.tile(sound((0.5, 0.5), (1.0, 0.0)), 8)
    task = asyncio.create_task(_collect(SpeechStream(reader).listen(Source(many, len(many)))))
    await reader.started.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(reader.began) == 2
    gate.set()
    told = utterances(await task)
    assert len(told) == 8
    assert reader.most == 2
    assert [spoken.start for spoken in told] == sorted(spoken.start for spoken in told)


class SlowFirst(Reads):
    """The first reading waits for the gate, the others do not."""

    async def read(self, samples: Samples, captured_at: datetime) -> Reading:
        if not self.began:
            return await super().read(samples, captured_at)
        self.began.append(captured_at)
        return Reading.abstain("speech", "noise", f"{len(samples)} samples")


@pytest.mark.usefixtures("loudly")
async def test_a_reading_that_is_done_behind_a_slow_one_keeps_nobody_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits, wait = 0, asyncio.wait

    async def counted(*args: Any, **options: Any) -> Any:
        nonlocal waits
        waits += 1
        return await wait(*args, **options)

    gate = asyncio.Event()
    reader = SlowFirst(gate)
    task = asyncio.create_task(_collect(SpeechStream(reader).listen(Source(TALK, len(TALK)))))
    await reader.started.wait()
    monkeypatch.setattr(asyncio, "wait", counted)
    for _ in range(200):
        await asyncio.sleep(0)
    assert len(reader.began) == 2
    assert waits <= 3
    gate.set()
    assert len(utterances(await task)) == 2


async def _collect(events: AsyncIterator[Listening | Utterance]) -> list[Listening | Utterance]:
    return [event async for event in events]


@pytest.mark.usefixtures("loudly")
async def test_leaving_early_cancels_and_awaits_what_is_being_read() -> None:
    reader = Reads(asyncio.Event())
    stream = SpeechStream(reader).listen(Source(TALK[: 16_000 * 3], endless=True))
    before = asyncio.all_tasks()
    async with aclosing(stream) as events:
        async for _ in events:
            if reader.began:
                break
    assert reader.cancelled == 1
    assert asyncio.all_tasks() == before


@pytest.mark.usefixtures("loudly")
async def test_cancelling_the_listener_cancels_what_is_being_read() -> None:
    reader = Reads(asyncio.Event())
    before = asyncio.all_tasks()
    task = asyncio.create_task(_collect(SpeechStream(reader).listen(Source(TALK, endless=True))))
    await reader.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reader.cancelled == len(reader.began)
    assert asyncio.all_tasks() == before


@pytest.mark.usefixtures("loudly")
async def test_an_error_of_the_reader_ends_the_stream() -> None:
    stream = SpeechStream(Reads(error=InputError("broken"))).listen(Source(TALK))
    with pytest.raises(InputError, match="broken"):
        await _collect(stream)


@pytest.mark.parametrize(
    "chunk",
    [
        np.zeros((2, 100), np.float32),
        np.zeros(100),
        np.zeros(100, np.int32),
        np.full(100, np.nan, np.float32),
        np.zeros(16_000 * 31, np.float32),
    ],
    ids=["stereo", "double", "int32", "nan", "a recording"],
)
async def test_chunks_that_are_no_sound_are_refused(chunk: NDArray[Any]) -> None:
    async def source() -> AsyncIterator[NDArray[Any]]:
        yield chunk

    with pytest.raises(InputError, match="chunk of sound"):
        await _collect(SpeechStream(Reads()).listen(source()))


def test_none_at_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SpeechStream(Reads(), waiting=0)


@pytest.mark.models
async def test_the_demo_clip_twice_in_a_stream(
    requires_model: Callable[[str], Path], model_store: ModelStore, demo: Samples
) -> None:
    requires_model("whisper-tiny.en")
    clip = np.pad(demo, (0, 16_000))
    part = SpeechEmotion(model_store)
    await part.warm_up()
    # Between the two sentences of the clip lies half a second.
    stream = SpeechStream(part, rules=EndpointRules(pause=0.9))
    said = utterances([event async for event in stream.listen(Source(np.tile(clip, 2), 3200))])
    assert len(said) == 2
    for spoken in said:
        assert spoken.reading.affect is not None
        assert "asterisk" in (spoken.reading.transcript or "").lower()
