from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.reasoners.heads.features import PARTS, Coded, Floats, Part, features
from affectgraph.reasoners.heads.lines import Line, Stretch, majority, shares, singly, turns
from affectgraph.reasoners.heads.words import WordsReader

EMOTIONS, STRATEGIES, COMPONENTS = 3, 4, 5


def conversation(speakers: str) -> list[Line]:
    """A person's line for each ``p``, a supporter's for each ``s``."""
    return [
        Line(who == "p", f"line {at} ?", at % EMOTIONS, at % STRATEGIES, (2.0 * at, 2.0 * at + 1))
        for at, who in enumerate(speakers)
    ]


def reader(seed: int = 0) -> WordsReader:
    draw = np.random.default_rng(seed)
    return WordsReader(
        np.zeros(6),
        draw.normal(size=(6, COMPONENTS)),
        (draw.normal(size=(COMPONENTS, EMOTIONS)), np.zeros(EMOTIONS)),
        (draw.normal(size=(COMPONENTS, STRATEGIES)), np.zeros(STRATEGIES)),
    )


def code(lines: list[Line], *, given: bool = True, seed: int = 0) -> Coded:
    rows = np.random.default_rng(seed).normal(size=(len(lines), 6))
    return reader().code(lines, rows, given=given, text=4)


def test_turns_are_what_one_side_says_before_the_other() -> None:
    lines = conversation("ppspss")
    assert turns(lines) == [Stretch(0, 2), Stretch(2, 3), Stretch(3, 4), Stretch(4, 6)]
    assert len(singly(lines)) == 6


def test_the_majority_is_the_first_of_equals() -> None:
    assert majority([2, 0, 0, 2]) == 2
    assert majority([2, 0, 0]) == 0
    assert shares([0, 0, 2], 4).tolist() == pytest.approx([2 / 3, 0, 1 / 3, 0])


@settings(max_examples=40, deadline=None)
@given(st.text("ps", min_size=1, max_size=12), st.sets(st.sampled_from(sorted(PARTS)), min_size=1))
def test_every_stretch_is_seen_as_a_vector_of_one_length(speakers: str, parts: set[Part]) -> None:
    coded = code(conversation(speakers))
    seen = [features(coded, each, frozenset(parts)) for each in turns(coded.lines)]
    assert len({len(each) for each in seen}) == 1
    assert all(np.isfinite(each).all() for each in seen)


@settings(max_examples=40, deadline=None)
@given(st.text("ps", min_size=2, max_size=12), st.data())
def test_nothing_that_comes_later_is_seen(speakers: str, data: st.DataObject) -> None:
    lines = conversation(speakers)
    stretch = data.draw(st.sampled_from(turns(lines)))
    whole = features(code(lines), stretch, PARTS)
    rows = np.random.default_rng(0).normal(size=(len(lines), 6))[: stretch.end]
    cut = reader().code(lines[: stretch.end], rows, given=True, text=4)
    assert np.allclose(whole, features(cut, stretch, PARTS))


@settings(max_examples=40, deadline=None)
@given(st.text("ps", min_size=1, max_size=12), st.data())
def test_the_label_to_decide_is_not_seen(speakers: str, data: st.DataObject) -> None:
    lines = conversation(speakers)
    stretch = data.draw(st.sampled_from(turns(lines)))
    other = [
        Line(each.person, each.text, 2, 3, each.span) if stretch.begin <= at < stretch.end else each
        for at, each in enumerate(lines)
    ]
    assert np.array_equal(
        features(code(lines), stretch, PARTS), features(code(other), stretch, PARTS)
    )


def test_the_strategy_is_decided_before_the_reply_and_without_its_turns_emotion() -> None:
    lines = [*conversation("pspp"), Line(False, "A reply.", strategy=1)]
    other = [
        *lines[:2],
        *(Line(True, each.text, 2, span=each.span) for each in lines[2:4]),
        Line(False, "Quite another reply!", strategy=3),
    ]
    reply = Stretch(4, 5)
    assert np.array_equal(features(code(lines), reply, PARTS), features(code(other), reply, PARTS))


@pytest.mark.parametrize("given", [True, False])
def test_a_label_of_the_past_is_seen_only_where_it_is_given(given: bool) -> None:
    lines, now = conversation("psp"), Stretch(2, 3)
    other = [Line(True, lines[0].text, 1, span=lines[0].span), *lines[1:]]

    def seen(of: list[Line]) -> Floats:
        return features(code(of, given=given), now, PARTS)

    assert np.array_equal(seen(lines), seen(other)) == (not given)


def test_readings_are_distributions() -> None:
    coded = code(conversation("psps"), given=False)
    assert np.allclose(coded.emotion_read.sum(axis=1), 1)
    assert np.array_equal(coded.strategy_known, coded.strategy_read)
    assert coded.vectors.shape == (4, 4)
