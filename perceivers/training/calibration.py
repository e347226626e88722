"""Calibration that every trainer shares: temperature scaling and its measure.

A head's probabilities are used as confidences: fusion weighs by them and policies read them. So
they are made to mean what they say, by one temperature fitted on validation data.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_BOUNDS: Final = (0.02, 50.0)
_STEPS: Final = 80


def softmax(logits: Floats, axis: int = -1) -> NDArray[np.float64]:
    """Probabilities of logits, stable for large values.

    Args:
        logits: Finite numbers of any shape.
        axis: The axis that sums to 1 in the result.
    """
    shifted = np.asarray(logits, dtype=np.float64)
    exponents = np.exp(shifted - shifted.max(axis=axis, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=axis, keepdims=True), dtype=np.float64)


def negative_log_likelihood(logits: Floats, targets: Floats, temperature: float = 1.0) -> float:
    """Mean cross-entropy in nats of soft targets under ``softmax(logits / temperature)``.

    Args:
        logits: Shape (n, k).
        targets: Shape (n, k), each row a distribution.
        temperature: Above 0.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    peak = scaled.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(scaled - peak).sum(axis=1, keepdims=True)) + peak
    return float(-(np.asarray(targets, dtype=np.float64) * (scaled - log_total)).sum(1).mean())


def fit_temperature(logits: Floats, targets: Floats) -> float:
    """The temperature under which the targets are most likely (Guo et al., 2017, section 4.2).

    The likelihood is unimodal in the temperature (it is concave in its inverse), so a golden
    section search over its logarithm finds the optimum.

    Args:
        logits: Validation logits, shape (n, k).
        targets: Soft or one-hot targets, shape (n, k), each row a distribution.

    Returns:
        A temperature in [0.02, 50]; divide logits by it.

    Raises:
        ValueError: If the shapes differ or there is no row.
    """
    if logits.ndim != 2 or logits.shape != targets.shape or not len(logits):
        raise ValueError(f"logits {logits.shape} and targets {targets.shape} must both be (n, k)")
    low, high = float(np.log(_BOUNDS[0])), float(np.log(_BOUNDS[1]))
    golden = (5**0.5 - 1) / 2

    def loss(at: float) -> float:
        return negative_log_likelihood(logits, targets, float(np.exp(at)))

    left, right = high - golden * (high - low), low + golden * (high - low)
    left_loss, right_loss = loss(left), loss(right)
    for _ in range(_STEPS):
        if left_loss <= right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - golden * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + golden * (high - low)
            right_loss = loss(right)
        if high - low < 1e-7:
            break
    return float(np.exp((low + high) / 2))


def expected_calibration_error(
    probs: Floats, labels: NDArray[np.integer[Any]], bins: int = 15
) -> float:
    """How far confidence is from accuracy, on average (Naeini et al., 2015; Guo et al., 2017).

    Rows are binned by the probability of their most probable class into bins of equal width;
    each bin's gap between mean confidence and accuracy counts by its share of the rows.

    Args:
        probs: Probabilities, shape (n, k).
        labels: Indices of the true classes, shape (n,).
        bins: Number of bins over (0, 1].

    Returns:
        The error in [0, 1].

    Raises:
        ValueError: If the shapes do not fit or there is no row.
    """
    if probs.ndim != 2 or labels.shape != probs.shape[:1] or not len(probs):
        raise ValueError(f"probs {probs.shape} must be (n, k) and labels {labels.shape} (n,)")
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == labels
    slots = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    error = 0.0
    for slot in range(bins):
        inside = slots == slot
        if inside.any():
            error += inside.mean() * abs(float(confidence[inside].mean() - right[inside].mean()))
    return float(error)
