"""Layers of recordings that are kept on disk, and when they are taken."""

from __future__ import annotations

import inspect
import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.ravdess import Ravdess
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.speech import WhisperEncoder
from affectgraph.perceivers.speech.encoder import LAYERS
from affectgraph.perceivers.training.ravdess_data import Voices, load


class CountingEncoder(WhisperEncoder):
    """Tells its number in every channel, and counts what it is asked for."""

    def __init__(self, weights: Path, number: float = 1.0) -> None:
        super().__init__()
        self._file, self._number, self.asked = weights, number, 0

    @property
    def weights(self) -> Path:
        return self._file

    def batch(self, mels: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.asked += len(mels)
        return [
            np.full(((mel.shape[1] + 1) // 2, LAYERS), self._number, np.float32) for mel in mels
        ]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "encoder.onnx"
    file.write_bytes(b"one")
    return file


@pytest.fixture
def corpus(tmp_path: Path) -> Ravdess:
    pytest.importorskip("faster_whisper")
    files = tuple(tmp_path / f"{name}.wav" for name in ("a", "b"))
    for file in files:
        sound(file, 0.3)
    return Ravdess(files, np.array([0, 1]), np.array([1, 2]))


def sound(file: Path, seconds: float) -> None:
    tone = np.sin(np.arange(int(seconds * SAMPLE_RATE)) / 10)
    with wave.open(str(file), "wb") as stream:
        stream.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        stream.writeframes((9_000 * tone).astype("<i2").tobytes())


def same(one: Voices, other: Voices) -> bool:
    names = ("frames", "start", "length", "missed", "label", "actor")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def asks(corpus: Ravdess, cache: Path, weights: Path, *, copies: int = 1, seed: int = 0) -> bool:
    """Whether the encoder is asked, or what is kept is taken."""
    encoder = CountingEncoder(weights)
    load(corpus, encoder, copies=copies, seed=seed, cache=cache)
    return encoder.asked > 0


def test_what_is_kept_is_what_was_encoded(corpus: Ravdess, weights: Path, tmp_path: Path) -> None:
    first, encoder = CountingEncoder(weights), CountingEncoder(weights)
    made = load(corpus, first, copies=1, cache=tmp_path / "cache")
    kept = load(corpus, encoder, copies=1, cache=tmp_path / "cache")
    assert (first.asked, encoder.asked) == (6, 0)
    assert same(made, kept)
    assert {file.suffix for file in (tmp_path / "cache").iterdir()} == {".npy", ".npz"}


def test_layers_of_another_encoder_are_not_taken(
    corpus: Ravdess, weights: Path, tmp_path: Path
) -> None:
    load(corpus, CountingEncoder(weights), copies=1, cache=tmp_path / "cache")
    weights.write_bytes(b"two")
    other = load(corpus, CountingEncoder(weights, 2.0), copies=1, cache=tmp_path / "cache")
    assert np.unique(other.frames).tolist() == [2.0]


def test_layers_of_other_recordings_under_the_same_names_are_not_taken(
    corpus: Ravdess, weights: Path, tmp_path: Path
) -> None:
    assert asks(corpus, tmp_path / "cache", weights)
    sound(corpus.files[1], 0.4)
    assert asks(corpus, tmp_path / "cache", weights)


def test_layers_of_another_source_are_not_taken(
    corpus: Ravdess, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asks(corpus, tmp_path / "cache", weights)
    source = tmp_path / "mel.py"
    source.write_text("HOP = 80\n")
    whose = inspect.getfile

    def elsewhere(of: type) -> str:
        found = whose(of)
        return str(source) if found.endswith("mel.py") else found

    monkeypatch.setattr(inspect, "getfile", elsewhere)
    assert asks(corpus, tmp_path / "cache", weights)


def test_a_look_at_a_slice_leaves_the_whole_where_it_is(
    corpus: Ravdess, weights: Path, tmp_path: Path
) -> None:
    part = replace(corpus, files=corpus.files[:1], label=corpus.label[:1], actor=corpus.actor[:1])
    assert asks(corpus, tmp_path / "cache", weights)
    assert asks(part, tmp_path / "cache", weights)
    assert asks(corpus, tmp_path / "cache", weights, copies=2)
    assert asks(corpus, tmp_path / "cache", weights, seed=1)
    assert not asks(corpus, tmp_path / "cache", weights)
    assert not asks(part, tmp_path / "cache", weights)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize("left", [0, 60, -300])
def test_a_file_that_was_cut_short_counts_as_absent(
    suffix: str, left: int, corpus: Ravdess, weights: Path, tmp_path: Path
) -> None:
    whole = load(corpus, CountingEncoder(weights), copies=1, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob(f"*{suffix}")
    file.write_bytes(file.read_bytes()[:left])
    again = load(corpus, CountingEncoder(weights), copies=1, cache=tmp_path / "cache")
    assert same(again, whole)
    assert not asks(corpus, tmp_path / "cache", weights)


def test_frames_of_another_length_count_as_absent(
    corpus: Ravdess, weights: Path, tmp_path: Path
) -> None:
    assert asks(corpus, tmp_path / "cache", weights)
    (file,) = (tmp_path / "cache").glob("*.npy")
    np.save(file, np.zeros((3, LAYERS), np.float16))
    assert asks(corpus, tmp_path / "cache", weights)
