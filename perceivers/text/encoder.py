"""The encoder of words that emotion, valence and memory share: one pass a text."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.batching import MicroBatcher
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.models import ModelUse
from affectgraph.perceivers.text.network import Span, TextNetwork
from affectgraph.perceivers.tracing import model_span

FOLDER: Final = Path(__file__).parent / "weights"
WEIGHTS: Final = FOLDER / "affect-minilm.onnx"
"""The shipped encoder; ``affect-minilm.md`` beside it is its card."""
TOKENIZER: Final = "tokenizer.json"
VERSION: Final = "affect-minilm.v1"
LICENCE: Final = "Apache-2.0 (trained on CC BY 4.0 and CC BY-SA 4.0 data)"
LONGEST: Final = 512


@dataclass(frozen=True)
class Encoding:
    """What one pass of the encoder says of a text; the arrays are read-only.

    Attributes:
        embedding: Sentence embedding of unit length, float32, shape (384,); near in space is
            near in meaning.
        features: The mean over the last layer's tokens and its first token, float32, shape
            (768,): what a head of one's own may be trained on.
        probs: Calibrated probabilities of GoEmotions' 28 labels, shape (28,), summing to 1.
        vad: Valence, arousal and dominance on EmoBank's scale, about 1 to 5, shape (3,).
    """

    embedding: NDArray[np.float32]
    features: NDArray[np.float32]
    probs: NDArray[np.float32]
    vad: NDArray[np.float32]


class MiniLMEncoder:
    """MiniLM trained for affect, int8, on onnxruntime: a text in, an :class:`Encoding` out.

    What was encoded lately is kept, so the words of one turn are encoded once for the emotion,
    the memory and whatever else reads them. Texts of concurrent sessions share calls of the
    network. A text of more than ``max_tokens`` tokens (word
    pieces, with the two marks at its ends) is cut there; :meth:`windows` tells where, for a
    caller who wants the rest as well.

    Args:
        max_tokens: Tokens of a text that count, 8 to 512. The original was trained on 256.
        weights: The ONNX file, with ``tokenizer.json`` beside it; those of the package by default.
        device: Where the network runs. On CUDA the int8 weights are run in fp32, or in fp16 if
            that is asked for.
        max_batch: Texts of one call.
        cache_size: Texts whose encoding is kept; 0 keeps none.

    Raises:
        SetupError: If a number is out of its range.
    """

    def __init__(
        self,
        max_tokens: int = 256,
        *,
        weights: Path = WEIGHTS,
        device: Device = CPU,
        max_batch: int = 32,
        cache_size: int = 64,
    ) -> None:
        if not 8 <= max_tokens <= LONGEST or cache_size < 0:
            raise SetupError(
                f"encoder: max_tokens must be 8 to {LONGEST} (is {max_tokens}), cache_size at least"
                f" 0 (is {cache_size})"
            )
        self._max_tokens = max_tokens
        self._weights = weights
        self._device = device
        self._cache_size = cache_size
        self._cache: OrderedDict[str, Encoding] = OrderedDict()
        self._batcher: MicroBatcher[str, Encoding] = MicroBatcher(
            lambda texts: self._run(texts),
            name="encoder",
            max_batch=max_batch,
            # One for a GPU; on the processor a second call uses a second core.
            workers=1 if device.on_cuda else 2,
        )
        self._pool = BlockingPool()
        self._loading = threading.Lock()
        self._network: TextNetwork | None = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The encoder's weights."""
        own = self._weights != WEIGHTS
        return (ModelUse(self._weights.name) if own else ModelUse(VERSION, LICENCE),)

    async def warm_up(self) -> None:
        """Load the tokenizer and the network; a second call does nothing.

        Raises:
            SetupError: If the weights are absent or not such an encoder, or the device is not
                there.
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
            with model_span("embeddings", VERSION):
                known |= zip(fresh, await self._batcher.run_all(fresh), strict=True)
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
                self._network = self._open()

    def _open(self) -> TextNetwork:
        tokenizer = self._weights.parent / TOKENIZER
        network = TextNetwork(self._weights, tokenizer, self._max_tokens, self._device)
        if not set(Encoding.__dataclass_fields__) <= set(network.outputs):
            raise ModelCorruptError(f"{self._weights.name}: not an encoder for affect")
        return network

    def _loaded(self) -> TextNetwork:
        assert self._network is not None
        return self._network

    def _run(self, texts: Sequence[str]) -> list[Encoding]:
        return [Encoding(**outputs) for outputs in self._loaded().run(texts)]
