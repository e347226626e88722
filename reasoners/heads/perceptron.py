"""The classifier over a head's features, in numpy: an ensemble of small perceptrons."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.reasoners.heads.features import Floats
from affectgraph.reasoners.heads.words import softmax

_NAMES: Final = ("mean", "scale", "inner.w", "inner.b", "outer.w", "outer.b", "straight")
_FURTHEST: Final = 4.0


@dataclass(frozen=True)
class Perceptrons:
    """Members of an ensemble: one hidden layer, and a straight path past it.

    Attributes:
        mean: Of each feature in training, shape (f,).
        scale: What each feature is divided by, shape (f,).
        inner: Weights (m, f, h) and biases (m, h).
        outer: Weights (m, h, k) and biases (m, k).
        straight: Weights from the features to the labels, shape (m, f, k).
    """

    mean: Floats
    scale: Floats
    inner: tuple[Floats, Floats]
    outer: tuple[Floats, Floats]
    straight: Floats

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], prefix: str) -> Perceptrons:
        """From the tensors that :meth:`tensors` tells.

        Raises:
            KeyError: If one is missing.
        """
        mean, scale, iw, ib, ow, ob, straight = (
            np.asarray(tensors[f"{prefix}{name}"], np.float64) for name in _NAMES
        )
        return cls(mean, scale, (iw, ib), (ow, ob), straight)

    def tensors(self, prefix: str) -> dict[str, NDArray[np.float32]]:
        """All numbers by name."""
        held = (self.mean, self.scale, *self.inner, *self.outer, self.straight)
        return {
            f"{prefix}{name}": np.ascontiguousarray(array, np.float32)
            for name, array in zip(_NAMES, held, strict=True)
        }

    def standard(self, rows: NDArray[Any]) -> Floats:
        """Features as the members see them: standardised, and no further out than four."""
        return np.clip((rows - self.mean) / self.scale, -_FURTHEST, _FURTHEST)

    def each(self, rows: NDArray[Any]) -> Floats:
        """Probabilities of every member for every row of features (n, f), shape (m, n, k)."""
        seen = self.standard(rows)
        inner = _gelu(np.einsum("nf,mfh->mnh", seen, self.inner[0]) + self.inner[1][:, None])
        logits = np.einsum("mnh,mhk->mnk", inner, self.outer[0]) + self.outer[1][:, None]
        return softmax(logits + np.einsum("nf,mfk->mnk", seen, self.straight))

    def probs(self, rows: NDArray[Any]) -> Floats:
        """The members' mean, shape (n, k)."""
        return np.asarray(self.each(rows).mean(axis=0))


def _gelu(inner: Floats) -> Floats:
    """GELU with the hyperbolic tangent (Hendrycks and Gimpel, 2016, section 2)."""
    cubic = math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)
    return np.asarray(0.5 * inner * (1 + np.tanh(cubic)))
