from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from affectgraph.perceivers.errors import BuildError, ModelCorruptError
from affectgraph.perceivers.fusion.late import WEIGHTS
from affectgraph.perceivers.fusion.pool import FLOOR, Pool, company, log_linear, tempered
from affectgraph.perceivers.labels import EKMAN_7, FERPLUS_8

ROWS = arrays(np.float64, (5, 7), elements=st.floats(1e-3, 1)).map(
    lambda rows: rows / rows.sum(axis=1, keepdims=True)
)
LEARNED = Pool(
    {
        "face+text": {"face": 0.3, "text": 0.9},
        "face+speech": {"face": 0.8, "speech": 0.5},
        "face+speech+text": {"face": 0.2, "speech": 0.1, "text": 1.0},
    }
)


def test_a_worked_example() -> None:
    # Two labels, weights 1 and 0.5: 0.8 * sqrt(0.2) against 0.2 * sqrt(0.8), floors and all.
    one, two = np.array([[0.8, 0.2]]), np.array([[0.2, 0.8]])
    floored = [(1 - FLOOR) * each + FLOOR / 2 for each in (one, two)]
    raw = floored[0] * np.sqrt(floored[1])
    pooled = log_linear({"a": one, "b": two}, {"a": 1.0, "b": 0.5})
    assert pooled == pytest.approx(raw / raw.sum())


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS)
def test_a_pool_is_a_distribution(one: np.ndarray, two: np.ndarray) -> None:
    pooled = LEARNED.pooled({"text": one, "face": two})
    assert pooled.sum(axis=1) == pytest.approx(1)
    assert (pooled > 0).all()


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS)
def test_no_source_can_veto(one: np.ndarray, two: np.ndarray) -> None:
    sure = np.eye(7)[[0] * 5]
    told = log_linear({"a": sure, "b": one, "c": two}, {"a": 1.0, "b": 1.0, "c": 1.0})
    assert (told[:, 1:] > 0).all()


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS)
def test_what_two_agree_on_stays_on_top(one: np.ndarray, two: np.ndarray) -> None:
    agree = one.argmax(axis=1) == two.argmax(axis=1)
    pooled = LEARNED.pooled({"text": one, "face": two})
    tops = np.take_along_axis(pooled, one.argmax(axis=1)[:, None], 1)[:, 0]
    assert tops[agree] == pytest.approx(pooled.max(axis=1)[agree])


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_one_alone_is_taken_as_it_is(rows: np.ndarray) -> None:
    for name in ("text", "face", "speech", "posture"):
        assert np.array_equal(LEARNED.pooled({name: rows}), rows)


def test_each_row_gets_the_weights_of_what_it_has() -> None:
    rng = np.random.default_rng(0)
    text, face, speech = rng.dirichlet(np.ones(7), (3, 4))
    there = {
        "text": np.array([True, True, False, False]),
        "face": np.array([True, True, True, False]),
        "speech": np.array([True, False, True, False]),
    }
    told = LEARNED.pooled({"text": text, "face": face, "speech": speech}, there)
    all_three = {"text": text[:1], "face": face[:1], "speech": speech[:1]}
    assert told[:1] == pytest.approx(log_linear(all_three, LEARNED.weights["face+speech+text"]))
    pair = {"text": text[1:2], "face": face[1:2]}
    assert told[1:2] == pytest.approx(log_linear(pair, LEARNED.weights["face+text"]))
    other = {"face": face[2:3], "speech": speech[2:3]}
    assert told[2:3] == pytest.approx(log_linear(other, LEARNED.weights["face+speech"]))
    assert told[3] == pytest.approx(np.full(7, 1 / 7))


def test_a_company_that_was_not_learned_takes_the_next_larger_ones_weights() -> None:
    assert LEARNED.of(["speech", "text"]) == {"speech": 0.1, "text": 1.0}
    assert LEARNED.of(["text", "posture"]) == {"text": 1.0, "posture": 0.0}
    assert Pool({}).of(["text", "posture"]) == {"text": 1.0, "posture": 1.0}


@settings(max_examples=40, deadline=None)
@given(ROWS, st.floats(0.2, 5))
def test_a_temperature_keeps_the_order(rows: np.ndarray, temperature: float) -> None:
    told = tempered(rows, temperature)
    assert told.sum(axis=1) == pytest.approx(1)
    tops = np.take_along_axis(told, rows.argmax(axis=1)[:, None], 1)[:, 0]
    assert tops == pytest.approx(told.max(axis=1))


def test_it_is_kept_and_read(tmp_path: Path) -> None:
    pool = Pool(LEARNED.weights, {"text": 1.4})
    pool.save(tmp_path / "pool.json", rows=12)
    assert Pool.load(tmp_path / "pool.json") == pool
    with pytest.raises(ModelCorruptError, match="for ekman-7, not ferplus-8"):
        Pool.load(tmp_path / "pool.json", FERPLUS_8)
    with pytest.raises(ModelCorruptError, match=r"none\.json"):
        Pool.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("weights", "temperature"),
    [
        ({"face+text": {"face": -0.1, "text": 1.0}}, {}),
        ({"face+text": {"face": 0.0, "text": 0.0}}, {}),
        ({"face+text": {"face": float("nan"), "text": 1.0}}, {}),
        ({"text+face": {"face": 1.0, "text": 1.0}}, {}),
        ({"text": {"text": 1.0}}, {}),
        ({}, {"text": 0.0}),
    ],
)
def test_wrong_numbers_are_refused(
    weights: dict[str, dict[str, float]], temperature: dict[str, float]
) -> None:
    with pytest.raises(BuildError, match="fusion"):
        Pool(weights, temperature)


def test_the_shipped_weights_know_every_company() -> None:
    shipped = Pool.load(WEIGHTS)
    senses = ("face", "speech", "text")
    pairs = {company(pair) for pair in (senses[:2], senses[1:], senses[::2])}
    assert set(shipped.weights) == pairs | {company(senses)}
    assert EKMAN_7.name in WEIGHTS.read_text(encoding="utf-8")
    for weights in shipped.weights.values():
        if "text" in weights:
            assert weights["text"] == max(weights.values())
