from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.fusion.pool import log_linear
from affectgraph.perceivers.training.calibration import expected_calibration_error
from affectgraph.perceivers.training.fusion_fit import (
    HEAVIEST,
    calibrate,
    fit_weights,
    folds,
    vector_scaling,
)

CLASSES = 4


def senses(
    sharpness: dict[str, float], n: int = 4000, seed: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Calibrated probabilities of sources that err independently, and the truth."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(CLASSES, size=n)
    probs = {}
    for name, sharp in sharpness.items():
        # Gaussian evidence: its logarithms are the log-likelihood ratios themselves.
        seen = rng.normal(size=(n, CLASSES)) + sharp * np.eye(CLASSES)[labels]
        raw = np.exp(seen * sharp)
        probs[name] = raw / raw.sum(axis=1, keepdims=True)
    return probs, labels


def loss(probs: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(probs[np.arange(len(labels)), labels]).mean())


def test_what_tells_nothing_gets_no_weight_and_what_tells_much_gets_much() -> None:
    probs, labels = senses({"clear": 2.0, "faint": 1.0})
    probs["noise"] = senses({"noise": 1.0}, seed=9)[0]["noise"]
    pool = fit_weights(probs, labels)
    told = pool.weights["clear+faint+noise"]
    assert told["noise"] < 0.1
    assert told["clear"] == pytest.approx(1, abs=0.2)
    assert told["faint"] == pytest.approx(1, abs=0.2)
    assert set(pool.weights) == {
        "clear+faint", "clear+noise", "faint+noise", "clear+faint+noise",
    }  # fmt: skip


def test_two_that_mislead_still_make_a_pool() -> None:
    labels = np.arange(400) % CLASSES
    wrong = 0.9 * np.eye(CLASSES)[(labels + 1) % CLASSES] + 0.1 / CLASSES
    told = fit_weights({"a": wrong, "b": wrong}, labels).weights["a+b"]
    assert 0 < sum(told.values()) < 0.01


def test_two_that_say_the_same_share_one_weight() -> None:
    probs, labels = senses({"words": 1.5})
    pool = fit_weights({"a": probs["words"], "b": probs["words"]}, labels)
    assert sum(pool.weights["a+b"].values()) == pytest.approx(1, abs=0.15)


def test_a_company_learns_from_the_rows_that_have_all_of_it() -> None:
    probs, labels = senses({"a": 1.5, "b": 1.5})
    there = np.arange(len(labels)) < 2000
    spoilt = probs["b"].copy()
    spoilt[~there] = np.eye(CLASSES)[(labels[~there] + 1) % CLASSES]
    whole = fit_weights({"a": probs["a"][there], "b": probs["b"][there]}, labels[there])
    masked = fit_weights({"a": probs["a"], "b": spoilt}, labels, {"b": there})
    assert masked.weights == whole.weights


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000))
def test_a_fitted_company_is_no_worse_than_either_on_the_rows_of_the_fit(seed: int) -> None:
    probs, labels = senses({"a": 1.0, "b": 0.4}, n=120, seed=seed)
    pool = fit_weights(probs, labels)
    weights = pool.weights["a+b"]
    assert all(0 <= weight <= HEAVIEST for weight in weights.values())
    fused = loss(log_linear(probs, weights), labels)
    for name in probs:
        alone = loss(log_linear({name: probs[name]}, {name: 1.0}), labels)
        assert fused <= alone + 0.01


def test_calibration_takes_back_what_was_overstated() -> None:
    probs, labels = senses({"a": 1.0})
    sharp = 4 * np.log(probs["a"])
    found = calibrate(sharp, labels, np.arange(len(labels)) // 10)
    assert found.kind == "temperature"
    assert found.scale == pytest.approx(0.25, abs=0.03)
    assert expected_calibration_error(found.probs(sharp), labels) < 0.03


def test_a_bias_earns_vector_scaling() -> None:
    probs, labels = senses({"a": 1.0})
    tilted = np.log(probs["a"]) + np.array([2.0, 0, 0, -2.0])
    found = calibrate(tilted, labels, np.arange(len(labels)) // 10)
    assert found.kind == "vector scaling"
    assert loss(found.probs(tilted), labels) < loss(probs["a"], labels) + 0.02


def test_vector_scaling_takes_soft_targets() -> None:
    probs, _ = senses({"a": 1.0})
    told = vector_scaling(3 * np.log(probs["a"]), probs["a"]).probs(3 * np.log(probs["a"]))
    assert np.abs(told - probs["a"]).mean() < 0.02


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=2, max_size=80), st.integers(2, 6))
def test_folds_keep_dialogues_whole(dialogues: list[int], count: int) -> None:
    groups = np.array(sorted(dialogues))
    held = folds(groups, count)
    for group in np.unique(groups):
        assert len(set(held[groups == group].tolist())) == 1
    assert set(held.tolist()) == set(range(min(count, len(np.unique(groups)))))
