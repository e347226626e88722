"""MiniLM over a whole dialogue, each line blind to what comes later; needs torch.

Only trainers import it. The network starts from the encoder that the package ships. Its lower
layers stay as they are, so what they put out is computed once; the upper ones learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from affectgraph.perceivers.text.affect_onnx import floated
from affectgraph.perceivers.text.encoder import TOKENIZER, WEIGHTS
from affectgraph.perceivers.text.minilm_onnx import EPSILON, HEAD_WIDTH, HEADS, HIDDEN, LAYERS
from affectgraph.reasoners.heads.lines import Line, turns

LONGEST: Final = 511
_LINE: Final = 80
_OVERLAP: Final = 200
_FIRST, _END = 101, 102
_ALONE: Final = -1
POOLED: Final = 3 * HIDDEN


@dataclass(frozen=True)
class Window:
    """A stretch of a dialogue that fits the network; t tokens.

    Attributes:
        ids: Word pieces, shape (t,).
        line: Index of each token's line in the dialogue; -1 for the mark at the start.
        person: Whether the person says it.
        fresh: Lines from this one on are new; those before are there as context.
        end: Index after the last line.
    """

    ids: NDArray[np.int64]
    line: NDArray[np.int64]
    person: NDArray[np.int64]
    fresh: int
    end: int


class Windows:
    """Cuts dialogues into windows between turns."""

    def __init__(self) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(WEIGHTS.parent / TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def of(self, lines: Sequence[Line]) -> Iterator[Window]:
        """The windows of a dialogue; together their fresh lines are all lines."""
        texts = [line.text for line in lines]
        encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        pieces = [[*tokens.ids[:_LINE], _END] for tokens in encoded]
        runs = turns(lines)
        sizes = [sum(len(pieces[at]) for at in range(run.begin, run.end)) for run in runs]
        first = fresh = 0
        while fresh < len(runs):
            room = LONGEST - 1 - sum(sizes[first:fresh])
            fits = sum(1 for total in accumulate(sizes[fresh:]) if total <= room)
            after = fresh + max(fits, 1)
            begin, end = runs[first].begin, runs[after - 1].end
            yield self._window(lines, pieces, range(begin, end), runs[fresh].begin)
            fresh = first = after
            while first > 0 and sum(sizes[first - 1 : fresh]) <= _OVERLAP:
                first -= 1

    @staticmethod
    def _window(
        lines: Sequence[Line], pieces: Sequence[list[int]], chosen: range, fresh: int
    ) -> Window:
        ids, line, person = [_FIRST], [_ALONE], [0]
        for at in chosen:
            ids += pieces[at]
            line += [at] * len(pieces[at])
            person += [1 if lines[at].person else 2] * len(pieces[at])
        cut = [np.array(each[:LONGEST], np.int64) for each in (ids, line, person)]
        return Window(cut[0], cut[1], cut[2], fresh, chosen.stop)


class Layer(nn.Module):
    """One layer of BERT, from the constants of the encoder's graph."""

    def __init__(self, held: Mapping[str, Tensor], number: int, drop: float) -> None:
        super().__init__()
        prefix = f"encoder.layer.{number}."
        self.weights = nn.ParameterDict(
            {
                name.removeprefix(prefix).replace(".", "_"): nn.Parameter(tensor.clone())
                for name, tensor in held.items()
                if name.startswith(prefix)
            }
        )
        self.drop = nn.Dropout(drop)

    def forward(self, rows: Tensor, seen: Tensor) -> Tensor:
        """Hidden states (b, t, h) after the layer; ``seen`` (b, 1, t, t) is what may be seen."""
        w, (batch, tokens, _) = self.weights, rows.shape
        packed = rows @ w["qkv_weight"] + w["qkv_bias"]
        split = packed.view(batch, tokens, 3, HEADS, HEAD_WIDTH).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        joined = mixed.transpose(1, 2).reshape(batch, tokens, HIDDEN)
        told = self.drop(joined @ w["attended_weight"] + w["attended_bias"])
        middle = self._norm(rows + told, "attention_output_LayerNorm")
        wide = functional.gelu(middle @ w["wide_weight"] + w["wide_bias"])
        narrow = self.drop(wide @ w["narrow_weight"] + w["narrow_bias"])
        return self._norm(middle + narrow, "output_LayerNorm")

    def _norm(self, rows: Tensor, name: str) -> Tensor:
        weight, bias = self.weights[f"{name}_weight"], self.weights[f"{name}_bias"]
        return functional.layer_norm(rows, (HIDDEN,), weight, bias, EPSILON)


