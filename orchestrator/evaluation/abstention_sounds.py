"""Voice notes that say nothing of a person, made from a seed and some recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE

Sound = NDArray[np.float32]
Make = Callable[[np.random.Generator, Sequence[Sound]], NDArray[np.floating]]

BURIED_DB: Final = (-5.0, -10.0, -15.0)
"""Signal to noise ratios of speech in noise; a draw takes one."""

_SECONDS: Final = 4.0
_TALKERS: Final = 6


def white(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Noise with the same power at every frequency, standard deviation 1, shape (n,)."""
    return np.asarray(rng.standard_normal(n), dtype=np.float64)


def pink(rng: np.random.Generator, n: int, slope: float = 1.0) -> NDArray[np.float64]:
    """Noise whose power falls as ``1 / f**slope``, standard deviation 1, shape (n,)."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / SAMPLE_RATE)
    frequency[0] = frequency[1]
    noise = np.fft.irfft(spectrum / frequency ** (slope / 2), n)
    return np.asarray(noise / noise.std())


def babble(rng: np.random.Generator, voices: Sequence[Sound], n: int) -> NDArray[np.float64]:
    """Several voices at once, none louder than the others, standard deviation 1, shape (n,).

    Every voice starts somewhere in one of the recordings, some of them at another speed, so that
    a single recording is enough.
    """
    total = np.zeros(n)
    for _ in range(_TALKERS):
        voice = np.asarray(voices[int(rng.integers(len(voices)))], dtype=np.float64)
        speed = float(rng.uniform(0.85, 1.2))
        steps = (np.arange(n) * speed + rng.integers(len(voice))) % (len(voice) - 1)
        part = np.interp(steps, np.arange(len(voice)), voice)
        total += part / (part.std() + 1e-9)
    return np.asarray(total / total.std())


def mixed(voice: Sound, noise: NDArray[np.float64], ratio_db: float) -> NDArray[np.float64]:
    """A voice in noise at a signal to noise ratio over the whole recording, without clipping."""
    level = float(np.sqrt(np.mean(np.square(voice, dtype=np.float64)))) + 1e-9
    total = voice + noise * level / 10 ** (ratio_db / 20)
    return np.asarray(total / max(1.0, float(np.abs(total).max()) / 0.95))


def _length() -> int:
    return round(_SECONDS * SAMPLE_RATE)


def _seconds() -> NDArray[np.float64]:
    return np.arange(_length()) / SAMPLE_RATE


def _voice(rng: np.random.Generator, voices: Sequence[Sound]) -> Sound:
    return voices[int(rng.integers(len(voices)))]


def _ratio(rng: np.random.Generator) -> float:
    return BURIED_DB[int(rng.integers(len(BURIED_DB)))]


def _silence(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    del voices
    return white(rng, _length()) * 10 ** (float(rng.uniform(-110, -62)) / 20)


def _constant(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    del voices
    return np.full(_length(), float(rng.uniform(-0.9, 0.9)))


def _noise(slope: float) -> Make:
    def make(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
        del voices
        return pink(rng, _length(), slope) * float(rng.uniform(0.02, 0.25))

    return make


def _in_white(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    voice = _voice(rng, voices)
    return mixed(voice, white(rng, len(voice)), _ratio(rng))


def _in_pink(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    voice = _voice(rng, voices)
    return mixed(voice, pink(rng, len(voice)), _ratio(rng))


def _in_babble(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    voice = _voice(rng, voices)
    return mixed(voice, babble(rng, voices, len(voice)), _ratio(rng))


def _hum(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    del voices
    base, time = float(rng.choice([50.0, 60.0])), _seconds()
    total = sum(
        float(rng.uniform(0.1, 1.0)) / k * np.sin(2 * np.pi * base * k * time) for k in range(1, 8)
    )
    return np.asarray(total) * float(rng.uniform(0.05, 0.3))


def _tone(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    del voices
    start, end, time = float(rng.uniform(150, 1500)), float(rng.uniform(150, 3000)), _seconds()
    phase = start * time + (end - start) * time**2 / (2 * _SECONDS) * float(rng.integers(2))
    return np.asarray(np.sin(2 * np.pi * phase) * float(rng.uniform(0.05, 0.6)))


def _clicks(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    del voices
    total = white(rng, _length()) * 1e-3
    decay = np.exp(-np.arange(400) / float(rng.uniform(10, 80)))
    for _ in range(int(rng.integers(8, 40))):
        at = int(rng.integers(0, _length() - 400))
        total[at : at + 400] += decay * rng.standard_normal(400) * float(rng.uniform(0.2, 0.6))
    return total


def _music(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    """Four chords with the overtones and the fading of a plucked string."""
    del voices
    total, beat = np.zeros(_length()), _length() // 4
    time = np.arange(beat) / SAMPLE_RATE
    for place in range(4):
        root = int(rng.integers(45, 62))
        for note in (0, int(rng.choice([3, 4])), 7, 12):
            pitch = 440.0 * 2 ** ((root + note - 69) / 12)
            for overtone in range(1, 6):
                wave = np.sin(2 * np.pi * pitch * overtone * time) / overtone**1.5
                total[place * beat : (place + 1) * beat] += wave * np.exp(-2.0 * time * overtone)
    return np.asarray(total / np.abs(total).max() * float(rng.uniform(0.1, 0.7)))


def _clipped(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    """A microphone driven so far over that hardly more than the signs are left."""
    voice = np.asarray(_voice(rng, voices), dtype=np.float64)
    loud = voice / (np.abs(voice).max() + 1e-9) * 10 ** (float(rng.uniform(40, 55)) / 20)
    return np.asarray(np.clip(loud, -1.0, 1.0))


def _too_short(rng: np.random.Generator, voices: Sequence[Sound]) -> NDArray[np.float64]:
    """A fifth to two fifths of a second out of the middle of a recording."""
    voice = _voice(rng, voices)
    length = round(float(rng.uniform(0.2, 0.4)) * SAMPLE_RATE)
    at = len(voice) // 2 + int(rng.integers(-2000, 2000))
    return np.asarray(voice[at : at + length], dtype=np.float64)


BAD: Final[Mapping[str, Make]] = MappingProxyType(
    {
        "silence": _silence,
        "constant": _constant,
        "white noise": _noise(0.0),
        "pink noise": _noise(1.0),
        "brown noise": _noise(2.0),
        "speech in white noise": _in_white,
        "speech in pink noise": _in_pink,
        "speech in babble": _in_babble,
        "hum": _hum,
        "tone": _tone,
        "clicks": _clicks,
        "chords": _music,
        "clipped": _clipped,
        "too short": _too_short,
    }
)
"""Kind -> what makes one. Speech in noise has a ratio of :data:`BURIED_DB`."""


def bad_sounds(voices: Sequence[Sound], each: int, seed: int) -> Iterator[tuple[str, Sound]]:
    """Kind and sound (mono, 16 kHz, in [-1, 1]), ``each`` of every kind.

    Args:
        voices: Recordings of speech, mono, 16 kHz.
        each: Sounds of a kind.
        seed: The same seed and voices give the same sounds.
    """
    for place, (kind, make) in enumerate(BAD.items()):
        for number in range(each):
            rng = np.random.default_rng((seed, place, number))
            yield kind, np.clip(make(rng, voices), -1.0, 1.0).astype(np.float32)
