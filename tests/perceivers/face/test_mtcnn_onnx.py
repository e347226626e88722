"""The ONNX graphs compute what the layers say: against a plain forward pass in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.face.mtcnn_onnx import NETWORKS, build, make_network, read_weights

Floats = NDArray[np.float32]

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "pnet": [
        (3, 3, 3, 10), (10,), (1, 1, 10), (3, 3, 10, 16), (16,), (1, 1, 16), (3, 3, 16, 32), (32,),
        (1, 1, 32), (1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,),
    ],
    "rnet": [
        (3, 3, 3, 28), (28,), (1, 1, 28), (3, 3, 28, 48), (48,), (1, 1, 48), (2, 2, 48, 64), (64,),
        (1, 1, 64), (576, 128), (128,), (128,), (128, 4), (4,), (128, 2), (2,),
    ],
    "onet": [
        (3, 3, 3, 32), (32,), (1, 1, 32), (3, 3, 32, 64), (64,), (1, 1, 64), (3, 3, 64, 64), (64,),
        (1, 1, 64), (2, 2, 64, 128), (128,), (1, 1, 128), (1152, 256), (256,), (256,), (256, 4),
        (4,), (256, 10), (10,), (256, 2), (2,),
    ],
}  # fmt: skip


def random_weights(name: str) -> list[Floats]:
    rng = np.random.default_rng(7)
    return [
        (rng.standard_normal(shape) / np.sqrt(math.prod(shape[:-1]))).astype(np.float32)
        for shape in SHAPES[name]
    ]


def conv(x: Floats, kernel: Floats, bias: Floats) -> Floats:
    """Valid convolution of (rows, columns, in) with Keras's (height, width, in, out)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(0, 1))
    return np.asarray(np.einsum("rcikl,klio->rco", windows, kernel) + bias, dtype=np.float32)


def prelu(x: Floats, slope: Floats) -> Floats:
    return np.where(x > 0, x, x * slope.reshape(-1))


def pool(x: Floats, size: int, *, same: bool) -> Floats:
    """Maximum with stride 2; ``same`` pads below and to the right, as TensorFlow does."""
    if same:
        pads = []
        for length in x.shape[:2]:
            total = max(0, (-(-length // 2) - 1) * 2 + size - length)
            pads.append((total // 2, total - total // 2))
        x = np.pad(x, [*pads, (0, 0)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(0, 1))
    return np.asarray(windows[::2, ::2].max(axis=(3, 4)))


def softmax(x: Floats) -> Floats:
    exponents = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=-1, keepdims=True))


def run(name: str, weights: list[Floats], pixels: Floats) -> dict[str, Floats]:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        make_network(name, weights).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


def random_pixels(count: int, height: int, width: int) -> Floats:
    rng = np.random.default_rng(3)
    return (rng.random((count, 3, height, width)) * 255).astype(np.float32)


def normal(pixels: Floats) -> Floats:
    return (pixels.transpose(1, 2, 0) - np.float32(127.5)) / np.float32(128)


@pytest.mark.parametrize("size", [(12, 12), (17, 30)])
def test_pnet_equals_a_plain_forward_pass(size: tuple[int, int]) -> None:
    w, pixels = random_weights("pnet"), random_pixels(2, *size)
    out = run("pnet", w, pixels)
    for index, image in enumerate(pixels):
        x = pool(prelu(conv(normal(image), w[0], w[1]), w[2]), 2, same=True)
        x = prelu(conv(x, w[3], w[4]), w[5])
        x = prelu(conv(x, w[6], w[7]), w[8])
        offsets = conv(x, w[9], w[10]).transpose(2, 0, 1)
        scores = softmax(conv(x, w[11], w[12])).transpose(2, 0, 1)
        assert out["offsets"][index] == pytest.approx(offsets, abs=1e-4)
        assert out["scores"][index] == pytest.approx(scores, abs=1e-4)


def test_rnet_equals_a_plain_forward_pass() -> None:
    w, pixels = random_weights("rnet"), random_pixels(3, 24, 24)
    out = run("rnet", w, pixels)
    for index, image in enumerate(pixels):
        x = pool(prelu(conv(normal(image), w[0], w[1]), w[2]), 3, same=True)
        x = pool(prelu(conv(x, w[3], w[4]), w[5]), 3, same=False)
        x = prelu(conv(x, w[6], w[7]), w[8])
        hidden = prelu(x.transpose(1, 0, 2).reshape(-1) @ w[9] + w[10], w[11])
        assert out["offsets"][index] == pytest.approx(hidden @ w[12] + w[13], abs=1e-4)
        assert out["scores"][index] == pytest.approx(softmax(hidden @ w[14] + w[15]), abs=1e-4)


def test_onet_has_three_heads_and_takes_any_batch() -> None:
    out = run("onet", random_weights("onet"), random_pixels(2, 48, 48))
    assert {name: array.shape for name, array in out.items()} == {
        "offsets": (2, 4),
        "landmarks": (2, 10),
        "scores": (2, 2),
    }
    assert out["scores"].sum(axis=1) == pytest.approx(np.ones(2), abs=1e-5)


@pytest.mark.parametrize(("change", "said"), [(-1, "too few"), (1, "too many")])
def test_a_wrong_number_of_arrays_is_refused(change: int, said: str) -> None:
    weights = random_weights("pnet")
    changed = weights[:change] if change < 0 else [*weights, weights[-1]]
    with pytest.raises(SetupError, match=f"pnet: .* {said}"):
        make_network("pnet", changed)


def test_build_writes_the_three_networks(tmp_path: Path) -> None:
    import onnxruntime

    for name in NETWORKS:
        joblib.dump(random_weights(name), tmp_path / f"{name}.lz4")
    build(tmp_path)
    for name in NETWORKS:
        session: Any = onnxruntime.InferenceSession(
            tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"]
        )
        assert [value.name for value in session.get_inputs()] == ["pixels"]


def test_a_dump_of_something_else_is_refused(tmp_path: Path) -> None:
    joblib.dump({"not": "a list"}, tmp_path / "pnet.lz4")
    with pytest.raises(SetupError, match="not a list of arrays"):
        build(tmp_path)
    with pytest.raises(SetupError, match="cannot be read"):
        read_weights(tmp_path / "absent.lz4")


@pytest.mark.models
def test_the_published_weights_have_the_shapes_of_the_paper(
    requires_model: Callable[[str], Path],
) -> None:
    folder = requires_model("mtcnn")
    for name in NETWORKS:
        assert [w.shape for w in read_weights(folder / f"{name}.lz4")] == SHAPES[name]
