from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.speech import QualityLimits, assess


def syllables(seconds: float = 3.0) -> NDArray[np.float64]:
    """A buzz in syllables, two a second, over a quiet room."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    tone = np.asarray(sum(np.sin(2 * np.pi * 150 * k * time) / k for k in range(1, 7)))
    room = np.random.default_rng(1).normal(0, 1e-4, len(time))
    return np.asarray(0.1 * tone * np.maximum(np.sin(2 * np.pi * 2 * time), 0.0) ** 2 + room)


def noise(sound: NDArray[np.float64], snr: float) -> NDArray[np.float64]:
    drawn = np.random.default_rng(0).normal(size=len(sound))
    return np.asarray(drawn * np.sqrt(np.mean(sound**2) / 10 ** (snr / 10)))


def test_a_clean_recording_passes() -> None:
    quality = assess(syllables())
    assert QualityLimits().fault(quality) is None
    assert quality.snr_db > 30
    assert quality.clipped == 0.0


@pytest.mark.parametrize("snr", [0.0, -5.0, -10.0])
def test_a_voice_no_louder_than_the_noise_is_noise(snr: float) -> None:
    sound = syllables()
    fault = QualityLimits().fault(assess(sound + noise(sound, snr)))
    assert fault is not None
    assert fault[0] == "noise"


def test_several_voices_at_once_are_noise_and_one_is_not() -> None:
    def voice(phase: float, start: int) -> NDArray[np.float64]:
        """Syllables with pauses between the words, from somewhere in them."""
        time = np.arange(4 * 16_000) / 16_000 + phase
        said = np.maximum(np.sin(2 * np.pi * 4 * time), 0.0) ** 2 * (time % 1.0 < 0.7)
        return np.asarray(said * np.random.default_rng(start).normal(0, 0.1, len(time)))

    room = np.random.default_rng(9).normal(0, 1e-4, 4 * 16_000)
    several = sum(voice(0.17 * at, at) for at in range(8))
    assert QualityLimits().fault(assess(voice(0.0, 0) + room)) is None
    fault = QualityLimits().fault(assess(0.3 * several + room))
    assert fault is not None
    assert fault[0] == "noise"


def test_a_little_noise_passes() -> None:
    sound = syllables()
    assert QualityLimits().fault(assess(sound + noise(sound, 15.0))) is None


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros(0), "silence"),
        (np.zeros(16_000), "silence"),
        (syllables() * 1e-3, "silence"),
        (np.clip(syllables() * 30, -1, 1), "low-quality"),
        (syllables() + 0.3, "low-quality"),
        (np.full(16_000, 0.5), "silence"),
        (0.3 * np.sin(np.arange(32_000) / 5), "noise"),
        (np.random.default_rng(0).normal(0, 0.1, 32_000), "noise"),
    ],
    ids=["empty", "zeros", "faint", "clipped", "offset", "constant", "tone", "hiss"],
)
def test_bad_sounds_have_a_reason(sound: NDArray[np.floating], reason: str) -> None:
    fault = QualityLimits().fault(assess(sound))
    assert fault is not None
    assert fault[0] == reason


@given(gain=st.floats(0.05, 3.0), offset=st.floats(-0.05, 0.05))
def test_the_ratio_depends_on_neither_level_nor_offset(gain: float, offset: float) -> None:
    sound = syllables(1.0) + noise(syllables(1.0), 20.0)
    plain, changed = assess(sound), assess(sound * gain + offset)
    assert changed.snr_db == pytest.approx(plain.snr_db, abs=1e-3)
    assert changed.level_db == pytest.approx(plain.level_db + 20 * np.log10(gain), abs=1e-3)
    assert changed.offset == pytest.approx(plain.offset * gain + offset, abs=1e-6)


def test_digital_silence_around_a_voice_tells_nothing_of_the_room() -> None:
    sound = syllables(2.0) + noise(syllables(2.0), 0.0)
    muted = np.pad(sound, 16_000)
    assert assess(muted).snr_db == pytest.approx(assess(sound).snr_db, abs=3.0)


@given(st.integers(0, 50), st.integers(1, 700))
def test_any_sound_can_be_measured(seed: int, size: int) -> None:
    sound = np.random.default_rng(seed).uniform(-1, 1, size).astype(np.float32)
    quality = assess(sound)
    assert -120.0 <= quality.level_db <= 0.1
    assert quality.snr_db >= 0.0
    assert 0.0 <= quality.clipped <= 1.0
