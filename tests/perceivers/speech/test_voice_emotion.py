from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.media import AudioFile
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import (
    ActivityDetector,
    VoiceEmotion,
    VoiceHead,
    WhisperEncoder,
)
from affectgraph.perceivers.speech.emotion import WEIGHTS
from affectgraph.perceivers.speech.encoder import FEATURES


class PlainEncoder(WhisperEncoder):
    """Gives the mean of the samples in the first place, and counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[int] = []

    def load(self) -> None:
        pass

    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        self.lengths.append(len(samples))
        features = np.zeros(FEATURES, dtype=np.float32)
        features[0] = samples.mean()
        return features


def head(temperature: float = 1.0) -> VoiceHead:
    """Angry for a positive mean, sad for a negative one."""
    weight = np.zeros((FEATURES, 8), dtype=np.float32)
    weight[0, RAVDESS_8.labels.index("angry")] = 10
    weight[0, RAVDESS_8.labels.index("sad")] = -10
    return VoiceHead(weight, np.zeros(8, dtype=np.float32), temperature)


@given(seed=st.integers(0, 1000), temperature=st.floats(0.05, 20), scale=st.floats(0, 1e4))
def test_probabilities_are_a_distribution_and_temperature_keeps_their_order(
    seed: int, temperature: float, scale: float
) -> None:
    features = np.random.default_rng(seed).normal(0, scale, (3, FEATURES))
    probs = head(temperature).probabilities(features)
    np.testing.assert_allclose(probs.sum(axis=1), 1.0)
    plain = head().probabilities(features)
    top = plain.argmax(axis=1)
    assert np.all(np.take_along_axis(probs, top[:, None], 1)[:, 0] >= probs.max(axis=1) - 1e-12)


@pytest.fixture
def plain_weights(tmp_path: Path) -> Path:
    head().save(tmp_path / "head.npz")
    return tmp_path / "head.npz"


async def test_a_long_note_is_read_in_equal_windows_that_are_averaged(plain_weights: Path) -> None:
    encoder = PlainEncoder()
    voice = VoiceEmotion(encoder, weights=plain_weights, window=2.0)
    half = np.full(24_000, 0.5, dtype=np.float32)
    read = await voice.read(np.concatenate([half, -half]))
    assert encoder.lengths == [24_000, 24_000]
    assert read.labels == RAVDESS_8.labels
    assert read["angry"] == pytest.approx(read["sad"])
    assert read["angry"] > 0.4
    assert (await voice.read(half)).top == "angry"


def test_saved_weights_come_back(tmp_path: Path) -> None:
    head(1.5).save(tmp_path / "deep" / "head.npz")
    loaded = VoiceHead.load(tmp_path / "deep" / "head.npz")
    np.testing.assert_array_equal(loaded.weight, head().weight)
    assert loaded.temperature == 1.5


def test_the_shipped_weights_are_small_and_sound() -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
    assert VoiceHead.load().temperature > 0


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4 cut short"])
def test_broken_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(ModelCorruptError):
        VoiceHead.load(tmp_path / "head.npz")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    arrays = {"labels": np.asarray([print], dtype=object)}
    np.savez(tmp_path / "head.npz", allow_pickle=True, **arrays)
    with pytest.raises(ModelCorruptError):
        VoiceHead.load(tmp_path / "head.npz")


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ModelCorruptError):
        VoiceHead(np.zeros((3, 8), np.float32), np.zeros(8, np.float32), 1.0)
    with pytest.raises(ModelCorruptError):
        VoiceHead(np.full((FEATURES, 8), np.nan, np.float32), np.zeros(8, np.float32), 1.0)


@pytest.mark.models
@pytest.mark.data
def test_recordings_of_ravdess_are_read_as_played(
    requires_model: Callable[[str], Path], model_store: ModelStore, data_root: Path
) -> None:
    """The shipped head was trained on these: it shows that training and use fit together."""
    requires_model("whisper-tiny.en")
    voice = VoiceEmotion(WhisperEncoder(model_store))
    right = 0
    for emotion in range(1, 9):
        # Strong intensity; neutral has none.
        name = f"03-01-{emotion:02d}-{1 if emotion == 1 else 2:02d}-01-01-04.flac"
        samples = AudioFile(data_root / "ravdess" / name).samples
        speech = ActivityDetector().find(samples).cut(samples)
        right += voice.read_blocking(speech).top == RAVDESS_8.labels[emotion - 1]
    assert right >= 7
