from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.speech import PitchTracker, ProsodyMeter, SpeechActivity


def tone(hertz: float, seconds: float = 1.0) -> NDArray[np.float64]:
    phase = 2 * np.pi * hertz * np.arange(int(seconds * 16_000)) / 16_000
    return 0.1 * np.asarray(sum(np.sin(k * phase) / k for k in range(1, 7)))


def whole(samples: NDArray[np.floating]) -> SpeechActivity:
    return SpeechActivity(((0.0, len(samples) / 16_000),), -20.0)


@pytest.mark.parametrize("hertz", [75.0, 110.0, 220.0, 440.0, 600.0])
def test_pitch_of_a_buzz(hertz: float) -> None:
    track = PitchTracker().track(tone(hertz))
    assert track.voiced.mean() > 0.95
    # A tenth of a semitone.
    assert np.median(track.hertz) == pytest.approx(hertz, rel=0.006)


def test_noise_and_silence_are_not_voiced() -> None:
    hiss = np.random.default_rng(0).normal(0, 0.1, 16_000)
    assert PitchTracker().track(hiss).voiced.mean() < 0.05
    assert not PitchTracker().track(np.zeros(16_000)).voiced.any()
    assert len(PitchTracker().track(np.zeros(400)).hertz) == 0


def test_a_long_sound_gives_the_same_as_its_parts() -> None:
    sound = np.concatenate([tone(120, 15.0), tone(240, 15.0)])
    pitch = PitchTracker().track(sound).hertz
    assert np.median(pitch[:1400]) == pytest.approx(120, rel=0.01)
    assert np.median(pitch[1600:]) == pytest.approx(240, rel=0.01)


def test_syllables_pauses_and_words_are_counted() -> None:
    time = np.arange(32_000) / 16_000
    voice = tone(150, 2.0) * np.maximum(np.sin(2 * np.pi * 4 * time), 0.0) ** 2
    sound = np.concatenate([voice, np.zeros(8_000), voice])
    activity = SpeechActivity(((0.0, 2.0), (2.5, 4.5)), -20.0)
    prosody = ProsodyMeter().measure(sound, activity, words="one two three four five six")
    assert prosody is not None
    assert prosody.speech_seconds == pytest.approx(4.0)
    assert prosody.syllables_per_second == pytest.approx(4.0, abs=0.5)
    assert prosody.pauses == 1
    assert prosody.pause_seconds == pytest.approx(0.5)
    assert prosody.words_per_minute == pytest.approx(6 / 4.5 * 60)
    assert prosody.pitch_hz == pytest.approx(150, rel=0.02)


def test_the_range_of_a_glide_is_told_in_semitones() -> None:
    hertz = 120 * 2 ** np.linspace(0, 1, 32_000)
    glide = 0.2 * np.sin(2 * np.pi * np.cumsum(hertz) / 16_000)
    prosody = ProsodyMeter().measure(glide, whole(glide))
    assert prosody is not None
    # Eighty per cent of an octave.
    assert prosody.pitch_range == pytest.approx(9.6, abs=0.6)
    assert prosody.words_per_minute is None


def test_a_whisper_has_no_pitch_and_no_speech_has_no_prosody() -> None:
    hiss = np.random.default_rng(0).normal(0, 0.1, 16_000)
    prosody = ProsodyMeter().measure(hiss, whole(hiss))
    assert prosody is not None
    assert prosody.pitch_hz is None
    assert prosody.pitch_range is None
    assert ProsodyMeter().measure(hiss, SpeechActivity((), -20.0)) is None


def test_louder_is_louder_and_nothing_else() -> None:
    sound = tone(180) * np.linspace(0.2, 1.0, 16_000)
    soft, loud = (ProsodyMeter().measure(sound * gain, whole(sound)) for gain in (0.1, 1.0))
    assert soft is not None
    assert loud is not None
    assert loud.level_db - soft.level_db == pytest.approx(20.0, abs=0.1)
    assert loud.pitch_hz == pytest.approx(soft.pitch_hz, rel=1e-3)
    assert loud.syllables_per_second == soft.syllables_per_second


def test_a_reading_carries_it_and_comes_back_whole() -> None:
    prosody = ProsodyMeter().measure(tone(200), whole(tone(200)), words="one two")
    reading = Reading.abstain("speech", "too-short", "a word").model_copy(
        update={"prosody": prosody}
    )
    assert Reading.model_validate_json(reading.model_dump_json()) == reading