class Bottom(nn.Module):
    """Word and position embeddings, and the layers that stay as they are."""

    words: Tensor
    scale: Tensor
    positions: Tensor
    shift: Tensor
    stretch: Tensor

    def __init__(self, held: Mapping[str, Tensor], layers: int) -> None:
        super().__init__()
        for name, source in (
            ("words", "words.int8"),
            ("scale", "words.scale"),
            ("positions", "positions"),
            ("stretch", "embeddings.LayerNorm.weight"),
            ("shift", "embeddings.LayerNorm.bias"),
        ):
            self.register_buffer(name, held[source])
        self.layers = nn.ModuleList(Layer(held, number, 0.0) for number in range(layers))

    @torch.no_grad()
    def forward(self, ids: Tensor, seen: Tensor) -> Tensor:
        """Hidden states (b, t, h) of word pieces (b, t)."""
        rows = self.words[ids].float() * self.scale[ids] + self.positions[: ids.shape[1]]
        rows = functional.layer_norm(rows, (HIDDEN,), self.stretch, self.shift, EPSILON)
        for layer in self.layers:
            rows = layer(rows, seen)
        return rows


class Top(nn.Module):
    """The layers that learn, and a classifier of pooled states for each head.

    Args:
        held: The encoder's constants.
        bottom: Layers below these.
        sides: For each head the features that it sees besides, and its labels.
        drop: Share of states that is dropped in training.
        hidden: Width of the classifiers.
    """

    def __init__(
        self,
        held: Mapping[str, Tensor],
        bottom: int,
        sides: Sequence[tuple[int, int]],
        drop: float = 0.1,
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(held, number, drop) for number in range(bottom, LAYERS))
        self.role = nn.Embedding(3, HIDDEN)
        nn.init.zeros_(self.role.weight)
        self.line = nn.Sequential(nn.Dropout(0.2), nn.Linear(HIDDEN, sides[0][1]))
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(0.3),
                nn.Linear(POOLED + side, hidden),
                nn.GELU(),
                nn.Dropout(0.3),
                nn.Linear(hidden, labels),
            )
            for side, labels in sides
        )
        self.straight = nn.ModuleList(nn.Linear(side, labels) for side, labels in sides)
        self.drop = nn.Dropout(0.2)

    def states(self, rows: Tensor, seen: Tensor, person: Tensor) -> Tensor:
        """Hidden states (b, t, h) on top of the bottom's."""
        rows = rows + self.role(person)
        for layer in self.layers:
            rows = layer(rows, seen)
        return rows

    def decide(self, head: int, pooled: Tensor, side: Tensor) -> Tensor:
        """Logits of a head (n, k) from pooled states (n, 3h) and features (n, f)."""
        side = self.drop(side)
        told: Tensor = self.heads[head](torch.cat([pooled, side], 1))
        straight: Tensor = self.straight[head](side)
        return told + straight


def constants() -> dict[str, Tensor]:
    """The shipped encoder's numbers by their names in its graph, in float32."""
    from onnx import numpy_helper

    graph = floated(WEIGHTS).graph
    return {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}


def padded(windows: Sequence[Window]) -> tuple[Tensor, Tensor, Tensor]:
    """Word pieces (b, t), what each may see (b, 1, t, t), and who speaks (b, t)."""
    wide = max(len(window.ids) for window in windows)
    ids = np.zeros((len(windows), wide), np.int64)
    person = np.zeros_like(ids)
    # Padding is a line of its own that nobody sees; it sees itself, for a softmax needs one.
    line = np.full_like(ids, LONGEST**2)
    for at, window in enumerate(windows):
        count = len(window.ids)
        ids[at, :count], person[at, :count] = window.ids, window.person
        line[at, :count] = window.line
    seen = torch.from_numpy(line[:, None, :] <= line[:, :, None])[:, None]
    return torch.from_numpy(ids), seen, torch.from_numpy(person)
