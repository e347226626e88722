"""Following faces by where they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.face.detected import DetectedFace
from affectgraph.perceivers.video.tracking import FaceTracker, overlap

POINTS = ((30.0, 40.0), (60.0, 40.0), (45.0, 60.0), (32.0, 78.0), (58.0, 78.0))
BLANK = np.zeros((100, 100, 3), np.uint8)


def face(x: int, y: int = 0, side: int = 50) -> DetectedFace:
    return DetectedFace(Box(x=x, y=y, width=side, height=side), 1.0, POINTS)


class Script:
    """Finds what each picture was said to hold; counts how often it searched."""

    def __init__(self, *pictures: Sequence[DetectedFace]) -> None:
        self.pictures = list(pictures)
        self.number = -1
        self.searched: list[int] = []

    def load(self) -> None:
        return

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        self.searched.append(self.number)
        return list(self.pictures[self.number])

    def follow(self, tracker: FaceTracker) -> list[list[int]]:
        """Numbers of the pictures of each path."""
        for number in range(len(self.pictures)):
            self.number = number
            tracker.step(BLANK)
        return [sorted(path.seen) for path in tracker.paths]


class Refining(Script):
    """One that can also look again near a box."""

    def refine(self, pixels: NDArray[np.uint8], boxes: Sequence[Box]) -> list[DetectedFace | None]:
        here = self.pictures[self.number]
        return [
            max(near, key=lambda f: overlap(f.box, box), default=None)
            for box in boxes
            for near in [[f for f in here if overlap(f.box, box) > 0.3]]
        ]


def test_overlap_worked_by_hand() -> None:
    one = Box(x=0, y=0, width=10, height=10)
    assert overlap(one, one) == 1
    assert overlap(one, Box(x=5, y=0, width=10, height=10)) == pytest.approx(50 / 150)
    assert overlap(one, Box(x=10, y=0, width=10, height=10)) == 0


def test_two_faces_that_move_keep_their_paths_in_any_order() -> None:
    script = Script(
        [face(0), face(200)], [face(204), face(6)], [face(12), face(208)], [face(212), face(18)]
    )
    tracker = FaceTracker(script)
    assert script.follow(tracker) == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert tracker.paths[0].box.x == 18


def test_a_face_that_is_away_for_a_moment_goes_on_and_one_that_left_does_not() -> None:
    here, gone = [face(0)], list[DetectedFace]()
    script = Script(here, gone, gone, here, gone, gone, gone, gone, here)
    assert script.follow(FaceTracker(script, patience=3)) == [[0, 3], [8]]


def test_a_jump_begins_a_new_path() -> None:
    script = Script([face(0)], [face(300)], [face(302)])
    assert script.follow(FaceTracker(script)) == [[0], [1, 2]]


def test_between_searches_only_the_face_is_looked_at() -> None:
    script = Refining(*([face(3 * n)] for n in range(11)))
    assert script.follow(FaceTracker(script, every=5)) == [list(range(11))]
    assert script.searched == [0, 5, 10]


def test_a_lost_face_is_searched_for_at_once() -> None:
    script = Refining([face(0)], [face(0)], [face(300)], [face(300)])
    assert script.follow(FaceTracker(script, every=10)) == [[0, 1], [2, 3]]
    assert script.searched == [0, 2]


def test_two_paths_never_hold_one_face() -> None:
    """Two neighbours, and then one face that lies near both."""
    script = Refining([face(0), face(40)], [face(20)], [face(20)])
    assert script.follow(FaceTracker(script, every=10)) in ([[0, 1, 2], [0]], [[0], [0, 1, 2]])
    assert script.searched == [0, 1]


def test_without_any_face_every_picture_is_searched() -> None:
    script = Refining([], [], [face(0)], [face(0)])
    assert script.follow(FaceTracker(script, every=10)) == [[2, 3]]
    assert script.searched == [0, 1, 2]


@given(st.lists(st.lists(st.integers(0, 400), max_size=4), min_size=1, max_size=12))
def test_no_face_is_given_away_twice_and_none_is_lost(pictures: list[list[int]]) -> None:
    script = Script(*([face(x) for x in row] for row in pictures))
    tracker = FaceTracker(script)
    script.follow(tracker)
    for number, row in enumerate(pictures):
        given_away = [path.seen[number].box.x for path in tracker.paths if number in path.seen]
        assert sorted(given_away) == sorted(row)
