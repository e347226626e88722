from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from affectgraph.perceivers.training.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    softmax,
)

LOGITS = arrays(np.float64, (12, 4), elements=st.floats(-20, 20))
SEEDS = st.integers(0, 2**32 - 1)


@given(LOGITS, st.floats(-1e6, 1e6))
def test_softmax_gives_distributions_and_ignores_a_shift(
    logits: np.ndarray[tuple[int, int], np.dtype[np.float64]], shift: float
) -> None:
    probs = softmax(logits)
    assert np.allclose(probs.sum(axis=1), 1)
    assert (probs >= 0).all()
    assert np.allclose(probs, softmax(logits + shift), atol=1e-6)


def test_softmax_takes_another_axis_and_large_logits() -> None:
    assert np.allclose(softmax(np.array([[1e4], [0.0]]), axis=0), [[1], [0]])


@settings(max_examples=25)
@given(SEEDS, st.floats(0.25, 4))
def test_the_temperature_that_made_the_labels_is_found(seed: int, true: float) -> None:
    logits = np.random.default_rng(seed).normal(size=(40, 5)) * 3
    assert fit_temperature(logits * true, softmax(logits)) == pytest.approx(true, rel=1e-3)


@settings(max_examples=25)
@given(SEEDS)
def test_no_other_temperature_is_more_likely(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(size=(60, 3)) * 2
    targets = np.eye(3)[random.integers(0, 3, 60)]
    best = negative_log_likelihood(logits, targets, fit_temperature(logits, targets))
    others = [negative_log_likelihood(logits, targets, t) for t in np.geomspace(0.02, 50, 60)]
    assert best <= min(others) + 1e-6


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match=r"must both be \(n, k\)"):
        fit_temperature(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"must both be \(n, k\)"):
        fit_temperature(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(ValueError, match=r"must be \(n, k\)"):
        expected_calibration_error(np.zeros((3, 2)), np.zeros(2, int))


@given(SEEDS, st.integers(1, 30))
def test_the_calibration_error_is_a_share(seed: int, bins: int) -> None:
    random = np.random.default_rng(seed)
    probs = softmax(random.normal(size=(50, 4)) * 3)
    assert 0 <= expected_calibration_error(probs, random.integers(0, 4, 50), bins) <= 1


def test_certain_and_right_has_no_error_and_certain_and_wrong_has_all() -> None:
    probs = np.eye(3)
    assert expected_calibration_error(probs, np.arange(3)) == 0
    assert expected_calibration_error(probs, np.array([1, 2, 0])) == 1


def test_the_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probs = np.tile([0.8, 0.2], (10, 1))
    labels = np.array([0] * 6 + [1] * 4)
    assert expected_calibration_error(probs, labels) == pytest.approx(0.2)


def test_temperature_mends_an_overconfident_model() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 4)) * 1.5
    labels = np.array([random.choice(4, p=row) for row in softmax(logits)])
    bold = logits * 3
    found = fit_temperature(bold, np.eye(4)[labels])
    before = expected_calibration_error(softmax(bold), labels)
    after = expected_calibration_error(softmax(bold / found), labels)
    assert after < 0.05 < before
