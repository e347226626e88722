"""Writes MiniLM as an ONNX graph from its weights, without torch.

The graph is written node by node, so what runs is what stands here: BERT (Devlin et al., 2019)
with six layers, then the mean over the tokens that count and the L2 norm, as the model was
trained with (Reimers and Gurevych, 2019, section 3). The same lines write the original and, with
the weights of its heads, the encoder that is trained for affect.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Weights = dict[str, NDArray[Any]]

WEIGHTS: Final = "model.safetensors"
GRAPH: Final = "encoder.onnx"
LAYERS: Final = 6
HIDDEN: Final = 384
HEADS: Final = 12
HEAD_WIDTH: Final = HIDDEN // HEADS
FEATURES: Final = 2 * HIDDEN
"""What the heads see of a text: the mean over its tokens, and its first token."""
VOCABULARY: Final = 30_522
POSITIONS: Final = 512
EPSILON: Final = 1e-12

RETRIEVAL: Final = "heads.retrieval"
EMOTION: Final = ("heads.emotion.inner", "heads.emotion.outer")
VAD: Final = ("heads.vad.inner", "heads.vad.outer")
TEMPERATURE: Final = "temperature"

_WORDS: Final = "embeddings.word_embeddings.weight"

# Opset 20 brings Gelu as one operator; version 9 of the format is what opset 20 came with.
_OPSET: Final = 20
_FORMAT: Final = 9


def build(folder: Path) -> None:
    """Write ``encoder.onnx`` of the original model beside ``model.safetensors``.

    Args:
        folder: The model's folder.

    Raises:
        ModelCorruptError: If a tensor is missing or has another shape.
    """
    import onnx
    from safetensors.numpy import load_file

    model = graph(load_file(folder / WEIGHTS), folder / WEIGHTS)
    # A half-written graph must never carry the final name.
    partial = folder / f"{GRAPH}.partial"
    onnx.save_model(model, str(partial))
    partial.replace(folder / GRAPH)


def graph(weights: Weights, source: Path, *, heads: bool = False) -> Any:
    """The model as an ``onnx.ModelProto``, float32.

    With heads the table of words, half of all numbers, is kept in int8 with a scale a word: it is
    looked up, not multiplied, so that costs nothing.

    Inputs: ``input_ids`` and ``attention_mask`` (int64, [batch, tokens], at most 512 tokens, at
    least one that counts in each row). Output: ``embedding`` (float32, [batch, 384], unit length).
    With heads also ``features`` ([batch, 768]), ``probs`` ([batch, 28], rows that sum to 1, under
    the temperature) and ``vad`` ([batch, 3]).

    Args:
        weights: Tensors by their name in BERT; heads by the names in this module.
        source: Where they come from, for the message.
        heads: Whether the weights have heads.

    Raises:
        ModelCorruptError: If a tensor is missing or has another shape.
    """
    import onnx

    table = weights.get(_WORDS)
    if table is None or table.shape != (VOCABULARY, HIDDEN):
        raise ModelCorruptError(f"{source}: not the weights of MiniLM")
    try:
        model = _Graph(weights, heads=heads).model()
    except KeyError as error:
        raise ModelCorruptError(f"{source}: tensor {error} is missing") from None
    onnx.checker.check_model(model)
    return model


def regraph(constants: Weights) -> Any:
    """The float32 model with heads from the constants of such a graph, by their names in it."""
    return _Graph(constants, heads=True, packed=True).model()


class _Graph:
    """Gathers the nodes and constants of the encoder."""

    def __init__(
        self, weights: Mapping[str, NDArray[Any]], *, heads: bool, packed: bool = False
    ) -> None:
        self._weights = weights
        self._heads = heads
        self._packed = packed
        self._nodes: list[Any] = []
        self._constants: Weights = {}

    def model(self) -> Any:
        """The whole model as an ``onnx.ModelProto``."""
        from onnx import TensorProto, helper, numpy_helper

        self._constant("heads", np.array([0, 0, HEADS, HEAD_WIDTH], np.int64))
        self._constant("joined", np.array([0, 0, HIDDEN], np.int64))
        self._constant("scale", np.array(HEAD_WIDTH**-0.5, np.float32))
        bias = self._attention_bias()
        state = self._embeddings()
        for number in range(LAYERS):
            state = self._layer(number, state, bias)
        mean = self._mean(state)
        outputs: dict[str, list[str | int]] = {"embedding": ["batch", HIDDEN]}
        if self._heads:
            outputs |= self._read(state, mean)
            mean = self._dense([RETRIEVAL], mean, "retrieval")
        self._unit(mean)
        ids = ("input_ids", "attention_mask")
        graph = helper.make_graph(
            self._nodes,
            "MiniLM",
            [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "tokens"]) for n in ids],
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
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
        self._taken("positions", self._positions)
        self._constant("first", np.array([0], np.int64))
        looked_up = self._words()
        length = self._node("Shape", ["input_ids"], "length", start=1, end=2)
        used = self._node("Slice", ["positions", "first", length, "first"], "positions.used")
        summed = self._node("Add", [looked_up, used], "embeddings.sum")
        return self._norm("embeddings.LayerNorm", summed, "embeddings")

    def _words(self) -> str:
        if not self._heads:
            return self._node("Gather", [self._weight(_WORDS), "input_ids"], "words", axis=0)
        self._taken("words.scale", lambda: self._rounded()[1])
        self._taken("words.int8", lambda: self._rounded()[0])
        scale = self._node("Gather", ["words.scale", "input_ids"], "words.scaled", axis=0)
        whole = self._node("Gather", ["words.int8", "input_ids"], "words.whole", axis=0)
        return self._node("Mul", [self._node("Cast", [whole], "words.cast", to=1), scale], "words")

    def _rounded(self) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The table of words as whole numbers, and what each row is to be multiplied by."""
        table = self._weights[_WORDS]
        scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-8)
        return np.round(table / scale).astype(np.int8), scale.astype(np.float32)

    def _positions(self) -> NDArray[np.float32]:
        segment = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._weights["embeddings.position_embeddings.weight"] + segment
        return np.asarray(positions, dtype=np.float32)

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

    def _mean(self, state: str) -> str:
        """Mean over the tokens that count."""
        self._constant("last_axis", np.array([2], np.int64))
        self._constant("token_axis", np.array([1], np.int64))
        column = self._node("Unsqueeze", ["counts", "last_axis"], "counts.column")
        tokens = self._node("ReduceSum", ["counts", "token_axis"], "tokens.counted", keepdims=1)
        kept = self._node("Mul", [state, column], "kept")
        total = self._node("ReduceSum", [kept, "token_axis"], "total", keepdims=0)
        return self._node("Div", [total, tokens], "mean")

    def _unit(self, mean: str) -> None:
        """The embedding: a mean at unit length."""
        self._constant("tiny", np.array(1e-12, np.float32))
        length = self._node("ReduceL2", [mean, "token_axis"], "mean.length", keepdims=1)
        safe = self._node("Max", [length, "tiny"], "mean.length.safe")
        self._node("Div", [mean, safe], "embedding")

    def _read(self, state: str, mean: str) -> dict[str, list[str | int]]:
        """The heads of emotion and of valence, arousal and dominance; what they put out."""
        self._constant("zero", np.array(0, np.int64))
        first = self._node("Gather", [state, "zero"], "first_token", axis=1)
        seen = self._node("Concat", [mean, first], "features", axis=1)
        logits = self._head(EMOTION, seen, "logits")
        self._taken(TEMPERATURE, lambda: np.array(1.0, np.float32))
        cooled = self._node("Div", [logits, TEMPERATURE], "logits.cooled")
        self._node("Softmax", [cooled], "probs", axis=-1)
        self._head(VAD, seen, "vad")
        labels = self._constants["logits.bias"].shape[0]
        return {
            "features": ["batch", FEATURES],
            "probs": ["batch", labels],
            "vad": ["batch", 3],
        }

    def _head(self, names: tuple[str, str], seen: str, out: str) -> str:
        inner = self._dense([names[0]], seen, f"{out}.inner")
        return self._dense([names[1]], self._node("Gelu", [inner], f"{out}.gelu"), out)

    def _dense(self, names: list[str], of: str, out: str) -> str:
        """``x @ W.T + b``; several layers over one input become one product."""

        def joined(part: str) -> NDArray[np.float32]:
            found = [self._weights[f"{n}.{part}"].T for n in names]
            return np.ascontiguousarray(np.concatenate(found, axis=-1), np.float32)

        self._taken(f"{out}.weight", lambda: joined("weight"))
        self._taken(f"{out}.bias", lambda: joined("bias"))
        product = self._node("MatMul", [of, f"{out}.weight"], f"{out}.product")
        return self._node("Add", [product, f"{out}.bias"], out)

    def _norm(self, name: str, of: str, out: str) -> str:
        scale, shift = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._node("LayerNormalization", [of, scale, shift], out, axis=-1, epsilon=EPSILON)

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name].astype(np.float32))

    def _taken(self, name: str, made: Callable[[], NDArray[Any]]) -> str:
        """A constant that is made of the weights, unless they are constants already."""
        return self._constant(name, self._weights[name] if self._packed else made())

    def _constant(self, name: str, array: NDArray[Any]) -> str:
        self._constants[name] = array
        return name

    def _node(self, operator: str, inputs: list[str], out: str, **attributes: object) -> str:
        self._nodes.append(_make_node(operator, inputs, [out], **attributes))
        return out


def _make_node(operator: str, inputs: list[str], outputs: list[str], **attributes: object) -> Any:
    from onnx import helper

    return helper.make_node(operator, inputs, outputs, name=f"{outputs[0]}:node", **attributes)
