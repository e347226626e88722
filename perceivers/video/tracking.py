"""Following faces from picture to picture by where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.face.detected import DetectedFace, FaceDetector, FaceRefiner


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (one.width * one.height + other.width * other.height - shared)


@dataclass
class FacePath:
    """One face over the pictures in which it was found.

    Attributes:
        seen: Number of the picture to the face in it.
    """

    seen: dict[int, DetectedFace] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """Number of the latest picture with the face."""
        return max(self.seen)

    @property
    def box(self) -> Box:
        """Where the face was last."""
        return self.seen[self.last].box

    def meets(self, other: FacePath) -> bool:
        """Whether both faces are in one picture, and so are two."""
        return not self.seen.keys().isdisjoint(other.seen)

    def area(self) -> float:
        """Mean area of the box in square pixels."""
        return float(np.mean([f.box.width * f.box.height for f in self.seen.values()]))


class FaceTracker:
    """Follows all faces of a video, given its pictures one after another.

    Every ``every`` pictures, and whenever a face was lost, the detector searches the whole
    picture. Between, a detector that can :class:`~.FaceRefiner` looks only where the faces were a
    moment ago, which costs a twentieth. A face belongs to the path whose last box it overlaps most.
    What a face looks like is not compared: two people who change places between two searches
    change paths, and a person who is away for ``patience`` pictures begins a new one.

    Args:
        detector: Finds faces.
        every: Pictures from one search to the next.
        patience: How many pictures later a face may be seen again to stay on its path.
        least: Overlap (intersection over union) with the last box that a face must have.
        same: Overlap above which two faces that were looked for apart are taken for one, and the
            whole picture is searched.
    """

    def __init__(
        self,
        detector: FaceDetector,
        *,
        every: int = 5,
        patience: int = 5,
        least: float = 0.25,
        same: float = 0.5,
    ) -> None:
        if every < 1:
            raise ValueError(f"every must be 1 or more, not {every}")
        self._detector = detector
        self._every, self._patience, self._least, self._same = every, patience, least, same
        self._paths: list[FacePath] = []
        self._number = -1
        self._searched = -every

    @property
    def paths(self) -> tuple[FacePath, ...]:
        """All faces that were followed so far."""
        return tuple(self._paths)

    def step(self, pixels: NDArray[np.uint8]) -> None:
        """Take in the next picture, RGB, uint8, shape (height, width, 3)."""
        self._number += 1
        current = [p for p in self._paths if p.last == self._number - 1]
        due = self._number - self._searched >= self._every or not current
        if not due and isinstance(self._detector, FaceRefiner):
            found = self._detector.refine(pixels, [path.box for path in current])
            for path, face in zip(current, found, strict=True):
                if face is not None:
                    path.seen[self._number] = face
            if all(face is not None for face in found) and not self._doubled(found):
                return
            # One was lost, or two follow the same face: the search below may find it, or who
            # came in its place, and gives each face to one path.
            for path in current:
                path.seen.pop(self._number, None)
        self._searched = self._number
        self._assign(self._detector.detect(pixels))

    def _doubled(self, faces: Sequence[DetectedFace | None]) -> bool:
        """Whether two of the faces are one."""
        boxes = [face.box for face in faces if face is not None]
        return any(overlap(one, other) > self._same for one, other in combinations(boxes, 2))

    def _assign(self, faces: Sequence[DetectedFace]) -> None:
        """Give each face to the path that it overlaps most, best pairs first."""
        alive = [p for p in self._paths if self._number - p.last <= self._patience]
        pairs = sorted(
            (
                (overlap(path.box, face.box), row, column)
                for row, path in enumerate(alive)
                for column, face in enumerate(faces)
            ),
            key=lambda pair: -pair[0],
        )
        paths, taken = set[int](), set[int]()
        for shared, row, column in pairs:
            if shared >= self._least and row not in paths and column not in taken:
                alive[row].seen[self._number] = faces[column]
                paths.add(row)
                taken.add(column)
        for column, face in enumerate(faces):
            if column not in taken:
                self._paths.append(FacePath({self._number: face}))
