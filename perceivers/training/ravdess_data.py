"""RAVDESS as layers of Whisper's encoder: clean recordings, varied and degraded copies."""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.ravdess import Ravdess, fold_of
from affectgraph.perceivers.media import AudioFile
from affectgraph.perceivers.speech.activity import ActivityDetector
from affectgraph.perceivers.speech.encoder import LAYERS, WhisperEncoder
from affectgraph.perceivers.speech.mel import log_mel
from affectgraph.perceivers.speech.pitch import PitchTracker
from affectgraph.perceivers.speech.whisper_onnx import encoder_model
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.ravdess_copies import degrade, varied_mel

COPIES: Final = 6
"""Varied copies of each recording."""

_SHORTEST: Final = 0.4
_STREAM: Final = 7

Frames = NDArray[np.float16]
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Voices:
    """Encoded recordings, each as the clean one, its varied copies and one degraded copy.

    Attributes:
        frames: float16, shape (m, 1920), may be mapped from a file: the encoder's layers, two
            positions averaged (40 ms), of all utterances one after the other.
        start: Row at which an utterance begins, shape (copies + 2, n): the clean recordings, the
            varied copies, and last the degraded ones, which are never trained on.
        length: Rows of an utterance, same shape.
        label: Index into RAVDESS's labels, shape (n,).
        actor: 1 to 24, shape (n,); odd numbers are men, even ones women.
        missed: Whether too little speech is found in a recording to be read, shape (n,). It is
            taken whole here; the perceiver would abstain.
    """

    frames: Frames
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    label: NDArray[np.int64]
    actor: NDArray[np.int64]
    missed: NDArray[np.bool_]

    @property
    def fold(self) -> NDArray[np.int64]:
        """Fold of each recording, shape (n,)."""
        return fold_of(self.actor)

    @property
    def copies(self) -> int:
        """Varied copies of each recording."""
        return len(self.start) - 2

    def utterance(self, copy: int, row: int) -> Frames:
        """Layers of one utterance, shape (length, 1920); copy 0 is the clean one."""
        at = self.start[copy, row]
        return self.frames[at : at + self.length[copy, row]]


def load(
    corpus: Ravdess,
    encoder: WhisperEncoder,
    *,
    copies: int = COPIES,
    seed: int = 0,
    cache: Path | None = None,
    say: Say = lambda _: None,
) -> Voices:
    """Encode recordings and their copies.

    Args:
        corpus: The recordings.
        encoder: Whisper's encoder.
        copies: Varied copies of each.
        seed: Of the copies; each has its own stream.
        cache: Folder to keep the layers in (2.2 GB for all), and to take them from if they are of
            the same files, encoder and source. What others left there stays; it may be deleted.
        say: Told of the progress.

    Raises:
        ModelMissingError: If the encoder's model is not pulled.
    """
    kept = (
        None if cache is None else cache / f"ravdess-layers-{_key(corpus, encoder, copies, seed)}"
    )
    found = None if kept is None else _read(kept)
    if found is None:
        found = _encoded(corpus, encoder, copies, seed, say)
        if kept is not None:
            _write(kept, found)
    return Voices(label=corpus.label, actor=corpus.actor, **found)


def speech_of(samples: Samples, detector: ActivityDetector) -> tuple[Samples, bool]:
    """The speech in a recording, and whether there is too little of it to be read.

    A recording with too little is given whole.
    """
    activity = detector.find(samples)
    if activity.seconds < _SHORTEST:
        return samples, True
    return activity.cut(samples), False


def halved(layers: NDArray[np.floating[Any]]) -> Frames:
    """Pairs of positions averaged, as float16; an odd last position is dropped."""
    pairs = len(layers) // 2
    mean = layers[: 2 * pairs].reshape(pairs, 2, LAYERS).mean(axis=1)
    return np.asarray(mean, dtype=np.float16)


def _encoded(
    corpus: Ravdess, encoder: WhisperEncoder, copies: int, seed: int, say: Say
) -> dict[str, NDArray[Any]]:
    count = len(corpus.files)
    start = np.zeros((copies + 2, count), dtype=np.int64)
    length = np.zeros_like(start)
    missed = np.zeros(count, dtype=np.bool_)
    parts: list[Frames] = []
    rows = 0
    detector = ActivityDetector()
    for number, file in enumerate(corpus.files):
        speech, missed[number] = speech_of(AudioFile(file).samples, detector)
        for copy, mel in enumerate(_mels(speech, file.stem, number, copies, seed)):
            parts.append(halved(encoder.layers(mel)))
            start[copy, number], length[copy, number] = rows, len(parts[-1])
            rows += len(parts[-1])
        if number % 100 == 99:
            say(f"encoded {number + 1} of {count} recordings")
    return {"frames": np.concatenate(parts), "start": start, "length": length, "missed": missed}


def _mels(
    speech: Samples, name: str, number: int, copies: int, seed: int
) -> Iterator[NDArray[np.float32]]:
    yield log_mel(speech)
    for copy in range(1, copies + 1):
        # The first copy keeps its pitch.
        rng = np.random.default_rng([_STREAM + seed, number, copy])
        yield varied_mel(speech, rng, pitched=copy > 1)
    stream = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    yield log_mel(degrade(speech, np.random.default_rng([seed, stream])))


def _key(corpus: Ravdess, encoder: WhisperEncoder, copies: int, seed: int) -> str:
    """Digest of what the layers depend on."""
    makers = (
        ActivityDetector, PitchTracker, WhisperEncoder, encoder_model, log_mel, varied_mel, _encoded
    )  # fmt: skip
    sources = sorted({inspect.getfile(each) for each in makers})
    digest = hashlib.sha256(f"{copies} {seed}\n".encode())
    for file in (encoder.weights, *map(Path, sources)):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    for file in corpus.files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
    return digest.hexdigest()[:20]


def _read(kept: Path) -> dict[str, NDArray[Any]] | None:
    """Layers of an earlier run; ``None`` if there are none, or they are not whole."""
    try:
        # From memory: a file that is cut short would else stay open.
        with np.load(io.BytesIO(_table(kept).read_bytes()), allow_pickle=False) as data:
            found = {name: data[name] for name in ("start", "length", "missed")}
            rows = int(data["rows"])
        frames = np.load(_frames(kept), mmap_mode="r", allow_pickle=False)
    except (
        OSError, ValueError, KeyError, EOFError, NotImplementedError, RuntimeError,
        zipfile.BadZipFile,
    ):  # fmt: skip
        return None
    return {**found, "frames": frames} if frames.shape == (rows, LAYERS) else None


def _write(kept: Path, found: dict[str, NDArray[Any]]) -> None:
    """Keep layers. The table comes last, so that where it is the frames are, too."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    beside = kept.with_name(f"{kept.name}.{os.getpid()}.part")
    with beside.open("wb") as stream:
        np.save(stream, found["frames"], allow_pickle=False)
    beside.replace(_frames(kept))
    rest = {name: value for name, value in found.items() if name != "frames"}
    with beside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, rows=np.asarray(len(found["frames"])), **rest)
    beside.replace(_table(kept))


def _frames(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.npy")


def _table(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.npz")
