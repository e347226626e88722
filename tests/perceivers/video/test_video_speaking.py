"""Who speaks: the mouth that moves with the sound."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.face.detected import DetectedFace
from affectgraph.perceivers.video.speaking import (
    agreement,
    from_first_picture,
    loudness_at,
    motion_of,
    mouth_of,
    speaker,
)

TIMES = np.arange(30) / 10


def bursts(shift: int = 0) -> NDArray[np.float64]:
    """A level for each picture: half a second of speech, half a second of quiet."""
    return np.where((np.arange(30) + shift) // 5 % 2 == 0, 1.0, 0.0)


def sound_of(level: NDArray[np.float64]) -> NDArray[np.float32]:
    """Noise whose level up to each picture is as told."""
    noise = np.random.default_rng(0).normal(0, 0.2, 30 * 1600)
    # Sound before a picture belongs to it, so the first stretch lies before the video.
    return (noise * np.repeat(np.append(level[1:], 0) * 0.99 + 0.01, 1600)).astype(np.float32)


def moving(level: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    return level * 0.5 + np.random.default_rng(seed).uniform(0, 0.2, len(level))


def test_loudness_follows_the_pictures() -> None:
    level = bursts()
    loud = loudness_at(sound_of(level), TIMES)
    assert loud.shape == (30,)
    assert loud[1:][level[1:] == 1].min() > loud[1:][level[1:] == 0].max() + 20


def test_the_mouth_that_moves_with_the_sound_is_the_speakers() -> None:
    loud = loudness_at(sound_of(bursts()), TIMES)
    talks, still, chews = moving(bursts(), 1), moving(np.zeros(30), 2), moving(bursts(5), 3)
    assert speaker([still, talks, chews], loud) == 1
    assert speaker([talks, still], loud) == 0


def test_who_is_never_there_at_once_is_no_rival() -> None:
    """One speaker, followed twice: away in the middle of the film."""
    loud = loudness_at(sound_of(bursts()), TIMES)
    talks, listens = moving(bursts(), 2), moving(np.zeros(30), 3)
    before = np.where((TIMES > 0) & (TIMES < 1.4), talks, np.nan)
    after = np.where(TIMES > 1.6, talks, np.nan)
    assert agreement(before, loud) == pytest.approx(agreement(after, loud), abs=0.1)
    assert speaker([listens, before, after], loud) in (1, 2)


@pytest.mark.parametrize("delay", [0.5, 0.1, -0.2])
def test_a_sound_that_begins_at_another_time_is_put_in_its_place(delay: float) -> None:
    level = bursts()
    sound, motion = sound_of(level), moving(level, 1)
    shift = round(abs(delay) * 16_000)
    sound[: shift if delay > 0 else 0] = 0
    heard = sound[shift:] if delay > 0 else np.pad(sound, (shift, 0))
    assert np.array_equal(from_first_picture(heard, delay), sound)
    best = agreement(motion, loudness_at(sound, TIMES))
    assert agreement(motion, loudness_at(heard, TIMES)) < best - 0.1


def test_a_damaged_time_asks_for_no_more_than_a_video_can_last() -> None:
    assert len(from_first_picture(np.zeros(10, np.float32), 1e9)) == 120 * 16_000 + 10
    assert len(from_first_picture(np.zeros(10, np.float32), -1e9)) == 0


def test_nobody_is_chosen_where_nobody_stands_out() -> None:
    loud = loudness_at(sound_of(bursts()), TIMES)
    still = [moving(np.zeros(30), seed) for seed in (4, 5)]
    assert speaker(still, loud) is None
    both = [moving(bursts(), 6), moving(bursts(), 7)]
    assert speaker(both, loud) is None
    assert speaker([], loud) is None
    assert speaker([moving(bursts(), 8)], np.full(30, -60.0)) is None


def test_a_few_pictures_prove_nothing() -> None:
    motion = moving(bursts(), 1)
    motion[7:] = np.nan
    assert agreement(motion, bursts()) == 0


def test_motion_needs_two_pictures_of_the_mouth() -> None:
    one, other = np.zeros((16, 16)), np.ones((16, 16))
    motion = motion_of([one, other, None, one, one])
    assert np.isnan(motion[[0, 2, 3]]).all()
    assert motion[[1, 4]] == pytest.approx([1, 0])


def test_a_mouth_is_the_same_wherever_the_head_is() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)

    def at(x: int, y: int) -> NDArray[np.float64]:
        canvas = np.full((200, 200, 3), 90, np.uint8)
        canvas[y : y + 60, x : x + 80] = picture
        marks = ((10, 0), (70, 0), (40, 15), (25, 40), (55, 40))
        points = tuple((float(x + a), float(y + b)) for a, b in marks)
        return mouth_of(canvas, DetectedFace(Box(x=x, y=y, width=80, height=60), 1.0, points))

    assert at(20, 30) == pytest.approx(at(90, 110), abs=0.2)
    assert at(20, 30).mean() == pytest.approx(0, abs=1e-9)
