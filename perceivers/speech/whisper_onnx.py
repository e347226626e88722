"""Builds an ONNX graph of Whisper's encoder that tells the statistics of every layer.

CTranslate2 runs the encoder on a padded window of 30 seconds and gives its last layer only. Voice
emotion lives in the layers below, and an utterance of a few seconds needs a few per cent of that
work; so the weights are read from the same file and the encoder is laid out anew.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.perceivers.speech.ctranslate2_file import read_arrays
from affectgraph.perceivers.speech.mel import BANDS

INPUT: Final = "mel"
FEATURES: Final = "features"
HIDDEN: Final = "hidden"

_OPSET: Final = 20
_IR_VERSION: Final = 10
_EPSILON: Final = 1e-5

Weights = dict[str, NDArray[Any]]


def build(folder: Path) -> None:
    """Write ``encoder.onnx`` beside a pulled Whisper model's ``model.bin``.

    The graph takes ``mel``, float32 of shape (1, 80, frames) with at most 3000 frames, and gives
    ``features``, float32 of shape (2 * (blocks + 2) * width,): for the convolutions' output, each
    block's output and the final norm in turn, the mean over time and then the standard deviation.

    Raises:
        ModelCorruptError: If the weights cannot be read or are not Whisper's encoder.
    """
    import onnx

    weights = read_arrays(folder / "model.bin")
    try:
        model = encoder_model(weights)
    except KeyError as error:
        raise ModelCorruptError(f"model.bin: not Whisper's encoder, no {error.args[0]}") from None
    onnx.save(model, str(folder / "encoder.onnx"))


def encoder_model(weights: Weights, *, hidden: bool = False) -> Any:
    """Lay the encoder out as an ``onnx.ModelProto``.

    Args:
        weights: Arrays of the CTranslate2 model.
        hidden: Also give ``hidden``, the final norm's output of shape (1, positions, width).
    """
    from onnx import TensorProto, helper

    graph = _EncoderGraph(weights)
    last, statistics = graph.lay_out()
    outputs = [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [None])]
    graph.add("Concat", statistics, out=FEATURES, axis=0)
    if hidden:
        graph.add("Identity", [last], out=HIDDEN)
        shape = [1, None, graph.width]
        outputs.append(helper.make_tensor_value_info(HIDDEN, TensorProto.FLOAT, shape))
    mel = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, BANDS, "frames"])
    proto = helper.make_graph(
        graph.nodes, "whisper_encoder", [mel], outputs, initializer=graph.constants
    )
    return helper.make_model(
        proto, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)]
    )


class _EncoderGraph:
    """Collects the nodes and constants of the graph."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._known: set[str] = set()
        self.width = int(self._weight("conv2/weight").shape[0])
        self._heads = int(self._weight("num_heads"))
        self._blocks = sum(
            name.startswith("encoder/layer_") and name.endswith("self_attention/linear_0/weight")
            for name in weights
        )

    def lay_out(self) -> tuple[str, list[str]]:
        """Lay out all layers.

        Returns:
            Name of the last layer's output, and the names of all statistics in order.
        """
        x = self._convolution(INPUT, "conv1", stride=1)
        x = self._convolution(x, "conv2", stride=2)
        x = self.add("Transpose", [x], perm=[0, 2, 1])
        statistics = self._statistics(x)
        x = self.add("Add", [x, self._positions(x)])
        for block in range(self._blocks):
            x = self._attention(x, f"layer_{block}/self_attention")
            x = self._feed_forward(x, f"layer_{block}/ffn")
            statistics += self._statistics(x)
        x = self._norm(x, "layer_norm")
        return x, statistics + self._statistics(x)

    def add(self, kind: str, inputs: list[str], out: str = "", **attributes: object) -> str:
        """Add a node and name its output."""
        from onnx import helper

        out = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def _weight(self, name: str) -> NDArray[Any]:
        return self._weights[f"encoder/{name}"]

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        if name not in self._known:
            self._known.add(name)
            self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def _whole(self, *values: int) -> str:
        """A constant list of whole numbers."""
        return self._constant(f"whole_{values}", np.asarray(values, dtype=np.int64))

    def _float(self, name: str, *, transposed: bool = False) -> str:
        value = self._weight(name).astype(np.float32)
        return self._constant(name, value.T if transposed else value)

    def _convolution(self, x: str, name: str, *, stride: int) -> str:
        inputs = [x, self._float(f"{name}/weight"), self._float(f"{name}/bias")]
        x = self.add("Conv", inputs, kernel_shape=[3], pads=[1, 1], strides=[stride])
        return self.add("Gelu", [x])

    def _positions(self, x: str) -> str:
        """The first positional encodings, as many as there are time steps."""
        steps = self.add("Shape", [x], start=1, end=2)
        table = self._float("position_encodings/encodings")
        return self.add("Slice", [table, self._whole(0), steps, self._whole(0)])

    def _norm(self, x: str, name: str) -> str:
        inputs = [x, self._float(f"{name}/gamma"), self._float(f"{name}/beta")]
        return self.add("LayerNormalization", inputs, axis=-1, epsilon=_EPSILON)

    def _linear(self, x: str, name: str) -> str:
        x = self.add("MatMul", [x, self._float(f"{name}/weight", transposed=True)])
        return self.add("Add", [x, self._float(f"{name}/bias")])

    def _attention(self, x: str, name: str) -> str:
        normed = self._norm(x, f"{name}/layer_norm")
        fused = self._linear(normed, f"{name}/linear_0")
        head = self.width // self._heads
        split = self.add("Reshape", [fused, self._whole(-1, 3, self._heads, head)])
        # (time, 3, heads, head) -> (3, heads, time, head)
        split = self.add("Transpose", [split], perm=[1, 2, 0, 3])
        query, key, value = (
            self.add("Gather", [split, self._constant(f"pick_{i}", np.asarray(i))], axis=0)
            for i in range(3)
        )
        key = self.add("Transpose", [key], perm=[0, 2, 1])
        scale = self._constant("scale", np.asarray(1 / math.sqrt(head), dtype=np.float32))
        scores = self.add("Mul", [self.add("MatMul", [query, key]), scale])
        mixed = self.add("MatMul", [self.add("Softmax", [scores], axis=-1), value])
        mixed = self.add("Transpose", [mixed], perm=[1, 0, 2])
        mixed = self.add("Reshape", [mixed, self._whole(1, -1, self.width)])
        return self.add("Add", [x, self._linear(mixed, f"{name}/linear_1")])

    def _feed_forward(self, x: str, name: str) -> str:
        inner = self._linear(self._norm(x, f"{name}/layer_norm"), f"{name}/linear_0")
        return self.add("Add", [x, self._linear(self.add("Gelu", [inner]), f"{name}/linear_1")])

    def _statistics(self, x: str) -> list[str]:
        """Mean and standard deviation over time, each of shape (width,)."""
        over_time = self._whole(0, 1)
        mean = self.add("ReduceMean", [x, over_time], keepdims=0)
        offset = self.add("Sub", [x, mean])
        square = self.add("Mul", [offset, offset])
        variance = self.add("ReduceMean", [square, over_time], keepdims=0)
        return [mean, self.add("Sqrt", [variance])]
