from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError, ModelMissingError
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import WhisperEncoder
from affectgraph.perceivers.speech.ctranslate2_file import read_arrays
from affectgraph.perceivers.speech.encoder import LAYERS, _alike
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
    frames = np.asarray([3000], dtype=np.int64)
    hidden, layers = session.run(["hidden", "layers"], {"mel": mel, "frames": frames})

    whisper = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32")
    expected = np.asarray(whisper.encode(ctranslate2.StorageView.from_array(mel)))
    assert hidden.shape == expected.shape == (1, 1500, 384)
    np.testing.assert_allclose(hidden, expected, atol=1e-3)
    # The final norm of the last of the layers side by side.
    last = layers[0, :, -384:]
    gain, bias = (
        read_arrays(folder / "model.bin")[f"encoder/layer_norm/{name}"]
        for name in ("gamma", "beta")
    )
    normal = (last - last.mean(axis=1, keepdims=True)) / np.sqrt(last.var(axis=1, keepdims=True))
    np.testing.assert_allclose(normal * gain + bias, hidden[0], atol=1e-2)


@pytest.mark.models
def test_layers_of_an_unpadded_utterance(requires_model: Pull, model_store: ModelStore) -> None:
    requires_model("whisper-tiny.en")
    encoder = WhisperEncoder(model_store)
    for seconds in (0.5, 4.0):
        layers = encoder.layers(log_mel(voice_like(seconds)))
        assert layers.shape == (seconds * 50, LAYERS)
        assert np.isfinite(layers).all()
    for frames in (1, 3001):
        with pytest.raises(ValueError, match=r"0\.02 to 30"):
            encoder.layers(np.zeros((80, frames), dtype=np.float32))


@pytest.mark.models
def test_utterances_that_share_a_pass_do_not_hear_each_other(
    requires_model: Pull, model_store: ModelStore
) -> None:
    requires_model("whisper-tiny.en")
    encoder = WhisperEncoder(model_store)
    # Odd and even numbers of frames; the last is too short to share a pass with the others.
    mels = [log_mel(voice_like(seconds)) for seconds in (1.6, 1.75, 2.0, 1.99, 0.5)]
    shared = encoder.batch(mels)
    for mel, together in zip(mels, shared, strict=True):
        alone = encoder.layers(mel)
        assert together.shape == alone.shape == ((mel.shape[1] + 1) // 2, LAYERS)
        np.testing.assert_allclose(together, alone, atol=2e-3)
    assert encoder.batch([]) == []


@given(st.lists(st.integers(2, 3000), max_size=12))
def test_passes_hold_every_utterance_once_and_little_padding(lengths: list[int]) -> None:
    groups = list(_alike(lengths))
    assert sorted(at for group in groups for at in group) == list(range(len(lengths)))
    for group in groups:
        inside = [lengths[at] for at in group]
        assert min(inside) >= 0.75 * max(inside)


@pytest.mark.models
def test_a_graph_of_an_earlier_version_is_laid_out_anew(
    requires_model: Pull, model_store: ModelStore, tmp_path: Path
) -> None:
    folder = requires_model("whisper-tiny.en")
    old = ModelStore(tmp_path)
    place = old.folder("whisper-tiny.en")
    place.mkdir()
    (place / "READY").touch()
    (place / "model.bin").symlink_to(folder / "model.bin")
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Identity", ["mel"], ["features"])
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [node], "old", [value("mel", kind, [1])], [value("features", kind, [1])]
    )
    opset = [onnx.helper.make_opsetid("", 20)]
    onnx.save(
        onnx.helper.make_model(graph, ir_version=10, opset_imports=opset), place / "encoder.onnx"
    )
    mel = log_mel(voice_like(1.0))
    np.testing.assert_allclose(
        WhisperEncoder(old).layers(mel), WhisperEncoder(model_store).layers(mel), atol=1e-3
    )


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
