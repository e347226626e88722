"""LexRank: which sentences say most of what all of them say (Erkan & Radev 2004).

Sentences are nodes of a graph, weighted by the cosine of their vectors; a sentence matters as much
as a random walk over the graph, which now and then starts anew, is found at it. This is the
continuous form, without a threshold. The vectors are TF-IDF over the given sentences, as in the
paper, or a sentence encoder's. Unlike there no sentence leads to itself: among a few dozen short
ones, one that nothing else resembles would weigh as much as the middle of the talk.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]

DAMPING: Final = 0.85
"""The paper starts anew with probability 0.15."""

_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*|\d+")
_ROUNDS: Final = 100
_STILL: Final = 1e-6


def tf_idf(sentences: Sequence[str]) -> Matrix:
    """Unit vectors, a row a sentence; a row of zeros for one that shares no telling word."""
    counts = [Counter(_WORD.findall(sentence.casefold())) for sentence in sentences]
    documents = Counter(word for count in counts for word in count)
    places = {word: place for place, word in enumerate(documents)}
    vectors = np.zeros((len(counts), max(1, len(places))))
    for row, count in enumerate(counts):
        for word, times in count.items():
            vectors[row, places[word]] = times * math.log(len(counts) / documents[word])
    return _unit(vectors)


def similarities(vectors: Matrix) -> Matrix:
    """Cosine of each two rows, none below 0."""
    unit = _unit(np.asarray(vectors, dtype=float))
    return np.clip(unit @ unit.T, 0.0, 1.0)


def lexrank(similar: Matrix) -> list[float]:
    """Weight of each sentence, all together 1; by the power method.

    Args:
        similar: Similarities, n times n, none negative.
    """
    n = len(similar)
    if n == 0:
        return []
    others = similar * (1 - np.eye(n))
    sums = others.sum(axis=1, keepdims=True)
    walk = np.where(sums > 0, others / np.where(sums > 0, sums, 1), 1 / n)
    weights = np.full(n, 1 / n)
    for _ in range(_ROUNDS):
        after = (1 - DAMPING) / n + DAMPING * (weights @ walk)
        moved = float(np.abs(after - weights).sum())
        weights = after
        if moved < _STILL:
            break
    return [float(weight) for weight in weights / weights.sum()]


def chosen(weights: Sequence[float], similar: Matrix, sizes: Sequence[int], room: int) -> list[int]:
    """Places of the weightiest sentences that fit, none of which repeats another, in their order.

    Args:
        weights: Of each sentence.
        similar: Similarities; from 0.7 on a sentence counts as said (the paper's reranker drops
            what a better sentence subsumes).
        sizes: Tokens of each.
        room: Tokens at most of all.
    """
    taken: list[int] = []
    left = room
    # Of equals the later one: it is what the person says now.
    for i in sorted(range(len(weights)), key=lambda i: (-weights[i], -i)):
        if sizes[i] <= left and all(similar[i, j] < _SAID for j in taken):
            taken.append(i)
            left -= sizes[i]
    return sorted(taken)


_SAID: Final = 0.7


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))
