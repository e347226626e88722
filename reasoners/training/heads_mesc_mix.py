"""Weighs experts that tell the same label, and moves a decision away from frequent labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.reasoners.heads.features import Floats
from affectgraph.reasoners.heads.words import softmax

_FLOOR: Final = 1e-6
_MOST: Final = 3.0
_RARE: Final = 0.05
SHIFTS: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


@dataclass(frozen=True)
class Mixture:
    """A product of experts, and a shift against frequent labels.

    Attributes:
        exponents: Of each expert, at least 0.
        usual: The labels' frequency in training, shape (k,).
        shift: Exponent of the inverse frequency that the product is multiplied with: it trades
            accuracy and log-loss for labels that are seldom told. A label rarer than one in twenty
            counts as that frequent.
    """

    exponents: tuple[float, ...]
    usual: Floats
    shift: float = 0.0

    def __call__(self, experts: Sequence[Floats]) -> Floats:
        """Probabilities (n, k) of the experts' probabilities, each (n, k)."""
        logs = sum(
            weight * np.log(told + _FLOOR)
            for weight, told in zip(self.exponents, experts, strict=True)
        )
        return softmax(np.asarray(logs) - self.shift * np.log(np.maximum(self.usual, _RARE)))


def fit_mixture(
    experts: Sequence[Floats],
    truth: NDArray[np.int64],
    usual: Floats,
) -> Mixture:
    """Exponents by log-loss; then the shift by accuracy and weighted F1 together.

    Args:
        experts: Each one's probabilities of rows that it was not fitted on, shape (n, k).
        truth: The labels, shape (n,).
        usual: The labels' frequency in training, shape (k,).
    """
    from scipy.optimize import minimize

    rows = np.arange(len(truth))

    def loss(weights: NDArray[np.float64]) -> float:
        told = Mixture(tuple(float(w) for w in weights), usual)(experts)
        return float(-np.log(told[rows, truth] + _FLOOR).mean())

    start = np.full(len(experts), 1 / len(experts))
    found = minimize(loss, start, bounds=[(0.0, _MOST)] * len(experts), method="L-BFGS-B")
    exponents = tuple(float(weight) for weight in found.x)
    shift = max(SHIFTS, key=lambda s: _worth(Mixture(exponents, usual, s)(experts), truth))
    return Mixture(exponents, usual, shift)


def _worth(told: Floats, truth: NDArray[np.int64]) -> float:
    from sklearn.metrics import f1_score

    guess = told.argmax(axis=1)
    weighted = f1_score(truth, guess, average="weighted", zero_division=0)
    return float((guess == truth).mean() + weighted)
