from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.memory.recall import (
    ByMeaning,
    ByMeaningAndEmotion,
    Candidate,
    RecallStrategy,
    emotional_distance,
)
from affectgraph.memory.record import Cue, MemoryRecord
from affectgraph.perceivers.affect import Affect, Distribution
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EKMAN_7, FERPLUS_8

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def felt(label: str | None) -> Affect | None:
    return None if label is None else Affect.read(Distribution.certain(EKMAN_7, label), AT)


def candidate(name: str, semantic: float, label: str | None = None) -> Candidate:
    record = MemoryRecord(id=name, user="ana", thread="t", text=name, affect=felt(label), at=AT)
    return Candidate(record=record, semantic=semantic)


def cue(label: str | None = None, limit: int = 3) -> Cue:
    return Cue(user="ana", text="now", affect=felt(label), limit=limit)


def ids(strategy: RecallStrategy, at: Cue, *candidates: Candidate) -> list[str]:
    return [each.record.id for each in strategy.rank(at, candidates)]


weights = st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda each: sum(each) > 1e-3)
distributions = weights.map(
    lambda each: Distribution.over(EKMAN_7, dict(zip(EKMAN_7.labels, each, strict=True)))
)


@given(distributions, distributions, distributions)
def test_emotional_distance_is_a_metric_in_0_to_1(
    one: Distribution, two: Distribution, three: Distribution
) -> None:
    distance = emotional_distance(one, two)
    assert 0 <= distance <= 1
    assert emotional_distance(one, one) == 0
    assert distance == pytest.approx(emotional_distance(two, one))
    assert distance <= emotional_distance(one, three) + emotional_distance(three, two) + 1e-6


def test_emotional_distance_fills_its_range_and_maps_label_sets() -> None:
    joy, fear = (Distribution.certain(EKMAN_7, label) for label in ("joy", "fear"))
    assert emotional_distance(joy, fear) == pytest.approx(1)
    assert emotional_distance(joy, Distribution.certain(FERPLUS_8, "happiness")) == 0
    half = Distribution.over(EKMAN_7, {"joy": 1, "fear": 1})
    # Hellinger by hand: sqrt(1 - sqrt(1 * 0.5)).
    assert emotional_distance(joy, half) == pytest.approx((1 - 0.5**0.5) ** 0.5)


def test_by_meaning_ignores_emotion_and_cuts_off_what_is_unrelated() -> None:
    found = ByMeaning(max_semantic=0.5).rank(
        cue("sadness"),
        [candidate("b", 0.3, "sadness"), candidate("a", 0.1, "joy"), candidate("c", 0.51)],
    )
    assert [each.record.id for each in found] == ["a", "b"]
    assert found[0].distance == 0.1
    assert found[0].breakdown == {"semantic": 0.1}


def test_emotion_decides_between_equals_in_meaning() -> None:
    pair = candidate("a", 0.2, "joy"), candidate("b", 0.2, "sadness")
    assert ids(ByMeaningAndEmotion(), cue("sadness"), *pair) == ["b", "a"]
    assert ids(ByMeaningAndEmotion(), cue("joy"), *pair) == ["a", "b"]


def test_the_weight_sets_how_much_emotion_counts() -> None:
    pair = candidate("near", 0.1, "joy"), candidate("alike", 0.4, "sadness")
    assert ids(ByMeaningAndEmotion(weight=0), cue("sadness"), *pair) == ["near", "alike"]
    assert ids(ByMeaningAndEmotion(weight=2), cue("sadness"), *pair) == ["alike", "near"]


def test_the_breakdown_gives_back_the_distance() -> None:
    strategy = ByMeaningAndEmotion(weight=0.5, max_semantic=0.8)
    (found,) = strategy.rank(cue("sadness"), [candidate("a", 0.4, "joy")])
    assert found.breakdown == {"semantic": 0.4, "emotional": pytest.approx(1)}
    assert found.distance == pytest.approx((0.4 / 0.8 + 0.5 * 1) / 1.5)


@pytest.mark.parametrize(("now", "then"), [(None, "joy"), ("joy", None), (None, None)])
def test_without_affect_meaning_alone_counts_and_is_told(now: str | None, then: str | None) -> None:
    strategy = ByMeaningAndEmotion(max_semantic=0.8)
    (found,) = strategy.rank(cue(now), [candidate("a", 0.4, then)])
    assert found.breakdown == {"semantic": 0.4}
    assert found.distance == pytest.approx(0.5)


@given(
    st.lists(st.tuples(st.floats(0, 2), st.sampled_from([None, *EKMAN_7.labels])), max_size=20),
    st.sampled_from([None, *EKMAN_7.labels]),
    st.integers(1, 5),
    st.sampled_from([ByMeaning(), ByMeaningAndEmotion(), ByMeaningAndEmotion(weight=3, pool=1)]),
)
def test_ranking_is_sorted_bounded_and_within_the_cutoff(
    drawn: list[tuple[float, str | None]], now: str | None, limit: int, strategy: RecallStrategy
) -> None:
    candidates = [candidate(f"{i}", d, label) for i, (d, label) in enumerate(drawn)]
    found = strategy.rank(cue(now, limit), candidates)

    distances = [each.distance for each in found]
    assert distances == sorted(distances)
    related = sum(each.semantic <= 0.65 for each in candidates)
    assert len(found) == min(limit, related)
    assert all(0 <= each.distance <= 1 for each in found)
    assert all(each.breakdown["semantic"] <= 0.65 for each in found)
    again = strategy.rank(cue(now, limit), candidates[::-1])
    assert [each.record.id for each in again] == [each.record.id for each in found]


def test_more_is_fetched_than_wanted_only_to_rank_again() -> None:
    assert ByMeaning().candidates(3) == 3
    assert ByMeaningAndEmotion(pool=4).candidates(3) == 12


@pytest.mark.parametrize("cutoff", [0.0, -1.0, 2.1, float("nan")])
def test_a_senseless_cutoff_is_refused(cutoff: float) -> None:
    for strategy in (ByMeaning, ByMeaningAndEmotion):
        with pytest.raises(BuildError, match="max_semantic"):
            strategy(max_semantic=cutoff)


def test_a_senseless_weight_or_pool_is_refused() -> None:
    for weight in (-0.1, float("inf"), float("nan")):
        with pytest.raises(BuildError, match="weight"):
            ByMeaningAndEmotion(weight=weight)
    with pytest.raises(BuildError, match="pool"):
        ByMeaningAndEmotion(pool=0)
