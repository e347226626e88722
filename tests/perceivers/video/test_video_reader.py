"""Whose face is read, what is heard for it, and when reading ends; faces stand where told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.errors import NodeError
from affectgraph.perceivers.face import FaceEmotion
from affectgraph.perceivers.face.detected import DetectedFace
from affectgraph.perceivers.face.quality import Limits
from affectgraph.perceivers.media import AudioFile, Frame, ImageFile, VideoFile
from affectgraph.perceivers.models import ModelUse
from affectgraph.perceivers.turn import Consent, Turn
from affectgraph.perceivers.video import AffectTrack, Unread, VideoConfig, VideoEmotion, VideoReader

Pixels = NDArray[np.uint8]
Film = Callable[..., Path]
Sound = NDArray[np.float32]

LENIENT = Limits(grain=9.0, flat=1.0, readable=0.0, sharpness=0.01)
"""Textures stand for faces here, and noise for texture."""
TEXTURE = np.random.default_rng(0).integers(20, 220, (120, 320, 3), dtype=np.uint8)
BOTH = Consent(camera=True, microphone=True)


def face(x: int, side: int = 100) -> DetectedFace:
    marks = ((0.32, 0.39), (0.69, 0.39), (0.5, 0.6), (0.36, 0.78), (0.67, 0.78))
    points = tuple((x + a * side, b * side) for a, b in marks)
    return DetectedFace(Box(x=x, y=0, width=side, height=side), 0.99, points)


class Script:
    """Finds in each picture what it was told; in all the same if told once."""

    def __init__(self, *pictures: Sequence[DetectedFace]) -> None:
        self._pictures = pictures
        self.number = -1

    def load(self) -> None:
        return

    def detect(self, pixels: Pixels) -> list[DetectedFace]:
        self.number += 1
        return list(self._pictures[min(self.number, len(self._pictures) - 1)])


def reader_of(*pictures: Sequence[DetectedFace], fps: float = 5.0) -> VideoReader:
    return VideoReader(detector=Script(*pictures), config=VideoConfig(fps=fps, limits=LENIENT))


def frames(count: int, fps: float = 5.0) -> Iterator[Frame]:
    return (Frame(number / fps, TEXTURE) for number in range(count))


def film_of(film: Film, count: int = 20, **options: object) -> VideoFile:
    return VideoFile(film([TEXTURE] * count, **options))


def noise(seconds: float) -> Sound:
    return np.random.default_rng(0).normal(0, 0.2, round(seconds * 16_000)).astype(np.float32)


def test_one_who_leaves_and_comes_back_elsewhere_is_not_two() -> None:
    told = [[face(0)]] * 16 + [[]] * 7 + [[face(200)]] * 17
    seen = reader_of(*told).read(frames(40))
    assert isinstance(seen, AffectTrack)
    assert (len(seen), seen.looked, seen.chosen_by) == (17, 40, "largest")
    assert {box.x for box in seen.boxes} == {200}


def test_two_at_once_compete_however_often_one_of_them_leaves() -> None:
    told = [[face(0), face(200)]] * 10 + [[face(200)]] * 8 + [[face(0), face(200)]] * 10
    seen = reader_of(*told).read(frames(28))
    assert isinstance(seen, Unread)
    assert seen.reason == "several-faces"
    assert seen.detail.startswith("2 faces")


def test_a_face_may_be_away_for_a_second_at_any_rate() -> None:
    told = [[face(0)]] * 10 + [[]] * 9 + [[face(0)]] * 10
    seen = reader_of(*told, fps=10.0).read(frames(29, 10.0))
    assert isinstance(seen, AffectTrack)
    assert (len(seen), seen.chosen_by) == (20, "only")


def test_nobody_listens_where_nobody_competes() -> None:
    asked = list[str]()

    def sound() -> Sound:
        asked.append("sound")
        return noise(4.0)

    reader_of([face(0)]).read(frames(10), sound)
    reader_of(*[[face(0)]] * 10, *[[]] * 8, *[[face(200)]] * 10).read(frames(28), sound)
    assert asked == []
    reader_of([face(0), face(200)]).read(frames(10), sound)
    assert asked == ["sound"]


@pytest.mark.parametrize(("faces", "read"), [([face(0)], True), ([face(0), face(200)], False)])
async def test_a_sound_that_cannot_be_heard_does_not_cost_the_pictures(
    film: Film, faces: list[DetectedFace], read: bool
) -> None:
    """Beside a voice note, the video's own sound is only a hint at who speaks."""
    video = film_of(film, sound=noise(0.07))
    perceiver = VideoEmotion(reader=reader_of(faces))
    turn = Turn(video=video, audio=AudioFile("note.wav"), consent=BOTH)
    reading = await perceiver.perceive(turn)
    assert (reading.affect is not None) == read
    if reading.abstention is not None:
        assert reading.abstention.reason == "several-faces"


