"""Lays the voice emotion head out as an ONNX graph: a linear part and members that attend in time.

The layers of Whisper's encoder come in; calibrated probabilities come out. Both parts see pairs of
positions averaged (40 ms). The linear part reads the mean and the standard deviation over time.
Each member convolves principal components of the layers and pools them by attentive statistics
(Okabe et al., 2018, equations 5 and 6). The parts' log-probabilities are averaged by a learned
share and divided by the temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.speech.encoder import LAYERS

INPUT: Final = "layers"
OUTPUT: Final = "probabilities"
EPSILON: Final = 1e-5
VARIANCE_FLOOR: Final = 1e-5

_OPSET: Final = 20
_IR_VERSION: Final = 10

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LinearPart:
    """Logits of the mean and deviation over time.

    Attributes:
        weight: Shape (2 * 1920, 8).
        bias: Shape (8,).
    """

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Member:
    """A convolution, attentive statistics and a linear layer.

    Attributes:
        components: Shape (1920, dim); standardised principal components of the layers.
        offset: Shape (dim,), added to them.
        convolution: Shape (hidden, dim, kernel), the kernel odd; then its bias, (hidden,).
        attention: Shapes (hidden, inner), (inner,), (inner, heads), (heads,).
        norm: Gain and bias of a layer normalisation, (2 * heads * hidden,) each.
        output: Shapes (2 * heads * hidden, 8), (8,).
    """

    components: Array
    offset: Array
    convolution: tuple[Array, Array]
    attention: tuple[Array, Array, Array, Array]
    norm: tuple[Array, Array]
    output: tuple[Array, Array]


def head_model(
    linear: LinearPart, members: tuple[Member, ...], *, share: float, temperature: float
) -> Any:
    """Lay the head out as an ``onnx.ModelProto``.

    The graph takes ``layers``, float32 of shape (positions, 1920) with at least two positions, and
    gives ``probabilities``, float32 of shape (8,). Weights are stored as float16.

    Args:
        linear: The linear part.
        members: The others; their log-probabilities are averaged.
        share: Of the linear part, 0 to 1.
        temperature: Above 0.
    """
    from onnx import TensorProto, helper

    graph = _HeadGraph()
    pairs = graph.pairs()
    total = graph.scaled(graph.linear(pairs, linear), share)
    for member in members:
        part = graph.scaled(graph.member(pairs, member), (1.0 - share) / len(members))
        total = graph.add("Add", [total, part])
    calibrated = graph.scaled(total, 1.0 / temperature)
    graph.add("Softmax", [calibrated], out=OUTPUT, axis=0)
    proto = helper.make_graph(
        graph.nodes,
        "voice_emotion",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["positions", LAYERS])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [len(RAVDESS_8)])],
        initializer=graph.constants,
    )
    model = helper.make_model(
        proto, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", _OPSET)]
    )
    helper.set_model_props(model, {"labels": " ".join(RAVDESS_8.labels)})
    return model


class _HeadGraph:
    """Collects the nodes and constants of the graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._held: dict[int, str] = {}

    def add(self, kind: str, inputs: list[str], out: str = "", **attributes: object) -> str:
        """Add a node and name its output."""
        from onnx import helper

        out = out or f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], **attributes))
        return out

    def pairs(self) -> str:
        """Pairs of positions averaged; an odd last one is dropped."""
        count = self.add("Shape", [INPUT], start=0, end=1)
        even = self.add("Mul", [self.add("Div", [count, self._whole(2)]), self._whole(2)])
        kept = self.add("Slice", [INPUT, self._whole(0), even, self._whole(0)])
        split = self.add("Reshape", [kept, self._whole(-1, 2, LAYERS)])
        return self.add("ReduceMean", [split, self._whole(1)], keepdims=0)

    def linear(self, pairs: str, part: LinearPart) -> str:
        """Log-probabilities of the linear part."""
        mean = self.add("ReduceMean", [pairs, self._whole(0)], keepdims=0)
        offset = self.add("Sub", [pairs, mean])
        square = self.add("Mul", [offset, offset])
        variance = self.add("ReduceMean", [square, self._whole(0)], keepdims=0)
        pooled = self.add("Concat", [mean, self.add("Sqrt", [variance])], axis=0)
        logits = self.add("MatMul", [pooled, self._weight(part.weight)])
        return self._log_softmax(self.add("Add", [logits, self._weight(part.bias)]))

    def member(self, pairs: str, part: Member) -> str:
        """Log-probabilities of a member."""
        inputs = self.add("MatMul", [pairs, self._weight(part.components)])
        inputs = self.add("Add", [inputs, self._weight(part.offset)])
        inputs = self.add("Unsqueeze", [self.add("Transpose", [inputs]), self._whole(0)])
        margin = part.convolution[0].shape[2] // 2
        weights = [self._weight(array) for array in part.convolution]
        hidden = self.add("Conv", [inputs, *weights], pads=[margin, margin])
        hidden = self.add("Squeeze", [self.add("Gelu", [hidden]), self._whole(0)])
        over_time = self.add("Transpose", [hidden])
        first, first_bias, second, second_bias = (self._weight(array) for array in part.attention)
        scores = self.add("Add", [self.add("MatMul", [over_time, first]), first_bias])
        scores = self.add("MatMul", [self.add("Tanh", [scores]), second])
        scores = self.add("Softmax", [self.add("Add", [scores, second_bias])], axis=0)
        weight = self.add("Transpose", [scores])
        mean = self.add("MatMul", [weight, over_time])
        square = self.add("MatMul", [weight, self.add("Mul", [over_time, over_time])])
        variance = self.add("Sub", [square, self.add("Mul", [mean, mean])])
        floor = self._weight(np.asarray(VARIANCE_FLOOR), exact=True)
        deviation = self.add("Sqrt", [self.add("Max", [variance, floor])])
        pooled = self.add("Concat", [mean, deviation], axis=1)
        pooled = self.add("Reshape", [pooled, self._whole(-1)])
        gain, bias = (self._weight(array) for array in part.norm)
        pooled = self.add("LayerNormalization", [pooled, gain, bias], axis=-1, epsilon=EPSILON)
        logits = self.add("MatMul", [pooled, self._weight(part.output[0])])
        return self._log_softmax(self.add("Add", [logits, self._weight(part.output[1])]))

    def scaled(self, x: str, factor: float) -> str:
        """Multiplied by a number."""
        return self.add("Mul", [x, self._weight(np.asarray(factor), exact=True)])

    def _log_softmax(self, x: str) -> str:
        return self.add("LogSoftmax", [x], axis=0)

    def _weight(self, value: Array, *, exact: bool = False) -> str:
        """A constant, stored as float16 unless it must be exact; one node for each array."""
        from onnx import TensorProto, numpy_helper

        if id(value) in self._held:
            return self._held[id(value)]
        name = f"weight_{len(self.constants)}"
        kind = np.float32 if exact else np.float16
        # A transposed view would be written in the order of its memory.
        self.constants.append(numpy_helper.from_array(np.array(value, dtype=kind, order="C"), name))
        if not exact:
            name = self.add("Cast", [name], to=TensorProto.FLOAT)
            self._held[id(value)] = name
        return name

    def _whole(self, *values: int) -> str:
        from onnx import numpy_helper

        name = f"whole_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=np.int64), name))
        return name
