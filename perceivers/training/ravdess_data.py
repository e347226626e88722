"""RAVDESS as features of Whisper's encoder: clean recordings and degraded copies."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.media import SAMPLE_RATE, AudioFile
from affectgraph.perceivers.speech.activity import ActivityDetector
from affectgraph.perceivers.speech.encoder import WhisperEncoder

ACTORS: Final = 24
FOLDS: Final = 4
COPIES: Final = 3
"""Degraded copies of each recording."""

_SHORTEST: Final = 0.4
_FIELDS: Final = 7
_REVISION: Final = "2"

Samples = NDArray[np.float32]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Voices:
    """Features and labels of a set of recordings.

    Attributes:
        clean: Features of the recordings, float32, shape (n, 4608).
        degraded: Features of the copies, shape (copies, n, 4608).
        label: Index into RAVDESS's labels, shape (n,).
        actor: 1 to 24, shape (n,); odd numbers are men, even ones women.
        missed: Whether the detector of speech finds none in a recording, shape (n,). It is then
            taken whole here; the perceiver would abstain.
    """

    clean: NDArray[np.float32]
    degraded: NDArray[np.float32]
    label: NDArray[np.int64]
    actor: NDArray[np.int64]
    missed: NDArray[np.bool_]

    @property
    def fold(self) -> NDArray[np.int64]:
        """Fold of each recording: actors 1 to 6, 7 to 12, 13 to 18, 19 to 24; shape (n,)."""
        return fold_of(self.actor)


def fold_of(actor: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fold of each actor; three men and three women in each."""
    return (actor - 1) // (ACTORS // FOLDS)


def recordings(folder: Path, *, limit: int = 0, seed: int = 0) -> list[Path]:
    """The files to use.

    Args:
        folder: Holds ``03-01-EE-II-SS-RR-AA.flac``: modality, channel, emotion, intensity,
            statement, repetition, actor.
        limit: Files at most, drawn evenly over folds and emotions; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If there are none.
    """
    files = sorted(folder.glob("03-01-*.flac"))
    files = [file for file in files if len(file.stem.split("-")) == _FIELDS]
    if not files:
        raise SetupError(f"no RAVDESS recordings (03-01-*.flac) in {folder}")
    if not limit:
        return files
    seen: Counter[tuple[int, int]] = Counter()
    turns = []
    for index in np.random.default_rng(seed).permutation(len(files)):
        emotion, actor = _emotion_and_actor(files[index])
        cell = (emotion, (actor - 1) // (ACTORS // FOLDS))
        turns.append((seen[cell], int(index)))
        seen[cell] += 1
    return sorted(files[index] for _, index in sorted(turns)[:limit])


def load(
    files: Sequence[Path],
    encoder: WhisperEncoder,
    *,
    seed: int = 0,
    cache: Path | None = None,
    say: Say = lambda _: None,
) -> Voices:
    """Encode recordings and their degraded copies.

    Args:
        files: Recordings named as :func:`recordings` says.
        encoder: Whisper's encoder.
        seed: Of the degradations; each file has its own stream.
        cache: File to keep the features in, and to take them from if it is of the same files.
        say: Told of the progress.
    """
    pairs = np.asarray([_emotion_and_actor(file) for file in files], dtype=np.int64)
    key = _key(files, seed)
    found = _cached(cache, key)
    if found is None:
        found = _encoded(files, encoder, seed, say)
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            np.savez(cache, allow_pickle=False, key=np.asarray(key), **found)
    return Voices(label=pairs[:, 0], actor=pairs[:, 1], **found)


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


def _emotion_and_actor(file: Path) -> tuple[int, int]:
    fields = [int(field) for field in file.stem.split("-")]
    emotion, actor = fields[2] - 1, fields[6]
    if not (0 <= emotion < len(RAVDESS_8) and 1 <= actor <= ACTORS):
        raise SetupError(f"{file.name}: not a name of RAVDESS")
    return emotion, actor


def _encoded(
    files: Sequence[Path], encoder: WhisperEncoder, seed: int, say: Say
) -> dict[str, NDArray[Any]]:
    detector = ActivityDetector()
    clean, degraded, missed = [], [], []
    for number, file in enumerate(files):
        samples = AudioFile(file).samples
        activity = detector.find(samples)
        missed.append(not activity.spans)
        speech = activity.cut(samples) if activity.seconds >= _SHORTEST else samples
        stream = int.from_bytes(hashlib.sha256(file.stem.encode()).digest()[:8])
        rng = np.random.default_rng([seed, stream])
        clean.append(encoder.features(speech))
        degraded.append([encoder.features(degrade(speech, rng)) for _ in range(COPIES)])
        if number % 100 == 99:
            say(f"encoded {number + 1} of {len(files)} recordings")
    return {
        "clean": np.stack(clean),
        "degraded": np.asarray(degraded, dtype=np.float32).swapaxes(0, 1),
        "missed": np.asarray(missed, dtype=np.bool_),
    }


def _key(files: Sequence[Path], seed: int) -> str:
    """Names what the features depend on."""
    names = "\n".join(file.stem for file in files)
    return hashlib.sha256(f"{_REVISION} {seed}\n{names}".encode()).hexdigest()


def _cached(cache: Path | None, key: str) -> dict[str, NDArray[Any]] | None:
    if cache is None or not cache.is_file():
        return None
    with np.load(cache, allow_pickle=False) as data:
        if str(data["key"]) != key:
            return None
        return {name: data[name] for name in ("clean", "degraded", "missed")}
