"""Box arithmetic, by its invariants."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.face.boxes import Boxes, areas, regress, squared, suppress


@st.composite
def boxes(draw: st.DrawFn) -> Boxes:
    count = draw(st.integers(0, 12))
    corner = st.tuples(*[st.floats(-50, 200)] * 2, *[st.floats(1, 100)] * 2)
    rows = [draw(corner) for _ in range(count)]
    return np.array([(x, y, x + w, y + h) for x, y, w, h in rows]).reshape(-1, 4)


def overlap(a: Boxes, b: Boxes, relative_to: str) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    size_a, size_b = areas(np.stack([a, b]))
    whole = size_a + size_b - shared if relative_to == "union" else min(size_a, size_b)
    return float(shared / whole)


@given(boxes(), st.floats(0.1, 0.9), st.sampled_from(["union", "smaller"]))
def test_suppression_leaves_no_overlap_and_explains_each_loss(
    found: Boxes, threshold: float, relative_to: Literal["union", "smaller"]
) -> None:
    scores = np.linspace(0, 1, len(found))
    stay = suppress(found, scores, threshold, relative_to)
    for index, one in enumerate(stay):
        for other in stay[index + 1 :]:
            assert scores[one] > scores[other]
            assert overlap(found[one], found[other], relative_to) <= threshold + 1e-9
    for lost in set(range(len(found))) - set(stay.tolist()):
        assert any(
            scores[one] > scores[lost]
            and overlap(found[one], found[lost], relative_to) > threshold - 1e-9
            for one in stay
        )


def test_a_box_inside_another_goes_only_relative_to_the_smaller() -> None:
    nested = np.array([[0.0, 0, 100, 100], [40, 40, 60, 60]])
    scores = np.array([0.9, 0.8])
    assert suppress(nested, scores, 0.5).tolist() == [0, 1]
    assert suppress(nested, scores, 0.5, "smaller").tolist() == [0]


@given(boxes())
def test_squares_hold_their_boxes_around_the_same_centres(found: Boxes) -> None:
    squares = squared(found)
    sides = squares[:, 2:] - squares[:, :2]
    assert sides[:, 0] == pytest.approx(sides[:, 1])
    assert np.all(squares[:, :2] <= found[:, :2] + 1e-9)
    assert np.all(squares[:, 2:] >= found[:, 2:] - 1e-9)
    assert (squares[:, :2] + squares[:, 2:]) == pytest.approx(found[:, :2] + found[:, 2:])


def test_offsets_are_in_units_of_the_box() -> None:
    moved = regress(np.array([[10.0, 20, 30, 60]]), np.array([[0.5, 0.25, -0.5, 0.0]]))
    assert moved.tolist() == [[20.0, 30.0, 20.0, 60.0]]
