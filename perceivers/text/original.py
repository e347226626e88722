"""all-MiniLM-L6-v2 as it was published: what the encoder for affect is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.perceivers.text.minilm_onnx import GRAPH
from affectgraph.perceivers.text.network import Floats, TextNetwork

MODEL: Final = "minilm"


class OriginalMiniLM:
    """The pulled model ``minilm``: a text in, a unit vector of 384 numbers out.

    Args:
        store: Where the pulled models lie.
        max_tokens: Tokens of a text that count; the model was trained on 256.
        device: Where it runs.
    """

    def __init__(
        self, store: ModelStore | None = None, *, max_tokens: int = 256, device: Device = CPU
    ) -> None:
        self._store = store or ModelStore()
        self._max_tokens = max_tokens
        self._device = device
        self._pool = BlockingPool()
        self._network: TextNetwork | None = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The pulled model."""
        return (ModelUse.pinned(MODEL),)

    async def warm_up(self) -> None:
        """Load the tokenizer and the network.

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        await self._pool.run(self._loaded)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector of 384 numbers a text, in their order."""
        return [row.tolist() for row in await self._pool.run(lambda: self.rows(texts))]

    def rows(self, texts: Sequence[str]) -> list[Floats]:
        """The same on this thread, as arrays, each of shape (384,)."""
        return [outputs["embedding"] for outputs in self._loaded().run(texts)]

    def _loaded(self) -> TextNetwork:
        if self._network is None:
            self._network = TextNetwork(
                self._store.path(MODEL, GRAPH),
                self._store.path(MODEL, "tokenizer.json"),
                self._max_tokens,
                self._device,
                quantised=False,
            )
        return self._network
