from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.reasoners.heads.strategy_lines import (
    DENSE,
    HISTORY,
    STRATEGY_COUNT,
    Role,
    StrategyHistory,
    line_vector,
)

_MARKS = slice(DENSE - 7, DENSE)
_PLACE = slice(HISTORY - 6, HISTORY)
_ROLES = st.sampled_from(["seeker", "supporter"])
_STRATEGIES = st.one_of(st.none(), st.integers(0, STRATEGY_COUNT - 1))


def _encoding() -> Encoding:
    return Encoding(
        embedding=np.zeros(384, np.float32),
        features=np.arange(768, dtype=np.float32),
        probs=np.full(28, 1 / 28, np.float32),
        vad=np.array([4, 3, 2], np.float32),
    )


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("I feel low", [math.log1p(3) / 3, 0, 0, 0, 0, 0, 0]),
        ("What should I do?", [math.log1p(4) / 3, 1, 1, 0, 1, 0, 0]),
        ("Hello! Really? Yes", [math.log1p(3) / 3, 1, 0, 1, 0, 0, 1]),
        ("Have a good night", [math.log1p(4) / 3, 0, 0, 0, 0, 1, 0]),
        ("thanks, bye", [math.log1p(2) / 3, 0, 0, 0, 0, 1, 0]),
    ],
)
def test_a_line_is_told_by_its_length_and_its_marks(text: str, marks: list[float]) -> None:
    told = line_vector(text, _encoding()).dense[_MARKS]
    assert told.tolist() == pytest.approx(marks)


def test_a_line_holds_the_encoder_s_numbers() -> None:
    told = line_vector("a", _encoding())
    assert told.encoded.shape == (768,)
    assert told.dense.shape == (DENSE,)
    assert told.dense[:28].tolist() == pytest.approx([(1 / 28) ** 0.5] * 28)
    assert told.dense[28:31].tolist() == [1, 0, -1]


def test_a_history_starts_empty() -> None:
    told = StrategyHistory().vector()
    assert told.shape == (HISTORY,)
    assert told[:32].tolist() == [0] * 32
    assert told[32:40].tolist() == pytest.approx([math.exp(-7.5)] * 8)
    assert told[_PLACE].tolist() == [0] * 6


def test_a_history_tells_the_latest_three_the_counts_and_how_long_ago() -> None:
    history = StrategyHistory()
    for strategy in (7, 0, 0, 4):
        history.tell("seeker")
        history.tell("supporter", strategy)
    told = history.vector()
    latest = told[:24].reshape(3, 8)
    assert latest.argmax(axis=1).tolist() == [4, 0, 0]
    assert latest.sum() == 3
    assert np.expm1(told[24:32]).tolist() == pytest.approx([2, 0, 0, 0, 1, 0, 0, 1])
    assert told[32 + 4] == pytest.approx(1)
    assert told[32 + 0] == pytest.approx(math.exp(-1 / 4))
    assert told[32 + 7] == pytest.approx(math.exp(-3 / 4))


def test_a_history_tells_whose_turn_it_is_and_for_how_many_lines() -> None:
    history = StrategyHistory()
    for _ in range(2):
        history.tell("seeker")
    seeking = history.vector()[_PLACE]
    history.tell("supporter", 1)
    supporting = history.vector()[_PLACE]
    assert seeking.tolist() == pytest.approx([0, 0, 1, math.log1p(2) / 3, 0, 2 / 5])
    assert supporting.tolist() == pytest.approx(
        [1 / 5, 1, 0, math.log1p(3) / 3, math.log1p(1) / 3, 0]
    )


def test_a_line_whose_strategy_is_unknown_makes_the_others_older() -> None:
    history = StrategyHistory()
    history.tell("supporter", 2)
    history.tell("supporter", None)
    told = history.vector()
    assert told[2] == 1
    assert told[32 + 2] == pytest.approx(math.exp(-1 / 4))


@given(st.lists(st.tuples(_ROLES, _STRATEGIES), max_size=40))
def test_a_history_stays_finite_and_bounded(lines: list[tuple[Role, int | None]]) -> None:
    history = StrategyHistory()
    for role, strategy in lines:
        history.tell(role, strategy if role == "supporter" else None)
    told = history.vector()
    known = [s for role, s in lines if role == "supporter" and s is not None]
    assert np.isfinite(told).all()
    assert told.min() >= 0
    assert told.max() <= math.log1p(40)
    assert told[:24].sum() == min(3, len(known))
    assert np.expm1(told[24:32]).sum() == pytest.approx(len(known), abs=1e-4)
