"""Labels of somebody's model, told in a declared set; never by a guess."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.adapters.translation import (
    Translation,
    affect_of,
    carried,
    distribution_of,
)
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7, EMOTIONS, FERPLUS_8, GOEMOTIONS_28

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", sorted(EMOTIONS))
def test_a_model_with_the_labels_of_a_set_is_told_in_that_set(name: str) -> None:
    shuffled = tuple(reversed(EMOTIONS[name].labels))
    translation = Translation.of([label.upper() for label in shuffled])
    assert set(translation.label_set.labels) == set(shuffled)
    probs = np.arange(1.0, len(shuffled) + 1)
    told = dict(
        zip(translation.label_set.labels, translation.apply(probs[None] / 100)[0], strict=True)
    )
    assert told == {label: n / 100 for label, n in zip(shuffled, probs, strict=True)}


def test_forms_of_the_same_word_are_known() -> None:
    names = ["angry", "Disgusted", "FEARFUL", "happy", "neu", "sad", "surprised"]
    translation = Translation.of(names)
    assert translation.label_set == EKMAN_7
    np.testing.assert_array_equal(translation.shares, np.eye(7))
    assert Translation.of(["happy", "sad"], FERPLUS_8).shares[
        0, FERPLUS_8.labels.index("happiness")
    ]


def test_every_label_that_nothing_is_known_of_is_named() -> None:
    with pytest.raises(SetupError) as raised:
        Translation.of(["LABEL_0", "joy", "calm"], EKMAN_7)
    told = str(raised.value)
    assert "nothing is known of 'label 0'; nothing is known of 'calm'" in told
    assert "Give labels" in told


def test_labels_say_what_is_meant() -> None:
    translation = Translation.of(
        ["LABEL_0", "LABEL_1", "LABEL_2"],
        EKMAN_7,
        {"LABEL_0": "joy", "label_1": {"sadness": 0.75, "anger": 0.25}, "LABEL_2": None},
    )
    told = dict(zip(EKMAN_7.labels, translation.apply(np.array([[0.2, 0.4, 0.4]]))[0], strict=True))
    assert told["joy"] == pytest.approx(0.2)
    assert told["sadness"] == pytest.approx(0.3)
    assert told["anger"] == pytest.approx(0.1)
    assert sum(told.values()) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ({"a": "glee", "b": "joy"}, "'a' is told as glee, which is not in the set"),
        ({"a": {"joy": 0.5}, "b": "joy"}, "the shares of 'a' do not sum to 1"),
        ({"a": {}, "b": "joy"}, "the shares of 'a' do not sum to 1"),
        ({"a": {"joy": 2.0, "anger": -1.0}, "b": "joy"}, "the shares of 'a' do not sum"),
        ({"a": "joy", "b": "joy", "c": "joy"}, "the model has no label 'c'"),
        ({"a": None, "b": None}, "no label is left"),
    ],
)
def test_what_is_said_wrongly_is_refused(labels: dict[str, object], fault: str) -> None:
    with pytest.raises(SetupError, match=fault):
        Translation.of(["a", "b"], EKMAN_7, labels)  # type: ignore[arg-type]


@given(st.lists(st.floats(0, 1), min_size=28, max_size=28))
def test_any_weights_make_a_distribution(values: list[float]) -> None:
    weights = np.array(values)
    distribution = distribution_of(GOEMOTIONS_28, weights)
    assert sum(distribution.probs) == pytest.approx(1)
    assert weights[distribution.labels.index(distribution.top)] == pytest.approx(weights.max())
    assert 0 <= carried(GOEMOTIONS_28, weights, distribution.to(EKMAN_7).top) <= 1


def test_of_several_labels_at_once_the_top_one_keeps_its_own_confidence() -> None:
    weights = np.zeros(7)
    weights[[0, 5]] = 0.6, 0.9
    both = affect_of(EKMAN_7, weights, AT, multi_label=True)
    assert both.confidence == pytest.approx(0.9)
    assert both.distribution["sadness"] == pytest.approx(0.6)
    assert affect_of(EKMAN_7, weights, AT, multi_label=False).confidence == pytest.approx(0.6)
