"""Metrics of the field: the figure from a well-kept library, the interval from its sums.

Figures come from scikit-learn and audmetric (:mod:`affectgraph.perceivers.training.calibration`
for the calibration error). Each metric also says what its rows add up to, which is what the
bootstrap needs; tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import summands
from affectgraph.orchestrator.evaluation.bootstrap import Bootstrap, Floats, Groups, Statistic
from affectgraph.orchestrator.evaluation.result import Confusion, Estimate, Reliability
from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.training.calibration import expected_calibration_error

Array = NDArray[Any]
BINS: Final = 15


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: In tables and JSON.
        score: ``(truth, told) -> figure``, by a library.
        statistic: ``(truth, told) -> sums``, for intervals.
        takes: What ``truth`` and ``told`` are: ``labels`` (class indices, shape (n,)), ``sets``
            (0 or 1, shape (n, k)), ``numbers`` (shape (n,)), ``probs`` (truth class indices,
            told probabilities of shape (n, k)) or ``values`` (truth ignored, told one value a
            row).
    """

    name: str
    score: Callable[[Array, Array], float]
    statistic: Callable[[Array, Array], Statistic]
    takes: str = "labels"


def check_metrics() -> None:
    """Say before the work, not after it, that nothing can be measured.

    Raises:
        ExtraMissingError: If scikit-learn or audmetric is not installed.
    """
    if find_spec("sklearn") is None or find_spec("audmetric") is None:
        raise ExtraMissingError("evaluation", "eval")


def measure(
    metrics: Sequence[Metric],
    truth: Array,
    told: Array,
    bootstrap: Bootstrap,
    groups: Groups | None = None,
) -> dict[str, Estimate]:
    """Metrics of a system with their intervals, all from the same draws.

    Args:
        metrics: Metrics that take the same kind of input.
        truth: What the corpus says, one entry a row.
        told: What the system said.
        bootstrap: How intervals are drawn.
        groups: Whose each row is; see :meth:`Bootstrap.values`.

    Returns:
        Metric's name -> figure.

    Raises:
        ExtraMissingError: If the extra ``eval`` is not installed.
        ValueError: If there is no row, or the lengths differ.
    """
    if len(truth) != len(told) or not len(truth):
        raise ValueError(f"{len(truth)} rows of truth, {len(told)} told; want the same, 1 or more")
    check_metrics()
    statistics = [metric.statistic(truth, told) for metric in metrics]
    drawn = bootstrap.values(statistics, groups)
    return {
        metric.name: bootstrap.interval(metric.score(truth, told), values)
        for metric, values in zip(metrics, drawn, strict=True)
    }


def difference(
    metric: Metric,
    truth: Array,
    ours: Array,
    other: Array,
    bootstrap: Bootstrap,
    groups: Groups | None = None,
) -> Estimate:
    """``metric(ours) - metric(other)`` on the same rows, with its paired interval."""
    return bootstrap.difference(
        metric.statistic(truth, ours), metric.statistic(truth, other), groups
    )


def confusion(title: str, labels: Sequence[str], truth: Array, told: Array) -> Confusion:
    """How often each class was told as each."""
    from sklearn.metrics import confusion_matrix

    counts = confusion_matrix(truth, told, labels=range(len(labels)))
    return Confusion(title, tuple(labels), np.asarray(counts, dtype=np.int64))


def reliability(title: str, probs: Array, truth: Array, bins: int = BINS) -> Reliability:
    """Confidence against accuracy in bins of equal width over (0, 1]."""
    sums = summands.calibration(truth, probs, bins).sum(axis=0).reshape(3, bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        confidence, accuracy = sums[0] / sums[2], sums[1] / sums[2]
    error = expected_calibration_error(probs, truth, bins)
    return Reliability(title, confidence, accuracy, sums[2].astype(np.int64), error)


def class_f1(truth: Array, told: Array, classes: int) -> tuple[float, ...]:
    """F1 of each class; 0 where it has neither rows nor guesses."""
    from sklearn.metrics import f1_score

    scores = f1_score(truth, told, labels=range(classes), average=None, zero_division=0.0)
    return tuple(float(score) for score in scores)


def ndcg(similarity: Array, relevance: Array, k: int = 10) -> Floats:
    """Normalised discounted cumulative gain of each query (Järvelin and Kekäläinen, 2002).

    Args:
        similarity: Of each query to each document, shape (q, d), d of 2 or more.
        relevance: Gains, 0 or more, shape (q, d).
        k: How many documents count.

    Returns:
        Shape (q,), in [0, 1]; NaN for a query without a relevant document.
    """
    from sklearn.metrics import ndcg_score

    pairs = zip(similarity, relevance, strict=True)
    return np.array(
        [
            ndcg_score(gains[None], near[None], k=k) if gains.any() else np.nan
            for near, gains in pairs
        ]
    )


def _f1(average: str) -> Callable[[Array, Array], float]:
    def score(truth: Array, told: Array) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(truth, told, average=average, zero_division=0.0))

    return score


def _audmetric(name: str) -> Callable[[Array, Array], float]:
    def score(truth: Array, told: Array) -> float:
        import audmetric

        if name == "pearson_cc" and (np.ptp(truth) == 0 or np.ptp(told) == 0):
            return float("nan")
        return float(getattr(audmetric, name)(truth, told))

    return score


def _mean_absolute_error(truth: Array, told: Array) -> float:
    from sklearn.metrics import mean_absolute_error

    return float(mean_absolute_error(truth, told))


def _accuracy(truth: Array, told: Array) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(truth, told))


ACCURACY: Final = Metric("accuracy", _accuracy, summands.accuracy)
MACRO_F1: Final = Metric("macro_f1", _f1("macro"), summands.macro_f1)
WEIGHTED_F1: Final = Metric("weighted_f1", _f1("weighted"), summands.weighted_f1)
UAR: Final = Metric("uar", _audmetric("unweighted_average_recall"), summands.uar)
"""Unweighted average recall, over the classes that occur or are told."""
WAR: Final = Metric("war", _accuracy, summands.accuracy)
"""Weighted average recall: another name of accuracy, which face and speech papers use."""
SET_MACRO_F1: Final = Metric("macro_f1", _f1("macro"), summands.set_macro_f1, "sets")
"""Multi-label macro-F1 of decisions."""
CCC: Final = Metric("ccc", _audmetric("concordance_cc"), summands.ccc, "numbers")
"""Concordance correlation coefficient (Lin, 1989)."""
PEARSON: Final = Metric("pearson", _audmetric("pearson_cc"), summands.pearson, "numbers")
MAE: Final = Metric("mae", _mean_absolute_error, summands.mae, "numbers")
ECE: Final = Metric(
    "ece",
    lambda truth, probs: expected_calibration_error(probs, truth, BINS),
    lambda truth, probs: summands.ece(truth, probs, BINS),
    "probs",
)
"""Expected calibration error, 15 bins. Biased upwards in every draw, as it is over few rows."""
MEAN: Final = Metric(
    "mean",
    lambda _, values: float(np.mean(values)),
    lambda _, values: summands.mean(values),
    "values",
)

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {
        "accuracy": ACCURACY,
        "macro_f1": MACRO_F1,
        "weighted_f1": WEIGHTED_F1,
        "uar": UAR,
        "war": WAR,
        "set_macro_f1": SET_MACRO_F1,
        "ccc": CCC,
        "pearson": PEARSON,
        "mae": MAE,
        "ece": ECE,
        "mean": MEAN,
    }
)
"""By the name that a kept result says."""
