"""Bootstrap intervals by sums: fast for every metric that is a function of sums over rows.

F1, recall, correlations, calibration error and means all depend on the rows through a few sums
(true positives of a class; sums of products). A bootstrap draw is a vector of row counts, so all
draws together are one matrix product of counts and summands. Percentile intervals; Efron and
Tibshirani (1993), "An Introduction to the Bootstrap", chapters 13 and 16.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.result import Estimate

Floats = NDArray[np.float64]
Groups = NDArray[Any]

_BLOCK = 100
"""Draws at a time, so that the counts of many rows need little memory."""


@dataclass(frozen=True)
class Statistic:
    """A metric as a function of sums over rows.

    Attributes:
        rows: What each row adds to each sum, shape (n, s).
        of: Sums, shape (draws, s), to values, shape (draws,); NaN where it is undefined.
    """

    rows: Floats
    of: Callable[[Floats], Floats]

    @property
    def value(self) -> float:
        """The metric over all rows."""
        return float(self.of(self.rows.sum(axis=0, keepdims=True))[0])


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn.

    Attributes:
        draws: How often; 0 for no intervals.
        seed: Makes the draws repeatable; systems with the same number of rows see the same
            draws, which is what pairs them.
        level: Coverage of an interval.
    """

    draws: int = 1000
    seed: int = 0
    level: float = 0.95

    def difference(
        self, ours: Statistic, other: Statistic, groups: Groups | None = None
    ) -> Estimate:
        """``ours - other`` on the same rows, paired: both see the same draws.

        Raises:
            ValueError: If the numbers of rows differ.
        """
        a, b = self.values([ours, other], groups)
        return self.interval(ours.value - other.value, a - b)

    def ratio(self, ours: Statistic, other: Statistic, groups: Groups | None = None) -> Estimate:
        """``ours / other`` on the same rows, paired; NaN where the other is 0.

        Raises:
            ValueError: If the numbers of rows differ.
        """
        a, b = self.values([ours, other], groups)
        value = _divided(np.array([ours.value]), np.array([other.value]))
        return self.interval(float(value[0]), _divided(a, b))

    def values(self, statistics: Sequence[Statistic], groups: Groups | None = None) -> list[Floats]:
        """Each metric in each draw, shape (draws,), the same draws for all.

        Raises:
            ValueError: If the numbers of rows differ, or there is no row.
        """
        sizes = {len(statistic.rows) for statistic in statistics}
        if len(sizes) != 1 or 0 in sizes or (groups is not None and len(groups) not in sizes):
            raise ValueError(f"paired draws need the same rows, one or more, not {sorted(sizes)}")
        wide = np.concatenate([statistic.rows for statistic in statistics], axis=1)
        sums = self._sums(_by_group(wide, groups))
        ends = np.cumsum([statistic.rows.shape[1] for statistic in statistics])[:-1]
        parts = np.split(sums, ends, axis=1)
        return [s.of(part) for s, part in zip(statistics, parts, strict=True)]

    def _sums(self, rows: Floats) -> Floats:
        """Sums over each draw, shape (draws, s)."""
        rng, n = np.random.default_rng(self.seed), len(rows)
        sums = np.empty((self.draws, rows.shape[1]))
        for start in range(0, self.draws, _BLOCK):
            size = min(_BLOCK, self.draws - start)
            picks = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
            counts = np.bincount(picks.ravel(), minlength=size * n).reshape(size, n)
            sums[start : start + size] = counts.astype(np.float64) @ rows
        return sums

    def interval(self, value: float, drawn: Floats) -> Estimate:
        """A figure with the percentile interval of its draws; without one if none is finite."""
        finite = drawn[np.isfinite(drawn)]
        if not len(finite) or not np.isfinite(value):
            return Estimate(value)
        tail = (1 - self.level) / 2
        low, high = np.quantile(finite, [tail, 1 - tail])
        return Estimate(value, float(low), float(high))


def _by_group(rows: Floats, groups: Groups | None) -> Floats:
    """Sum the rows of each group: a group is then drawn as one row."""
    if groups is None:
        return rows
    _, index = np.unique(groups, return_inverse=True)
    summed = np.zeros((int(index.max()) + 1, rows.shape[1]))
    np.add.at(summed, index, rows)
    return summed


def _divided(top: Floats, bottom: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(bottom != 0, top / bottom, np.nan)
