"""How far a predictor of strategies prefers some of them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TINY: Final = 1e-6


def preference_bias(
    truth: NDArray[np.integer[Any]],
    predicted: NDArray[np.integer[Any]],
    classes: int,
    *,
    iterations: int = 20,
) -> float:
    """Spread of a predictor's preferences over the classes; 0 where it prefers none.

    Kang et al. (2024, "Can Large Language Models be Good Emotional Supporter?") let the classes
    compete in a Bradley-Terry model: class i beats class j as often as a unit of class j was
    predicted as i. The bias is the standard deviation of the strengths, which are scaled to a
    mean of 1. The iteration is Newman's (2023), as in the code of EmoDynamiX (Wan et al., 2025),
    whose table prints this figure: strengths start at 1 and are updated class by class, and
    units predicted right count in both sums.

    Args:
        truth: Indices of the classes, shape (n,).
        predicted: Indices of the predicted classes, shape (n,).
        classes: How many classes there are.
        iterations: Rounds over the classes.

    Returns:
        A number >= 0; with k classes at most sqrt(k - 1).

    Raises:
        ValueError: If the shapes differ or there is no unit.
    """
    if truth.shape != predicted.shape or not truth.size:
        raise ValueError(f"truth {truth.shape} and predicted {predicted.shape} must be alike")
    counts = np.zeros((classes, classes))
    np.add.at(counts, (truth, predicted), 1)
    strength = np.ones(classes)
    for _ in range(iterations):
        for at in range(classes):
            pairs = strength[at] + strength + _TINY
            won = (counts[:, at] * strength / pairs).sum()
            lost = (counts[at] / pairs).sum()
            # A class that no unit has cannot lose; it keeps its strength.
            strength[at] = won / lost if lost > 0 else strength[at]
        strength *= classes / strength.sum()
    return float(strength.std())
