"""Copies of a recording: other speakers to train on, and other rooms and microphones to test on."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.speech.mel import log_mel

Samples = NDArray[np.float32]
Mel = NDArray[np.float32]

_RANGE: Final = 2.0
"""80 dB in Whisper's scale, below which it clips."""
_FEWEST_FRAMES: Final = 40


def varied_mel(samples: Samples, rng: np.random.Generator, *, pitched: bool = True) -> Mel:
    """The log-mel spectrogram of a recording as another speaker might have made it.

    Pitch and formants move together by up to a sixth, the tempo by itself by up to an eighth, the
    level by -16 to +10 dB, the balance of low and high bands by 8 dB either way, and half of the
    copies get a floor of noise 24 to 56 dB below their loudest moment.

    Args:
        samples: Mono sound at 16 kHz in [-1, 1], shape (n,), half a second or more.
        rng: Drawn from.
        pitched: Whether pitch and formants move.

    Returns:
        As :func:`~affectgraph.perceivers.speech.mel.log_mel` gives it.
    """
    speed = np.exp(rng.uniform(-0.16, 0.16)) if pitched else 1.0
    at = np.arange(int(len(samples) / speed)) * speed
    mel: NDArray[Any] = log_mel(np.interp(at, np.arange(len(samples)), samples).astype(np.float32))
    mel = _in_tempo(mel, np.exp(rng.uniform(-0.13, 0.13)))
    level, tilt = rng.uniform(-0.2, 0.12), rng.uniform(-0.2, 0.2)
    mel = mel + level + (np.linspace(-0.5, 0.5, len(mel)) * tilt)[:, None]
    if rng.random() < 0.5:
        floor = mel.max() - rng.uniform(0.6, 1.4)
        # Powers add, and the scale is their logarithm over four.
        noise = 10 ** rng.normal(0.0, 0.05, mel.shape)
        mel = np.log10(10 ** (4 * (mel - floor)) + noise) / 4 + floor
    return np.asarray(np.maximum(mel, mel.max() - _RANGE), dtype=np.float32)


def _in_tempo(mel: Mel, speed: float) -> NDArray[np.floating[Any]]:
    frames = mel.shape[1]
    at = np.linspace(0, frames - 1, max(_FEWEST_FRAMES, int(frames / speed)))
    before = np.floor(at).astype(int)
    after = np.minimum(before + 1, frames - 1)
    share = (at - before)[None]
    return np.asarray(mel[:, before] * (1 - share) + mel[:, after] * share)


def degrade(samples: Samples, rng: np.random.Generator) -> Samples:
    """A copy as another room and microphone might give it.

    Speed and pitch change by up to a tenth, some copies sound as in a room that rings for 0.15 to
    0.5 seconds, half of them lose what lies above 3.4 to 7 kHz, white noise comes in 10 to 35 dB
    below the voice, and the level changes by -15 to +6 dB.
    """
    speed = rng.uniform(0.9, 1.1)
    at = np.arange(int(len(samples) / speed)) * speed
    copy = np.interp(at, np.arange(len(samples)), samples)
    if rng.random() < 0.4:
        copy = _in_a_room(copy, rng)
    if rng.random() < 0.5:
        hertz = np.fft.rfftfreq(len(copy), 1.0 / SAMPLE_RATE)
        # A Butterworth magnitude of the sixth order, without its phase.
        gain = 1.0 / np.sqrt(1.0 + (hertz / rng.uniform(3400.0, 7000.0)) ** 12)
        copy = np.fft.irfft(np.fft.rfft(copy) * gain, len(copy))
    noise = np.sqrt(np.mean(copy**2) / 10 ** (rng.uniform(10.0, 35.0) / 10))
    copy = (copy + rng.normal(0.0, noise, len(copy))) * 10 ** (rng.uniform(-15.0, 6.0) / 20)
    return np.asarray(np.clip(copy, -1.0, 1.0), dtype=np.float32)


def _in_a_room(samples: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Add the tail of a room: noise that falls by 60 dB, 3 to 12 dB below the voice."""
    rings = rng.uniform(0.15, 0.5)
    time = np.arange(int(rings * SAMPLE_RATE)) / SAMPLE_RATE
    response = rng.normal(size=len(time)) * 10 ** (-3.0 * time / rings)
    size = len(samples) + len(response)
    tail = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    tail = tail[: len(samples)]
    level = np.sqrt(np.mean(samples**2) / np.maximum(np.mean(tail**2), 1e-12))
    return np.asarray(samples + tail * level * 10 ** (-rng.uniform(3.0, 12.0) / 20))
