from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError, ModelMissingError
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import WhisperEncoder
from affectgraph.perceivers.speech.ctranslate2_file import read_arrays
from affectgraph.perceivers.speech.encoder import FEATURES
from affectgraph.perceivers.speech.mel import log_mel
from affectgraph.perceivers.speech.whisper_onnx import build, encoder_model

Pull = Callable[[str], Path]


def voice_like(seconds: float) -> NDArray[np.float32]:
    """A buzz with a moving pitch and some breath."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 1.5 * time)) / 16_000
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    breath = np.random.default_rng(0).normal(0, 0.02, len(time))
    return np.asarray(0.1 * buzz + breath, dtype=np.float32)


@pytest.mark.models
def test_the_last_layer_is_what_ctranslate2_gives(requires_model: Pull) -> None:
    import ctranslate2

    folder = requires_model("whisper-tiny.en")
    graph = encoder_model(read_arrays(folder / "model.bin"), hidden=True)
    onnx.checker.check_model(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    padded = np.pad(voice_like(3.0), (0, 27 * 16_000))
    mel = log_mel(padded)[None]
    hidden, features = session.run(["hidden", "features"], {"mel": mel})

    whisper = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32")
    expected = np.asarray(whisper.encode(ctranslate2.StorageView.from_array(mel)))
    assert hidden.shape == expected.shape == (1, 1500, 384)
    np.testing.assert_allclose(hidden, expected, atol=1e-3)
    last = np.concatenate([hidden[0].mean(axis=0), hidden[0].std(axis=0)])
    np.testing.assert_allclose(features[-768:], last, atol=1e-4)


@pytest.mark.models
def test_features_of_an_unpadded_utterance(requires_model: Pull, model_store: ModelStore) -> None:
    requires_model("whisper-tiny.en")
    encoder = WhisperEncoder(model_store, threads=1)
    for seconds in (0.5, 4.0):
        features = encoder.features(voice_like(seconds))
        assert features.shape == (FEATURES,)
        assert np.isfinite(features).all()
    with pytest.raises(ValueError, match="at most 30 seconds"):
        encoder.features(np.zeros(31 * 16_000, dtype=np.float32))


def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"models pull whisper-tiny\.en"):
        WhisperEncoder(ModelStore(tmp_path)).load()


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"\6\0\0\0 nothing")
    with pytest.raises(ModelCorruptError):
        build(tmp_path)
    assert not (tmp_path / "encoder.onnx").exists()


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    # A well-formed file of version 6 that holds no array.
    (tmp_path / "model.bin").write_bytes(b"\6\0\0\0" + b"\2\0X\0" + b"\1\0\0\0" + b"\0" * 8)
    with pytest.raises(ModelCorruptError, match="not Whisper's encoder"):
        build(tmp_path)
