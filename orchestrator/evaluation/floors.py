"""The rows that any figure must stand beside: majority, random, persistence."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


def majority(train: Labels, n: int) -> Labels:
    """The most frequent class of the training labels, n times."""
    return np.full(n, np.bincount(train).argmax(), dtype=np.int64)


def random(train: Labels, n: int, seed: int = 0) -> Labels:
    """Classes drawn by their share of the training labels, shape (n,)."""
    shares = np.bincount(train) / len(train)
    drawn = np.random.default_rng(seed).choice(len(shares), size=n, p=shares)
    return np.asarray(drawn, dtype=np.int64)


def persistence(labels: Labels, sequence: NDArray[Any], first: int) -> Labels:
    """The label of the row before in the same sequence: gold history, as a floor.

    Args:
        labels: Gold labels in the order in which they come, shape (n,).
        sequence: Dialogue, or dialogue and speaker, of each row, shape (n,). Rows of one need not
            stand together.
        first: What is told of the first row of each sequence.
    """
    told, last = np.empty_like(labels), dict[Any, int]()
    for row, (label, of) in enumerate(zip(labels.tolist(), sequence.tolist(), strict=True)):
        told[row] = last.get(of, first)
        last[of] = label
    return told
