"""Builds an ONNX graph of Whisper's encoder that tells every layer.

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
FRAMES: Final = "frames"
LAYERS: Final = "layers"
HIDDEN: Final = "hidden"

_OPSET: Final = 20
_IR_VERSION: Final = 10
_EPSILON: Final = 1e-5

Weights = dict[str, NDArray[Any]]


def build(folder: Path) -> None:
    """Write ``encoder.onnx`` beside a pulled Whisper model's ``model.bin``.

    The graph takes ``mel``, float32 of shape (batch, 80, longest) with at most 3000 frames, and
    ``frames``, int64 of shape (batch,): how many frames of each are sound; what lies behind them
    changes nothing. It gives ``layers``, float32 of shape (batch, positions, (blocks + 1) * width):
    the convolutions' output and each block's output side by side, a position every 20 ms. Only the
    first ``(frames + 1) // 2`` positions of each mean anything.

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
        hidden: Also give ``hidden``, the final norm's output of shape (batch, positions, width).
    """
    from onnx import TensorProto, helper

    graph = _EncoderGraph(weights)
    layers = graph.lay_out()
    shape = ["batch", None, len(layers) * graph.width]
    outputs = [helper.make_tensor_value_info(LAYERS, TensorProto.FLOAT, shape)]
    graph.add("Concat", layers, out=LAYERS, axis=2)
    if hidden:
        graph.add("Identity", [graph.norm(layers[-1], "layer_norm")], out=HIDDEN)
        shape = ["batch", None, graph.width]
        outputs.append(helper.make_tensor_value_info(HIDDEN, TensorProto.FLOAT, shape))
    inputs = [
        helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", BANDS, "longest"]),
        helper.make_tensor_value_info(FRAMES, TensorProto.INT64, ["batch"]),
    ]
    proto = helper.make_graph(
        graph.nodes, "whisper_encoder", inputs, outputs, initializer=graph.constants
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
        self._unheard = ""
        self.width = int(self._weight("conv2/weight").shape[0])
        self._heads = int(self._weight("num_heads"))
        self._blocks = sum(
            name.startswith("encoder/layer_") and name.endswith("self_attention/linear_0/weight")
            for name in weights
        )

    def lay_out(self) -> list[str]:
        """Lay out all layers.

        Returns:
            Names of the convolutions' output and of each block's.
        """
        x = self._convolution(INPUT, "conv1", stride=1)
        # Behind its end an utterance must look to the second convolution as it does alone: zero.
        x = self.add("Where", [self._is_sound(x, axis=2), x, self._number("zero", 0.0)])
        x = self._convolution(x, "conv2", stride=2)
        x = self.add("Transpose", [x], perm=[0, 2, 1])
        layers = [x]
        self._unheard = self._masked(x)
        x = self.add("Add", [x, self._positions(x)])
        for block in range(self._blocks):
            x = self._attention(x, f"layer_{block}/self_attention")
            x = self._feed_forward(x, f"layer_{block}/ffn")
            layers.append(x)
        return layers

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

    def _is_sound(self, x: str, *, axis: int, step: int = 1) -> str:
        """Which places along an axis of ``x``, ``step`` frames each, are sound: (batch, 1, n)."""
        count = self.add("Shape", [x], start=axis, end=axis + 1)
        count = self.add("Squeeze", [count, self._whole(0)])
        first, by = (self._constant(f"scalar_{n}", np.asarray(n, dtype=np.int64)) for n in (0, 1))
        places = self.add("Range", [first, count, by])
        places = self.add("Mul", [places, self._whole(step)])
        ends = self.add("Unsqueeze", [FRAMES, self._whole(1, 2)])
        return self.add("Less", [places, ends])

    def _masked(self, x: str) -> str:
        """What is added to the scores of attention, (batch, 1, 1, positions)."""
        sound = self._is_sound(x, axis=1, step=2)
        far = self._number("far", -1e4)
        mask = self.add("Where", [sound, self._number("zero", 0.0), far])
        return self.add("Unsqueeze", [mask, self._whole(1)])

    def _number(self, name: str, value: float) -> str:
        return self._constant(name, np.asarray(value, dtype=np.float32))

    def _positions(self, x: str) -> str:
        """The first positional encodings, as many as there are time steps."""
        steps = self.add("Shape", [x], start=1, end=2)
        table = self._float("position_encodings/encodings")
        return self.add("Slice", [table, self._whole(0), steps, self._whole(0)])

    def norm(self, x: str, name: str) -> str:
        """A layer normalisation with the weights of that name."""
        inputs = [x, self._float(f"{name}/gamma"), self._float(f"{name}/beta")]
        return self.add("LayerNormalization", inputs, axis=-1, epsilon=_EPSILON)

    def _linear(self, x: str, name: str) -> str:
        x = self.add("MatMul", [x, self._float(f"{name}/weight", transposed=True)])
        return self.add("Add", [x, self._float(f"{name}/bias")])

    def _attention(self, x: str, name: str) -> str:
        normed = self.norm(x, f"{name}/layer_norm")
        fused = self._linear(normed, f"{name}/linear_0")
        head = self.width // self._heads
        split = self.add("Reshape", [fused, self._whole(0, -1, 3, self._heads, head)])
        # (batch, time, 3, heads, head) -> (3, batch, heads, time, head)
        split = self.add("Transpose", [split], perm=[2, 0, 3, 1, 4])
        query, key, value = (
            self.add("Gather", [split, self._constant(f"pick_{i}", np.asarray(i))], axis=0)
            for i in range(3)
        )
        key = self.add("Transpose", [key], perm=[0, 1, 3, 2])
        scale = self._number("scale", 1 / math.sqrt(head))
        scores = self.add("Mul", [self.add("MatMul", [query, key]), scale])
        scores = self.add("Add", [scores, self._unheard])
        mixed = self.add("MatMul", [self.add("Softmax", [scores], axis=-1), value])
        mixed = self.add("Transpose", [mixed], perm=[0, 2, 1, 3])
        mixed = self.add("Reshape", [mixed, self._whole(0, -1, self.width)])
        return self.add("Add", [x, self._linear(mixed, f"{name}/linear_1")])

    def _feed_forward(self, x: str, name: str) -> str:
        inner = self._linear(self.norm(x, f"{name}/layer_norm"), f"{name}/linear_0")
        return self.add("Add", [x, self._linear(self.add("Gelu", [inner]), f"{name}/linear_1")])
