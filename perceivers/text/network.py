"""A tokenizer and an ONNX graph of MiniLM, loaded; every method blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.text.affect_onnx import open_quantised, runs_int8

Floats = NDArray[np.float32]
Span = tuple[int, int]

_BATCH: Final = 32


class TextNetwork:
    """Runs a graph that :mod:`~affectgraph.perceivers.text.minilm_onnx` wrote.

    Args:
        graph: The ONNX file.
        tokenizer: The tokenizer's JSON file.
        max_tokens: Tokens of a text that count.
        device: Where it runs.
        quantised: Whether the graph is int8.

    Raises:
        SetupError: If a file is absent or cannot be opened, or the device is not there.
    """

    def __init__(
        self,
        graph: Path,
        tokenizer: Path,
        max_tokens: int,
        device: Device = CPU,
        *,
        quantised: bool = True,
    ) -> None:
        from tokenizers import Tokenizer

        if not tokenizer.is_file():
            raise SetupError(f"{tokenizer.name} is absent beside {graph.name}")
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        int8 = quantised and runs_int8(device)
        # An int8 graph measures the activations of a whole batch to round them, so that a text's
        # numbers would depend on its company: it takes one at a time.
        self._batch = 1 if int8 else _BATCH
        opened = open_quantised if quantised else _open_plain
        self._session = opened(graph, device)
        self.outputs: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())

    def run(self, texts: Sequence[str]) -> list[dict[str, Floats]]:
        """Each output of the graph by name, for each text; arrays that share no memory.

        Texts of like length run together, so that little of the work is padding.
        """
        ids = [tokens.ids for tokens in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        done: dict[int, dict[str, Floats]] = {}
        for start in range(0, len(order), self._batch):
            batch = order[start : start + self._batch]
            done |= zip(batch, self._forward([ids[at] for at in batch]), strict=True)
        return [done[at] for at in range(len(ids))]

    def windows(self, text: str) -> list[Span]:
        """Where the tokenizer would cut; each window reaches to the start of the next."""
        first = self._tokenizer.encode(text)
        starts = [0]
        for more in first.overflowing:
            # The marks at the ends stand at (0, 0) in every window.
            offsets = [offset for offset in more.offsets if offset[1] > offset[0]]
            if offsets and offsets[0][0] > starts[-1]:
                starts.append(offsets[0][0])
        return list(zip(starts, [*starts[1:], len(text)], strict=True))

    def _forward(self, ids: Sequence[Sequence[int]]) -> list[dict[str, Floats]]:
        widest = max(len(row) for row in ids)
        padded = np.zeros((len(ids), widest), np.int64)
        counts = np.zeros_like(padded)
        for at, row in enumerate(ids):
            padded[at, : len(row)] = row
            counts[at, : len(row)] = 1
        feed = {"input_ids": padded, "attention_mask": counts}
        columns = self._session.run(self.outputs, feed)
        return [
            {name: _own(row) for name, row in zip(self.outputs, rows, strict=True)}
            for rows in zip(*columns, strict=True)
        ]


def _open_plain(graph: Path, device: Device) -> Any:
    return device.session(graph, shapes_vary=True)


def _own(row: Floats) -> Floats:
    """A read-only copy: encodings are kept and shared, and a view would hold its whole batch."""
    copy = row.copy()
    copy.flags.writeable = False
    return copy
