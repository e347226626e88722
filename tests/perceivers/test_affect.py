from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from affectgraph.perceivers.affect import (
    VAD_ANCHORS,
    Affect,
    Box,
    Distribution,
    Evidence,
    Reading,
    expected_vad,
    merge_readings,
)
from affectgraph.perceivers.labels import EKMAN_7, EMOTIONS, GOEMOTIONS_28, MESC_7

NOW = datetime(2026, 1, 2, tzinfo=UTC)
weights = st.lists(st.floats(0.001, 1), min_size=7, max_size=7).map(
    lambda ws: dict(zip(EKMAN_7.labels, ws, strict=True))
)


def affect(label: str) -> Affect:
    return Affect.read(Distribution.certain(EKMAN_7, label), NOW)


@given(weights)
def test_weights_become_probabilities_in_the_sets_order(ws: dict[str, float]) -> None:
    d = Distribution.over(EKMAN_7, ws)
    assert sum(d.probs) == pytest.approx(1)
    assert d.labels == EKMAN_7.labels
    assert d.top_p == d[d.top] == max(d.as_dict().values())


@given(weights)
def test_a_distribution_survives_being_printed(ws: dict[str, float]) -> None:
    d = Distribution.over(EKMAN_7, ws)
    assert Distribution.model_validate_json(d.model_dump_json()) == d


@pytest.mark.parametrize(
    "bad", [{"hunger": 1.0}, {"joy": -0.1, "fear": 1.1}, {}, {"joy": float("nan")}]
)
def test_weights_that_are_no_distribution_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="ekman-7"):
        Distribution.over(EKMAN_7, bad)


def test_probabilities_that_do_not_sum_to_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="not 1"):
        Distribution(label_set="x", labels=("a", "b"), probs=(0.5, 0.4))


def test_a_frozen_affect_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        affect("joy").confidence = 0.1


def test_goemotions_are_told_as_basic_emotions() -> None:
    told = Distribution.over(GOEMOTIONS_28, {"grief": 0.6, "gratitude": 0.4}).to(EKMAN_7)
    assert told.as_dict()["sadness"] == pytest.approx(0.6)
    assert told.as_dict()["joy"] == pytest.approx(0.4)


def test_surprise_is_split_where_mesc_has_no_word_for_it() -> None:
    told = Distribution.certain(EKMAN_7, "surprise").to(MESC_7)
    assert told["neutral"] == 0.5
    assert told["depression"] == 0


@pytest.mark.parametrize("name", sorted(EMOTIONS))
def test_vad_of_any_set_stays_in_range(name: str) -> None:
    for label in EMOTIONS[name].labels:
        vad = expected_vad(Distribution.certain(EMOTIONS[name], label))
        assert all(-1 <= v <= 1 for v in (vad.valence, vad.arousal, vad.dominance))


def test_vad_of_a_certain_label_is_its_anchor() -> None:
    for label, anchor in VAD_ANCHORS.items():
        assert expected_vad(Distribution.certain(EKMAN_7, label)) == anchor


def test_a_reading_is_an_affect_or_an_abstention() -> None:
    with pytest.raises(ValidationError, match="either"):
        Reading(modality="face")
    with pytest.raises(ValidationError, match="reason"):
        Reading.abstain("face", "bored", "no mood for it")


def test_evidence_must_be_whole() -> None:
    with pytest.raises(ValidationError, match="needs a box"):
        Evidence(kind="box")
    with pytest.raises(ValidationError, match="start <= end"):
        Evidence(kind="span", start=4, end=2)
    assert Evidence(kind="box", box=Box(x=0, y=0, width=1, height=1)).box is not None


def test_capture_time_needs_a_time_zone() -> None:
    with pytest.raises(ValidationError, match="time zone"):
        Affect.read(Distribution.certain(EKMAN_7, "joy"), datetime(2026, 1, 2))


READINGS = [
    Reading(modality="text", affect=affect("joy"), covers=4),
    Reading(modality="text", affect=affect("fear"), covers=9),
    Reading.abstain("text", "absent", "no words"),
    Reading(modality="face", affect=affect("anger")),
    Reading.abstain("speech", "silence", "nothing was heard"),
]


def test_the_reading_that_covers_most_words_counts() -> None:
    merged = {r.modality: r for r in merge_readings((), tuple(READINGS))}
    assert set(merged) == {"text", "face", "speech"}
    assert merged["text"].affect is not None
    assert merged["text"].affect.top == "fear"


def test_readings_merge_the_same_in_any_order() -> None:
    results = {
        merge_readings(merge_readings((), order[:2]), order[2:])
        for order in itertools.permutations(READINGS)
    }
    assert len(results) == 1
