"""The sentence encoder that the emotion head and the memory share."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.perceivers.tracing import model_span

MODEL: Final = "minilm"
LONGEST: Final = 512
_BATCH: Final = 32

Span = tuple[int, int]


@dataclass(frozen=True)
class Encoding:
    """What one pass of the encoder says of a text; the arrays are read-only.

    Attributes:
        embedding: Sentence embedding of unit length, float32, shape (384,).
        layers: Mean over the tokens of the input embeddings and of each layer, float32,
            shape (7, 384).
    """

    embedding: NDArray[np.float32]
    layers: NDArray[np.float32]


class MiniLMEncoder:
    """all-MiniLM-L6-v2 on onnxruntime: a text in, a unit vector of 384 numbers out.

    What was encoded lately is kept, so the words of one turn are encoded once for the emotion
    head and the memory alike. A text of more than ``max_tokens`` tokens (word pieces, with the
    two marks at its ends) is cut there; :meth:`windows` tells where, for a caller who wants the
    rest as well.

    Args:
        store: Where the pulled models lie.
        max_tokens: Tokens of a text that count, 8 to 512. The model was trained on 256.
        threads: Threads of the processor for one call; perceivers run side by side, so one
            each is quickest where cores are few, and steady where other work holds one up.
        cache_size: Texts whose encoding is kept; 0 keeps none.

    Raises:
        SetupError: If a number is out of its range.
    """

    def __init__(
        self,
        store: ModelStore | None = None,
        max_tokens: int = 256,
        *,
        threads: int = 1,
        cache_size: int = 64,
    ) -> None:
        if not 8 <= max_tokens <= LONGEST or threads < 1 or cache_size < 0:
            raise SetupError(
                f"encoder: max_tokens must be 8 to {LONGEST} (is {max_tokens}), threads at least"
                f" 1 (is {threads}), cache_size at least 0 (is {cache_size})"
            )
        self._store = store or ModelStore()
        self._max_tokens = max_tokens
        self._threads = threads
        self._cache_size = cache_size
        self._cache: OrderedDict[str, Encoding] = OrderedDict()
        self._pool = BlockingPool(size=2)
        self._loading = threading.Lock()
        self._network: _Network | None = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The encoder's model."""
        return (ModelUse.pinned(MODEL),)

    async def warm_up(self) -> None:
        """Load the tokenizer and the network; a second call does nothing.

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        if self._network is None:
            await self._pool.run(self._load)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of 384 numbers a text, in their order."""
        return [e.embedding.tolist() for e in await self.encode_all(texts)]

    async def encode(self, text: str) -> NDArray[np.float32]:
        """The unit vector of one text, float32, shape (384,), read-only."""
        return (await self.encode_all([text]))[0].embedding

    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> list[Encoding]:
        """Encode texts; each distinct one once, and none that is still kept.

        Args:
            texts: Any texts, empty ones too.
            keep: Whether the new encodings are kept for later calls.
        """
        known = {text: self._cache[text] for text in texts if text in self._cache}
        fresh = [text for text in dict.fromkeys(texts) if text not in known]
        if fresh:
            await self.warm_up()
            with model_span("embeddings", MODEL):
                known |= zip(fresh, await self._pool.run(lambda: self._run(fresh)), strict=True)
        for text in dict.fromkeys(texts):
            if text in self._cache:
                self._cache.move_to_end(text)
            elif keep:
                self._cache[text] = known[text]
        while len(self._cache) > self._cache_size:
            self._cache.popitem(last=False)
        return [known[text] for text in texts]

    async def windows(self, text: str) -> list[Span]:
        """Stretches of characters that cover a text, each of at most ``max_tokens`` tokens."""
        # No character makes more than four tokens (decomposed Hangul makes three), so a short
        # text needs no counting.
        if 4 * len(text) <= self._max_tokens - 2:
            return [(0, len(text))]
        await self.warm_up()
        return await self._pool.run(lambda: self._loaded().windows(text))

    def _load(self) -> None:
        with self._loading:
            if self._network is None:
                self._network = _Network(self._store, self._max_tokens, self._threads)

    def _loaded(self) -> _Network:
        assert self._network is not None
        return self._network

    def _run(self, texts: Sequence[str]) -> list[Encoding]:
        return self._loaded().encode(texts)


class _Network:
    """The loaded tokenizer and session; every method blocks."""

    def __init__(self, store: ModelStore, max_tokens: int, threads: int) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(store.path(MODEL, "tokenizer.json")))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Texts differ in length at every call: memory laid out for one is wrong for the next.
        options.enable_mem_pattern = False
        # Idle threads that spin would take the processor from the other perceivers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = onnxruntime.InferenceSession(
            str(store.path(MODEL, "encoder.onnx")), options, providers=["CPUExecutionProvider"]
        )

    def encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encode in batches of like length, so that little of the work is padding."""
        ids = [tokens.ids for tokens in self._tokenizer.encode_batch(list(texts))]
        order = sorted(range(len(ids)), key=lambda at: len(ids[at]))
        done: dict[int, Encoding] = {}
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
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

    def _forward(self, ids: Sequence[Sequence[int]]) -> list[Encoding]:
        widest = max(len(row) for row in ids)
        padded = np.zeros((len(ids), widest), np.int64)
        counts = np.zeros_like(padded)
        for at, row in enumerate(ids):
            padded[at, : len(row)] = row
            counts[at, : len(row)] = 1
        embeddings, layers = self._session.run(
            ["embedding", "layers"], {"input_ids": padded, "attention_mask": counts}
        )
        return [Encoding(_own(e), _own(m)) for e, m in zip(embeddings, layers, strict=True)]


def _own(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """A read-only copy: kept encodings are shared, and a view would hold its whole batch."""
    copy = row.copy()
    copy.flags.writeable = False
    return copy
