"""What a sequence of pictures amounts to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.video import AffectTrack

BOX = Box(x=0, y=0, width=80, height=100)


def track(labels: list[str], quality: list[float] | None = None, p: float = 0.93) -> AffectTrack:
    """One picture a fifth of a second, each almost sure of its label."""
    count = len(labels)
    probs = np.full((count, 8), (1 - p) / 7)
    for row, label in enumerate(labels):
        probs[row, FERPLUS_8.labels.index(label)] = p
    return AffectTrack(
        times=np.arange(count) / 5,
        boxes=(BOX,) * count,
        scores=np.ones(count),
        probs=probs,
        quality=np.array(quality or [1.0] * count),
        looked=count + 2,
        seconds=count / 5,
        chosen_by="only",
    )


def test_the_pooled_reading_weighs_pictures_by_their_quality() -> None:
    clear = track(["happiness", "sadness"], [1.0, 0.05]).pooled()
    assert clear.top == "happiness"
    even = track(["happiness", "sadness"]).pooled()
    assert even["happiness"] == pytest.approx(even["sadness"])


def test_the_peak_is_farthest_from_neutral() -> None:
    seen = track(["neutral", "neutral", "surprise", "neutral"])
    assert seen.peak() == 2
    course = seen.course()
    assert (course.peak, course.peak_at, course.looked, course.read) == ("surprise", 0.4, 6, 4)


def test_the_trend_tells_which_way_valence_goes() -> None:
    rising = track(["sadness", "sadness", "neutral", "happiness", "happiness"])
    assert rising.trend() > 0.5
    falling = track(["happiness", "happiness", "neutral", "sadness", "sadness"])
    assert falling.trend() == pytest.approx(-rising.trend())
    assert track(["anger"] * 5).trend() == pytest.approx(0, abs=1e-9)
    assert track(["sadness", "happiness"]).trend() == 0


def test_nothing_read_has_a_course_but_no_reading() -> None:
    empty = track([])
    assert empty.course().read == 0
    assert empty.course().peak_at is None
    with pytest.raises(ValueError, match="no picture"):
        empty.pooled()


def test_rows_must_fit() -> None:
    with pytest.raises(ValueError, match="one row a picture"):
        AffectTrack(
            np.zeros(2), (BOX,), np.ones(2), np.ones((2, 8)) / 8, np.ones(2), 2, 1.0, "only"
        )


@given(
    st.lists(st.sampled_from(FERPLUS_8.labels), min_size=1, max_size=30),
    st.integers(0, 100),
)
@settings(max_examples=50, deadline=None)
def test_pooled_lies_between_its_pictures_and_does_not_depend_on_scale(
    labels: list[str], seed: int
) -> None:
    quality = np.random.default_rng(seed).uniform(0.05, 1, len(labels))
    seen = track(labels, quality.tolist())
    pooled = np.array(seen.pooled().probs)
    assert (pooled >= seen.probs.min(axis=0) - 1e-9).all()
    assert (pooled <= seen.probs.max(axis=0) + 1e-9).all()
    halved = track(labels, (quality / 2).tolist())
    assert halved.pooled().probs == pytest.approx(pooled)
    assert halved.trend() == pytest.approx(seen.trend(), abs=1e-9)
