"""Builds the ONNX graph of all-MiniLM-L6-v2 from its weights, without torch.

The graph is written node by node, so what runs is what stands here: BERT (Devlin et al., 2019)
with six layers, then the mean over the tokens that count and the L2 norm, as the model was
trained with (Reimers and Gurevych, 2019, section 3).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

Weights = dict[str, NDArray[Any]]

WEIGHTS: Final = "model.safetensors"
GRAPH: Final = "encoder.onnx"
LAYERS: Final = 6
DEPTH: Final = LAYERS + 1
HIDDEN: Final = 384
HEADS: Final = 12
HEAD_WIDTH: Final = HIDDEN // HEADS
VOCABULARY: Final = 30_522
POSITIONS: Final = 512
EPSILON: Final = 1e-12

# Opset 20 brings Gelu as one operator; version 9 of the format is what opset 20 came with.
_OPSET: Final = 20
_FORMAT: Final = 9


def build(folder: Path) -> None:
    """Write ``encoder.onnx`` beside ``model.safetensors``.

    Inputs of the graph: ``input_ids`` and ``attention_mask`` (int64, [batch, tokens], at most
    512 tokens, at least one that counts in each row). Outputs: ``embedding`` (float32,
    [batch, 384], unit length) and ``layers`` (float32, [batch, 7, 384]), the means of the input
    embeddings and of each of the six layers. Emotion is told by words as much as by meaning, so
    a head over all layers reads it far better than one over the last, at no cost.

    Args:
        folder: The model's folder.

    Raises:
        ModelCorruptError: If a tensor is missing or has another shape.
    """
    import onnx
    from safetensors.numpy import load_file

    weights = load_file(folder / WEIGHTS)
    table = weights.get("embeddings.word_embeddings.weight")
    if table is None or table.shape != (VOCABULARY, HIDDEN):
        raise ModelCorruptError(f"{folder / WEIGHTS}: not the weights of all-MiniLM-L6-v2")
    try:
        model = _Graph(weights).model()
    except KeyError as error:
        raise ModelCorruptError(f"{folder / WEIGHTS}: tensor {error} is missing") from None
    onnx.checker.check_model(model)
    # A half-written graph must never carry the final name.
    partial = folder / f"{GRAPH}.partial"
    onnx.save_model(model, str(partial))
    partial.replace(folder / GRAPH)


class _Graph:
    """Gathers the nodes and constants of the encoder."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: Weights = {}

    def model(self) -> Any:
        """The whole model as an ``onnx.ModelProto``."""
        from onnx import TensorProto, helper, numpy_helper

        self._constant("heads", np.array([0, 0, HEADS, HEAD_WIDTH], np.int64))
        self._constant("joined", np.array([0, 0, HIDDEN], np.int64))
        self._constant("scale", np.array(HEAD_WIDTH**-0.5, np.float32))
        bias = self._attention_bias()
        states = [self._embeddings()]
        for number in range(LAYERS):
            states.append(self._layer(number, states[-1], bias))
        self._pool(states)
        ids = ("input_ids", "attention_mask")
        floats = (("embedding", ["batch", HIDDEN]), ("layers", ["batch", DEPTH, HIDDEN]))
        graph = helper.make_graph(
            self._nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "tokens"]) for n in ids],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in floats],
            [numpy_helper.from_array(array, name) for name, array in self._constants.items()],
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_FORMAT,
            producer_name="affectgraph",
        )

    def _attention_bias(self) -> str:
        """0 where a token counts and a huge negative number where it does not."""
        self._constant("one", np.array(1.0, np.float32))
        self._constant("least", np.array(-1e9, np.float32))
        self._constant("over_heads_and_queries", np.array([1, 2], np.int64))
        counts = self._node("Cast", ["attention_mask"], "counts", to=1)
        absent = self._node("Sub", ["one", counts], "absent")
        bias = self._node("Mul", [absent, "least"], "absent.bias")
        return self._node("Unsqueeze", [bias, "over_heads_and_queries"], "attention.bias")

    def _embeddings(self) -> str:
        """Word, position and (always the first) segment embeddings, summed and normalised."""
        words = self._weight("embeddings.word_embeddings.weight")
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._weights["embeddings.position_embeddings.weight"] + segment
        self._constant("positions", positions.astype(np.float32))
        self._constant("first", np.array([0], np.int64))
        looked_up = self._node("Gather", [words, "input_ids"], "words", axis=0)
        length = self._node("Shape", ["input_ids"], "length", start=1, end=2)
        used = self._node("Slice", ["positions", "first", length, "first"], "positions.used")
        summed = self._node("Add", [looked_up, used], "embeddings.sum")
        return self._norm("embeddings.LayerNorm", summed, "embeddings")

    def _layer(self, number: int, hidden: str, bias: str) -> str:
        prefix = f"encoder.layer.{number}"
        attended = self._attention(prefix, hidden, bias)
        added = self._node("Add", [attended, hidden], f"{prefix}.attention.sum")
        middle = self._norm(f"{prefix}.attention.output.LayerNorm", added, f"{prefix}.middle")
        wide = self._dense([f"{prefix}.intermediate.dense"], middle, f"{prefix}.wide")
        curved = self._node("Gelu", [wide], f"{prefix}.gelu")
        narrow = self._dense([f"{prefix}.output.dense"], curved, f"{prefix}.narrow")
        summed = self._node("Add", [narrow, middle], f"{prefix}.sum")
        return self._norm(f"{prefix}.output.LayerNorm", summed, f"{prefix}.out")

    def _attention(self, prefix: str, hidden: str, bias: str) -> str:
        """Self-attention; queries, keys and values come from one product."""
        parts = ("query", "key", "value")
        names = [f"{prefix}.attention.self.{part}" for part in parts]
        packed = self._dense(names, hidden, f"{prefix}.qkv")
        split = [f"{prefix}.{part}" for part in parts]
        self._nodes.append(_make_node("Split", [packed], split, axis=-1, num_outputs=3))
        query, key, value = (
            self._node(
                "Transpose",
                [self._node("Reshape", [part, "heads"], f"{part}.heads")],
                f"{part}.ready",
                perm=[0, 2, 3, 1] if part.endswith("key") else [0, 2, 1, 3],
            )
            for part in split
        )
        raw = self._node("MatMul", [query, key], f"{prefix}.products")
        scaled = self._node("Mul", [raw, "scale"], f"{prefix}.products.scaled")
        masked = self._node("Add", [scaled, bias], f"{prefix}.products.masked")
        weights = self._node("Softmax", [masked], f"{prefix}.attention", axis=-1)
        mixed = self._node("MatMul", [weights, value], f"{prefix}.mixed")
        turned = self._node("Transpose", [mixed], f"{prefix}.mixed.turned", perm=[0, 2, 1, 3])
        joined = self._node("Reshape", [turned, "joined"], f"{prefix}.mixed.joined")
        return self._dense([f"{prefix}.attention.output.dense"], joined, f"{prefix}.attended")

    def _pool(self, states: list[str]) -> None:
        """Means over the tokens that count; the last one, at unit length, is the embedding."""
        self._constant("last_axis", np.array([2], np.int64))
        self._constant("token_axis", np.array([1], np.int64))
        self._constant("tiny", np.array(1e-12, np.float32))
        column = self._node("Unsqueeze", ["counts", "last_axis"], "counts.column")
        tokens = self._node("ReduceSum", [column, "token_axis"], "tokens.counted", keepdims=1)
        means = []
        for state in states:
            kept = self._node("Mul", [state, column], f"{state}.kept")
            total = self._node("ReduceSum", [kept, "token_axis"], f"{state}.total", keepdims=1)
            means.append(self._node("Div", [total, tokens], f"{state}.mean"))
        self._node("Concat", means, "layers", axis=1)
        mean = self._node("Squeeze", [means[-1], "token_axis"], "mean")
        length = self._node("ReduceL2", [mean, "token_axis"], "mean.length", keepdims=1)
        safe = self._node("Max", [length, "tiny"], "mean.length.safe")
        self._node("Div", [mean, safe], "embedding")

    def _dense(self, names: list[str], of: str, out: str) -> str:
        """``x @ W.T + b``; several layers over one input become one product."""
        weight = np.concatenate([self._weights[f"{n}.weight"].T for n in names], axis=1)
        bias = np.concatenate([self._weights[f"{n}.bias"] for n in names])
        self._constant(f"{out}.weight", np.ascontiguousarray(weight, np.float32))
        self._constant(f"{out}.bias", bias.astype(np.float32))
        product = self._node("MatMul", [of, f"{out}.weight"], f"{out}.product")
        return self._node("Add", [product, f"{out}.bias"], out)

    def _norm(self, name: str, of: str, out: str) -> str:
        scale, shift = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._node("LayerNormalization", [of, scale, shift], out, axis=-1, epsilon=EPSILON)

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name].astype(np.float32))

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        self._constants[name] = array
        return name

    def _node(self, operator: str, inputs: list[str], out: str, **attributes: object) -> str:
        self._nodes.append(_make_node(operator, inputs, [out], **attributes))
        return out


def _make_node(operator: str, inputs: list[str], outputs: list[str], **attributes: object) -> Any:
    from onnx import helper

    return helper.make_node(operator, inputs, outputs, name=f"{outputs[0]}:node", **attributes)
