"""Words as the agent's encoder gives them, kept between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28, mapping
from affectgraph.perceivers.text.encoder import WEIGHTS, Encoding

WIDTH: Final = 768 + len(GOEMOTIONS_28) + 3
"""Numbers of a text: the encoder's features, logarithms of its 28 probabilities, and VAD."""

_CHUNK: Final = 512


@runtime_checkable
class Encoder(Protocol):
    """What is needed of :class:`affectgraph.perceivers.text.encoder.MiniLMEncoder`."""

    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> list[Encoding]:
        """Encode texts."""
        ...


class Words:
    """Makes features of texts.

    Args:
        encoder: The encoder.
        cache: Folder in which features are kept, by digest; nowhere by default.
        weights: The encoder's file; what another one gave is not taken.
    """

    def __init__(
        self, encoder: Encoder, cache: Path | None = None, *, weights: Path = WEIGHTS
    ) -> None:
        self._encoder = encoder
        self._cache = cache
        self._weights = weights
        self._pool = BlockingPool(size=1)

    async def encode(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Features of texts, float32, shape (n, :data:`WIDTH`).

        Args:
            name: What the texts are; part of the file's name.
            texts: The texts.
        """
        file = await self._pool.run(lambda: self._file(name, texts))
        kept = await self._pool.run(lambda: _read(file))
        if kept is not None:
            return kept
        rows = np.zeros((len(texts), WIDTH), np.float32)
        for start in range(0, len(texts), _CHUNK):
            chunk = await self._encoder.encode_all(texts[start : start + _CHUNK], keep=False)
            for row, encoding in enumerate(chunk, start):
                rows[row] = numbers(encoding)
        await self._pool.run(lambda: _write(file, rows))
        return rows

    def _file(self, name: str, texts: Sequence[str]) -> Path | None:
        if self._cache is None:
            return None
        digest = hashlib.sha256(self._weights.read_bytes())
        for text in texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        return self._cache / f"{name}-{digest.hexdigest()[:20]}.npz"


def _read(file: Path | None) -> NDArray[np.float32] | None:
    if file is None or not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as stored:
        return np.asarray(stored["features"], dtype=np.float32)


def _write(file: Path | None, rows: NDArray[np.float32]) -> None:
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file, features=rows)


def numbers(encoding: Encoding) -> NDArray[np.float32]:
    """All that the encoder says of a text, shape (:data:`WIDTH`,)."""
    logs = np.log(np.clip(encoding.probs, 1e-6, 1.0))
    return np.concatenate([encoding.features, logs, encoding.vad]).astype(np.float32)


def basic(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the agent's text perceiver itself says, over Ekman's seven, shape (n, 7)."""
    declared = mapping(GOEMOTIONS_28.name, EKMAN_7.name)
    table = np.array([declared.apply(tuple(row)) for row in np.eye(len(GOEMOTIONS_28)).tolist()])
    probs = np.exp(features[:, -3 - len(GOEMOTIONS_28) : -3].astype(np.float64)) @ table
    return np.asarray(probs / probs.sum(axis=1, keepdims=True))