class Listening(VideoReader):
    """Keeps the sound that it is given."""

    heard: Sound | None = None

    def read(
        self, frames: Iterable[Frame], sound: Callable[[], Sound | None] | None = None
    ) -> AffectTrack | Unread:
        self.heard = None if sound is None else sound()
        return super().read(frames)


@pytest.mark.parametrize("delay", [0.0, 0.5])
async def test_the_sound_is_heard_from_the_first_picture_on(film: Film, delay: float) -> None:
    quiet = np.zeros(8_000, np.float32)
    video = film_of(film, sound=np.concatenate([quiet, noise(1.0)]), sound_at=delay)
    reader = Listening(detector=Script([face(0)]), config=VideoConfig(limits=LENIENT))
    perceiver = VideoEmotion(reader=reader)
    await perceiver.perceive(Turn(video=video, consent=BOTH))
    assert reader.heard is not None
    begins = int(np.argmax(np.abs(reader.heard) > 0.1)) / 16_000
    assert begins == pytest.approx(0.5 + delay, abs=0.07)
    await perceiver.perceive(Turn(video=video, consent=Consent(camera=True)))
    assert reader.heard is None


class Slow(Script):
    """Stops at its third picture until it may go on."""

    def __init__(self) -> None:
        super().__init__([])
        self.there, self.go = threading.Event(), threading.Event()

    def detect(self, pixels: Pixels) -> list[DetectedFace]:
        found = super().detect(pixels)
        if self.number == 2:
            self.there.set()
            self.go.wait(60)
        return found


async def test_a_video_that_nobody_waits_for_is_not_read_to_its_end(film: Film) -> None:
    video, slow = film_of(film), Slow()
    perceiver = VideoEmotion(reader=VideoReader(detector=slow), workers=1)
    task = asyncio.create_task(perceiver.perceive(Turn(video=video)))
    await asyncio.to_thread(slow.there.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.go.set()
    # With one worker the next turn begins where the left one has ended.
    reading = await perceiver.perceive(Turn(video=video))
    assert reading.abstention is not None
    assert reading.abstention.reason == "no-face"
    assert slow.number + 1 == 3 + 10


class Named(Script):
    models = (ModelUse("finder.v3", "MIT"),)


async def test_the_reading_names_the_detector_that_was_given(film: Film) -> None:
    reader = VideoReader(detector=Named([face(0)]), config=VideoConfig(limits=LENIENT))
    perceiver = VideoEmotion(reader=reader, detector=Named([]))
    reading = await perceiver.perceive(Turn(video=film_of(film)))
    assert reading.model == perceiver.model == "finder.v3+ferplus.v2+track.v1"
    assert [use.name for use in perceiver.models] == ["finder.v3", "ferplus.v2", "readable.v1"]
    assert VideoEmotion().model == "mtcnn-1.0.0+ferplus.v2+track.v1"


async def test_a_closed_perceiver_reads_no_photo(portrait_path: Path) -> None:
    perceiver = VideoEmotion(photos=FaceEmotion(detector=Script([face(150)]), limits=LENIENT))
    turn = Turn(images=(ImageFile(portrait_path),))
    assert (await perceiver.perceive(turn)).affect is not None
    await perceiver.close()
    await perceiver.close()
    with pytest.raises(NodeError, match="closed"):
        await perceiver.perceive(turn)
