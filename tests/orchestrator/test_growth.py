"""What a long conversation with media leaves on disk."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from PIL import Image

from affectgraph.orchestrator import Agent, Consent, Parts, Retention, SqliteThreads, Turn
from affectgraph.orchestrator.testing.fakes import FakePerceiver, FakeTextPerceiver
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.perceivers.media import AudioFile, ImageFile

TURNS = 200
ALL = Consent(camera=True, microphone=True)
SAID = "It was a long day, and I do not know how to tell my sister what happened at work. "


def on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


async def test_two_hundred_turns_with_media_stay_small(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    photo, note = tmp_path / "photo.png", tmp_path / "note.wav"
    # Noise, so that nothing of it can be packed away: 300 KB of picture and a second of sound.
    Image.fromarray(draw.integers(0, 255, (320, 320, 3), dtype=np.uint8)).save(photo)
    with wave.open(str(note), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(draw.integers(-9_000, 9_000, 16_000, dtype=np.int16).tobytes())
    folder = tmp_path / "threads"
    folder.mkdir()
    parts = Parts(
        perceivers=(
            FakeTextPerceiver(seconds=0),
            FakePerceiver("face", seconds=0),
            FakePerceiver("speech", seconds=0, transcript="I am so tired of all this."),
        ),
        reasoner=ScriptedReasoner("That sounds hard. " * 5, seconds_per_word=0),
    )
    sizes = []
    async with Agent(parts, threads=SqliteThreads(folder / "threads.db")) as agent:
        for number in range(TURNS):
            turn = Turn(
                user="ana",
                text=f"{SAID * 3} {number}",
                images=(ImageFile(photo),),
                audio=AudioFile(note),
                consent=ALL,
            )
            reply = await agent.respond(turn)
            assert reply.source == "reasoner"
            sizes.append(on_disk(folder))
        moments = await agent.timeline.moments("ana", "thread")
        assert moments[0].history[-1].said.splitlines()[0].endswith(f" {TURNS - 1}")
    assert max(sizes) < 5_000_000
    assert on_disk(folder) < 5_000_000
    # Not the media, not even where they lay.
    kept = b"".join(file.read_bytes() for file in folder.iterdir())
    assert photo.read_bytes()[1_000:1_100] not in kept
    assert b"photo.png" not in kept
    assert b"note.wav" not in kept


async def test_time_travel_goes_back_as_far_as_was_asked_for(tmp_path: Path) -> None:
    parts = Parts(perceivers=(), reasoner=ScriptedReasoner("All right.", seconds_per_word=0))
    store = SqliteThreads(tmp_path / "threads.db")
    async with Agent(parts, threads=store, retention=Retention(checkpoints=3)) as agent:
        for number in range(12):
            await agent.respond(Turn(user="ana", text=f"number {number}"))
    async with Agent(parts, threads=store) as agent:
        assert len(await agent.timeline.moments("ana", "thread")) == 3


async def test_old_threads_are_erased_when_the_store_opens(tmp_path: Path) -> None:
    parts = Parts(perceivers=(), reasoner=ScriptedReasoner("All right.", seconds_per_word=0))
    store = SqliteThreads(tmp_path / "threads.db")
    async with Agent(parts, threads=store) as agent:
        await agent.respond(Turn(user="ana", text="hello"))
    async with Agent(parts, threads=store, retention=Retention(days=1)) as agent:
        assert len(await agent.timeline.moments("ana", "thread")) == 1
    async with Agent(parts, threads=store, retention=Retention(days=0)) as agent:
        await agent.open()
        assert await agent.timeline.moments("ana", "thread") == ()
