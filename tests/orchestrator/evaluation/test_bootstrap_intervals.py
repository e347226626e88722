from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import Bootstrap, Estimate, Statistic
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    MACRO_F1,
    SET_MACRO_F1,
    difference,
    measure,
)
from affectgraph.orchestrator.evaluation.summands import mean


def estimate(
    bootstrap: Bootstrap, statistic: Statistic, groups: NDArray[Any] | None = None
) -> Estimate:
    """A metric with its interval."""
    return bootstrap.interval(statistic.value, bootstrap.values([statistic], groups)[0])


def test_an_interval_of_a_mean_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(size=2000)
    told = estimate(Bootstrap(draws=2000), mean(values))
    error = 1.96 * values.std() / np.sqrt(len(values))
    assert told.value == pytest.approx(values.mean())
    assert told.low == pytest.approx(values.mean() - error, abs=error / 8)
    assert told.high == pytest.approx(values.mean() + error, abs=error / 8)


def test_draws_are_repeatable_and_the_seed_changes_them() -> None:
    values = np.arange(50.0)
    first, again, other = (estimate(Bootstrap(draws=50, seed=s), mean(values)) for s in (3, 3, 4))
    assert first == again
    assert first != other


def test_the_draws_are_those_of_rows_drawn_one_by_one() -> None:
    """The sums over drawn counts are the metric over the drawn rows themselves."""
    rng = np.random.default_rng(5)
    truth, told = rng.integers(0, 3, 40), rng.integers(0, 3, 40)
    bootstrap = Bootstrap(draws=7, seed=9)
    drawn = bootstrap.values([MACRO_F1.statistic(truth, told)])[0]
    picks = np.random.default_rng(9).integers(0, 40, size=(7, 40))
    by_hand = [MACRO_F1.score(truth[rows], told[rows]) for rows in picks]
    assert drawn == pytest.approx(by_hand)


def test_no_draws_give_no_interval() -> None:
    told = measure([ACCURACY], np.array([0, 1]), np.array([0, 1]), Bootstrap(draws=0))
    assert told["accuracy"].value == 1
    assert told["accuracy"].low is None


def test_a_difference_is_paired() -> None:
    """Two systems with the same errors but for ten rows differ surely; unpaired they would not."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 400)
    other = np.where(rng.random(400) < 0.6, truth, 1 - truth)
    ours = other.copy()
    wrong = np.flatnonzero(other != truth)[:10]
    ours[wrong] = truth[wrong]
    bootstrap = Bootstrap(draws=500)
    gain = difference(ACCURACY, truth, ours, other, bootstrap)
    assert gain.value == pytest.approx(10 / 400)
    assert gain.low is not None
    assert gain.low > 0
    alone = [measure([ACCURACY], truth, told, bootstrap)["accuracy"] for told in (ours, other)]
    assert alone[0].low is not None
    assert alone[1].high is not None
    assert alone[0].low < alone[1].high


def test_the_same_system_never_differs_and_its_ratio_is_1() -> None:
    values = np.random.default_rng(2).random(30)
    bootstrap = Bootstrap(draws=100)
    same, ratio = (f(mean(values), mean(values)) for f in (bootstrap.difference, bootstrap.ratio))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1, 1, 1))


def test_a_ratio_to_nothing_is_undefined() -> None:
    told = Bootstrap(draws=10).ratio(mean(np.ones(5)), mean(np.zeros(5)))
    assert np.isnan(told.value)
    assert told.low is None


def test_rows_of_a_group_are_drawn_together() -> None:
    """Ten copies of each row tell no more than the row: the interval must not shrink."""
    values = np.random.default_rng(3).random(30)
    copies, groups = np.repeat(values, 10), np.repeat(np.arange(30), 10)
    bootstrap = Bootstrap(draws=400)
    once = estimate(bootstrap, mean(values))
    grouped = estimate(bootstrap, mean(copies), groups)
    naive = estimate(bootstrap, mean(copies))
    assert (grouped.value, grouped.low, grouped.high) == pytest.approx(
        (once.value, once.low, once.high)
    )
    assert _width(naive) < 0.5 * _width(grouped)


def test_systems_with_other_rows_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same rows"):
        Bootstrap().difference(mean(np.ones(3)), mean(np.ones(4)))
    with pytest.raises(ValueError, match="same rows"):
        estimate(Bootstrap(), mean(np.ones(3)), np.zeros(2))


def test_a_metric_of_ones_own_is_a_statistic() -> None:
    """A share of two sums: of the rows of one kind, how many were right."""
    right, kind = np.array([1.0, 0, 1, 1]), np.array([1.0, 1, 0, 1])
    rows = np.stack([right * kind, kind], axis=1)
    with np.errstate(invalid="ignore"):
        told = estimate(Bootstrap(draws=50), Statistic(rows, lambda sums: sums[:, 0] / sums[:, 1]))
    assert told.value == pytest.approx(2 / 3)


def test_a_thousand_draws_of_many_labels_need_no_loop_over_rows() -> None:
    """Sized as GoEmotions' test split; a loop would not end within the test's patience."""
    rng = np.random.default_rng(0)
    truth, told = rng.integers(0, 2, (2, 5000, 28))
    found = measure([SET_MACRO_F1], truth, told, Bootstrap(draws=1000))["macro_f1"]
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high


def _width(told: object) -> float:
    low, high = getattr(told, "low", None), getattr(told, "high", None)
    assert isinstance(low, float)
    assert isinstance(high, float)
    return high - low
