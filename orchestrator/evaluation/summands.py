"""What each metric's rows add up to; see :mod:`affectgraph.orchestrator.evaluation.bootstrap`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bootstrap import Floats, Statistic

Array = NDArray[Any]


def mean(values: Array) -> Statistic:
    """Mean of one value a row, shape (n,)."""
    rows = np.stack([values, np.ones(len(values))], axis=1).astype(np.float64)
    return Statistic(rows, lambda sums: _ratio(sums[:, 0], sums[:, 1]))


def share(part: Array, whole: Array) -> Statistic:
    """Sum of one value over the sum of another, each of shape (n,); NaN where that is 0."""
    rows = np.stack([part, whole], axis=1).astype(np.float64)
    return Statistic(rows, lambda sums: _ratio(sums[:, 0], sums[:, 1]))


def accuracy(truth: Array, told: Array) -> Statistic:
    """Share of rows that were told right."""
    return mean(truth == told)


def mae(truth: Array, told: Array) -> Statistic:
    """Mean absolute error."""
    return mean(np.abs(truth - told))


def macro_f1(truth: Array, told: Array) -> Statistic:
    """Mean F1 of the classes that occur or are told."""
    return Statistic(_hits(truth, told), lambda sums: _mean_over_seen(sums, _f1(sums)))


def weighted_f1(truth: Array, told: Array) -> Statistic:
    """F1 of the classes, each by its share of the rows."""

    def of(sums: Floats) -> Floats:
        _, support, _ = np.split(sums, 3, axis=1)
        return _ratio((_f1(sums) * support).sum(axis=1), support.sum(axis=1))

    return Statistic(_hits(truth, told), of)


def uar(truth: Array, told: Array) -> Statistic:
    """Mean recall of the classes that occur or are told."""

    def of(sums: Floats) -> Floats:
        hits, support, _ = np.split(sums, 3, axis=1)
        return _mean_over_seen(sums, _zero_ratio(hits, support))

    return Statistic(_hits(truth, told), of)


def set_macro_f1(truth: Array, told: Array) -> Statistic:
    """Mean F1 of all labels of multi-label decisions, both of shape (n, k)."""
    true, said = truth.astype(bool), told.astype(bool)
    rows = np.concatenate([true & said, true, said], axis=1).astype(np.float64)
    return Statistic(rows, lambda sums: _f1(sums).mean(axis=1))


def ccc(truth: Array, told: Array) -> Statistic:
    """Concordance correlation, in the population's moments as audmetric has them."""

    def of(sums: Floats) -> Floats:
        n, x, y, xx, yy, xy = sums.T
        bottom = xx - x * x / n + yy - y * y / n + (x - y) ** 2 / n
        return _ratio(2 * (xy - x * y / n), np.where(bottom > _TINY, bottom, 0.0))

    return Statistic(_moments(truth, told), of)


def pearson(truth: Array, told: Array) -> Statistic:
    """Pearson's correlation; NaN with a constant."""

    def of(sums: Floats) -> Floats:
        n, x, y, xx, yy, xy = sums.T
        spread = np.maximum(xx - x * x / n, 0.0), np.maximum(yy - y * y / n, 0.0)
        constant = np.minimum(*spread) <= _TINY
        return _ratio(xy - x * y / n, np.where(constant, 0.0, np.sqrt(spread[0] * spread[1])))

    return Statistic(_moments(truth, told), of)


def ece(truth: Array, probs: Array, bins: int) -> Statistic:
    """Expected calibration error over bins of equal width."""

    def of(sums: Floats) -> Floats:
        confidence, right, count = np.split(sums, 3, axis=1)
        return _ratio(np.abs(confidence - right).sum(axis=1), count.sum(axis=1))

    return Statistic(calibration(truth, probs, bins), of)


def calibration(truth: Array, probs: Array, bins: int) -> Floats:
    """Confidence, being right, and one, each in its bin's place; shape (n, 3 * bins)."""
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == truth
    slots = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = np.zeros((len(truth), 3, bins))
    rows[np.arange(len(truth)), :, slots] = np.stack([confidence, right, np.ones(len(truth))], 1)
    return rows.reshape(len(truth), 3 * bins)


_TINY = 1e-9
"""A spread below this is rounding: the values are constant."""


def _hits(truth: Array, told: Array) -> Floats:
    """Hit, true class and told class, one-hot, shape (n, 3k) for the k classes that occur."""
    classes = np.union1d(truth, told)
    true, said = truth[:, None] == classes, told[:, None] == classes
    return np.concatenate([true & said, true, said], axis=1).astype(np.float64)


def _f1(sums: Floats) -> Floats:
    """F1 of each class, shape (draws, k), from sums of hits, support and guesses."""
    hits, support, guesses = np.split(sums, 3, axis=1)
    return _zero_ratio(2 * hits, support + guesses)


def _mean_over_seen(sums: Floats, scores: Floats) -> Floats:
    """Mean over the classes that a draw holds or its guesses name."""
    _, support, guesses = np.split(sums, 3, axis=1)
    seen = support + guesses > 0
    return _ratio((scores * seen).sum(axis=1), seen.sum(axis=1).astype(np.float64))


def _moments(truth: Array, told: Array) -> Floats:
    """Centred first, for small rounding: shared shifts change no spread and no difference."""
    shift = float(np.mean(truth))
    x, y = truth.astype(np.float64) - shift, told.astype(np.float64) - shift
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def _ratio(top: Floats, bottom: Floats) -> Floats:
    """Quotient; NaN where the denominator is 0."""
    quotient: Floats = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
    return quotient


def _zero_ratio(top: Floats, bottom: Floats) -> Floats:
    quotient: Floats = np.divide(top, bottom, out=np.zeros(top.shape), where=bottom != 0)
    return quotient
