"""The perceiver of videos: what it reads, whose face it takes, and when it abstains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.face import MTCNNDetector
from affectgraph.perceivers.media import Frame, ImageFile, VideoFile
from affectgraph.perceivers.turn import Turn
from affectgraph.perceivers.video import AffectTrack, Unread, VideoConfig, VideoEmotion, VideoReader

Pixels = NDArray[np.uint8]
Film = Callable[..., Path]


def reason(reading: Reading) -> str:
    assert reading.affect is None
    assert reading.abstention is not None
    return reading.abstention.reason


def pan(portrait: Pixels, count: int, step: int = 3) -> list[Pixels]:
    """The head moves to the side and back."""
    return [np.roll(portrait, step * min(n, count - n), axis=1) for n in range(count)]


def frames_of(pictures: list[Pixels], fps: float = 10.0) -> Iterator[Frame]:
    return (Frame(number / fps, pixels) for number, pixels in enumerate(pictures))


@pytest.fixture
def reader(detector: MTCNNDetector) -> VideoReader:
    return VideoReader(detector=detector)


async def test_without_a_video_the_photos_are_read_and_without_any_it_is_absent() -> None:
    perceiver = VideoEmotion()
    assert isinstance(perceiver, Perceiver)
    assert perceiver.modality == "face"
    assert reason(await perceiver.perceive(Turn(text="hello"))) == "absent"


@pytest.mark.models
async def test_a_smile_on_video_is_read_with_its_course(
    detector: MTCNNDetector, portrait: Pixels, film: Film
) -> None:
    perceiver = VideoEmotion(detector=detector)
    await perceiver.warm_up()
    path = film(pan(portrait, 20))
    reading = await perceiver.perceive(Turn(video=VideoFile(path)))
    assert reading.affect is not None
    assert reading.affect.top == "happiness"
    assert reading.affect.vad_source == "derived"
    box, stretch = reading.affect.evidence
    assert (box.kind, stretch.kind) == ("box", "segment")
    assert box.box is not None
    assert box.box.height == pytest.approx(109, abs=20)
    assert stretch.start == 0
    assert stretch.end == pytest.approx(1.8, abs=0.05)
    assert reading.course is not None
    assert (reading.course.looked, reading.course.chosen_by) == (10, "only")
    assert reading.course.read >= 9
    assert reading.course.peak == "happiness"
    assert abs(reading.course.valence_trend) < 0.3


@pytest.mark.models
async def test_photo_and_video_together_give_their_mean(
    detector: MTCNNDetector, portrait: Pixels, portrait_path: Path, film: Film
) -> None:
    perceiver = VideoEmotion(detector=detector)
    good, bad = film(pan(portrait, 6)), film([portrait[300:]] * 6, name="bad.mp4")
    photos = (ImageFile(portrait_path),)
    video = await perceiver.perceive(Turn(video=VideoFile(good)))
    both = await perceiver.perceive(Turn(video=VideoFile(good), images=photos))
    photo = await perceiver.perceive(Turn(images=photos))
    assert video.affect is not None
    assert both.affect is not None
    assert photo.affect is not None
    mean = (video.affect.distribution["happiness"] + photo.affect.distribution["happiness"]) / 2
    assert both.affect.distribution["happiness"] == pytest.approx(mean, abs=1e-6)
    assert len(both.affect.evidence) == 3
    only = await perceiver.perceive(Turn(video=VideoFile(bad), images=photos))
    assert (
        only.affect == photo.affect.model_copy(update={"captured_at": only.affect.captured_at})
        if only.affect
        else False
    )


@pytest.mark.models
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: p[300:], "no-face"),
        (lambda p: (p * 0.12).astype(np.uint8), "low-quality"),
        (lambda p: np.concatenate([p, p], axis=1), "several-faces"),
    ],
)
def test_it_abstains_rather_than_guess(
    reader: VideoReader, portrait: Pixels, change: Callable[[Pixels], Pixels], expected: str
) -> None:
    picture = np.ascontiguousarray(change(portrait))
    seen = reader.read(frames_of([picture] * 6))
    assert isinstance(seen, Unread)
    assert seen.reason == expected
    assert seen.looked == 6


@pytest.mark.models
def test_a_video_that_shows_the_face_too_rarely_is_not_read(
    reader: VideoReader, portrait: Pixels
) -> None:
    empty = np.full_like(portrait, 120)
    seen = reader.read(frames_of([portrait] * 3 + [empty] * 12))
    assert isinstance(seen, Unread)
    assert (seen.reason, seen.looked) == ("low-quality", 15)
    passing = reader.read(frames_of([portrait] * 2 + [empty] * 12 + [portrait]))
    assert isinstance(passing, Unread)
    assert passing.reason == "no-face"
    short = reader.read(frames_of([portrait] * 2))
    assert isinstance(short, Unread)
    assert short.reason == "too-short"
    none = reader.read(frames_of([]))
    assert isinstance(none, Unread)
    assert none.reason == "too-short"


@pytest.mark.models
def test_of_two_faces_the_one_that_speaks_is_read(reader: VideoReader, portrait: Pixels) -> None:
    """The right one's mouth is stretched and let go as the sound comes and goes."""
    speaks = np.where(np.arange(24) // 4 % 2 == 0, 1, 0)
    pictures = []
    dice = np.random.default_rng(0)
    for number in range(24):
        right = portrait.copy()
        if speaks[number]:
            rows = slice(138, 168)
            right[rows, 155:215] = np.roll(right[rows, 155:215], int(dice.integers(-4, 5)), axis=0)
        pictures.append(np.concatenate([portrait, right], axis=1))
    level = np.repeat(np.append(speaks[1:], 0), 1600)
    sound = (dice.normal(0, 0.2, len(level)) * (level * 0.99 + 0.01)).astype(np.float32)
    seen = reader.read(frames_of(pictures), lambda: sound)
    assert isinstance(seen, AffectTrack)
    assert seen.chosen_by == "speaker"
    assert min(box.x for box in seen.boxes) > portrait.shape[1]
    deaf = reader.read(frames_of(pictures))
    assert isinstance(deaf, Unread)
    assert deaf.reason == "several-faces"


@pytest.mark.models
def test_a_bystander_does_not_count(detector: MTCNNDetector, portrait: Pixels) -> None:
    from PIL import Image

    small = np.asarray(Image.fromarray(portrait).resize((160, 200), Image.Resampling.LANCZOS))
    scene = np.full((480, 384 + 160, 3), 120, np.uint8)
    scene[:, :384] = portrait
    scene[:200, 384:] = small
    reader = VideoReader(detector=detector, config=VideoConfig(choice="largest"))
    seen = reader.read(frames_of([scene] * 5))
    assert isinstance(seen, AffectTrack)
    assert seen.chosen_by in ("largest", "only")
    assert max(box.x for box in seen.boxes) < 384
