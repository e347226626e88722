"""Metrics against values worked by hand, and each one's sums against its library."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import Bootstrap
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    CCC,
    ECE,
    MACRO_F1,
    MAE,
    MEAN,
    METRICS,
    PEARSON,
    SET_MACRO_F1,
    UAR,
    WAR,
    WEIGHTED_F1,
    class_f1,
    confusion,
    measure,
    ndcg,
    reliability,
)

TRUTH = np.array([0, 0, 0, 1, 1, 2])
TOLD = np.array([0, 0, 1, 1, 0, 2])
FEW = Bootstrap(draws=20)


def test_labels_by_hand() -> None:
    # Class 0: 2 of 3 found, 3 told -> F1 2/3. Class 1: 1 of 2, 2 told -> 1/2. Class 2: 1.
    told = measure([ACCURACY, MACRO_F1, WEIGHTED_F1, UAR, WAR], TRUTH, TOLD, FEW)
    assert told["accuracy"].value == pytest.approx(4 / 6)
    assert told["macro_f1"].value == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert told["weighted_f1"].value == pytest.approx((3 * 2 / 3 + 2 * 1 / 2 + 1) / 6)
    assert told["uar"].value == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert told["war"].value == told["accuracy"].value
    assert class_f1(TRUTH, TOLD, 4) == pytest.approx((2 / 3, 1 / 2, 1, 0))


def test_a_class_that_is_told_but_never_true_counts_against_the_mean() -> None:
    told = measure([MACRO_F1, UAR], np.array([0, 0]), np.array([0, 3]), FEW)
    assert told["macro_f1"].value == pytest.approx((2 / 3 + 0) / 2)
    assert told["uar"].value == pytest.approx(0.25)


def test_multi_label_by_hand() -> None:
    truth = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]])
    told = np.array([[1, 0, 0], [0, 1, 1], [0, 1, 0]])
    # 2/3 for the first label, 1 for the second, 0 for the third.
    assert measure([SET_MACRO_F1], truth, told, FEW)["macro_f1"].value == pytest.approx(5 / 9)


def test_numbers_by_hand() -> None:
    truth, told = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    found = measure([CCC, PEARSON, MAE], truth, told, FEW)
    assert found["ccc"].value == pytest.approx(2 / 3)  # audmetric's own example
    assert found["pearson"].value == pytest.approx(1.0 / np.sqrt(2 * 2 / 3))
    assert found["mae"].value == pytest.approx(1 / 3)


def test_a_correlation_with_a_constant_is_undefined_and_a_concordance_is_0() -> None:
    found = measure([CCC, PEARSON], np.array([1.0, 2.0, 3.0]), np.full(3, 2.5), FEW)
    assert found["ccc"].value == 0
    assert np.isnan(found["pearson"].value)
    assert found["pearson"].low is None


def test_calibration_by_hand() -> None:
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6]])
    truth = np.array([0, 1, 1, 1])
    # At 0.9 half is right, at 0.6 all: (0.4 + 0.4) / 2.
    assert measure([ECE], truth, probs, FEW)["ece"].value == pytest.approx(0.4)
    drawn = reliability("x", probs, truth)
    assert drawn.error == pytest.approx(0.4)
    assert drawn.count.tolist() == [0] * 8 + [2] + [0] * 4 + [2, 0]
    assert drawn.accuracy[8] == 1
    assert drawn.confidence[13] == pytest.approx(0.9)


def test_ndcg_by_hand() -> None:
    # Relevant documents at ranks 1 and 3 of 2 relevant: (1 + 1/2) / (1 + 1/log2(3)).
    similarity = np.array([[0.9, 0.8, 0.7, 0.1]])
    relevance = np.array([[1, 0, 1, 0]])
    assert ndcg(similarity, relevance, 10)[0] == pytest.approx(1.5 / (1 + 1 / np.log2(3)))
    assert ndcg(similarity, relevance, 2)[0] == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert np.isnan(ndcg(similarity, np.zeros((1, 4)), 10)[0])


def test_confusion_counts_the_truth_in_rows() -> None:
    drawn = confusion("x", ("a", "b", "c"), TRUTH, TOLD)
    assert drawn.counts.tolist() == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="6 rows of truth, 5 told"):
        measure([ACCURACY], TRUTH, TOLD[:5], FEW)
    with pytest.raises(ValueError, match="0 rows"):
        measure([ACCURACY], TRUTH[:0], TOLD[:0], FEW)


def _labels(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    return rng.integers(0, 4, n)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 40))
def test_the_sums_give_the_librarys_figure(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = {
        "labels": (_labels(rng, n), _labels(rng, n)),
        "sets": (rng.integers(0, 2, (n, 3)), rng.integers(0, 2, (n, 3))),
        "numbers": (rng.normal(size=n), rng.normal(size=n)),
        "probs": (_labels(rng, n), rng.dirichlet(np.ones(4), n)),
        "values": (np.zeros(n), rng.random(n)),
    }
    for metric in METRICS.values():
        truth, told = inputs[metric.takes]
        assert metric.statistic(truth, told).value == pytest.approx(
            metric.score(truth, told), abs=1e-9, nan_ok=True
        )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_perfect_system_scores_1_and_any_order_of_rows_gives_the_same(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, told, order = _labels(rng, 30), _labels(rng, 30), rng.permutation(30)
    for metric in (ACCURACY, MACRO_F1, WEIGHTED_F1, UAR):
        assert metric.score(truth, truth) == pytest.approx(1)
        assert metric.score(truth[order], told[order]) == pytest.approx(metric.score(truth, told))
    assert MEAN.score(truth, truth[order].astype(float)) == pytest.approx(truth.mean())
