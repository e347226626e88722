"""Whose face a photo shows, and whether it can be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.face.crop import crop_face
from affectgraph.perceivers.face.detected import DetectedFace, FaceDetector, detect_all
from affectgraph.perceivers.face.quality import LIMITS, FaceQuality, Limits, ReadableHead
from affectgraph.perceivers.models import ModelUse, models_of

Reason = Literal["no-face", "several-faces", "low-quality"]
Pixels = NDArray[np.uint8]

TELLING: Final[tuple[Reason, ...]] = ("several-faces", "low-quality", "no-face")
"""Which reason stands for a turn of which no photo could be read: the first that occurs."""


@dataclass(frozen=True, eq=False)
class Person:
    """The face that one photo shows, fit to be read.

    Attributes:
        photo: RGB, shape (height, width, 3).
        face: The person's face in it.
        crop: It in FER+'s framing, grey, shape (48, 48).
    """

    photo: Pixels
    face: DetectedFace
    crop: Pixels


@dataclass(frozen=True)
class Unread:
    """Why one photo says nothing."""

    reason: Reason
    detail: str


class PersonFinder:
    """Finds the person's face in photos and checks it; blocking.

    In a photo of several people the largest face is taken for the person's own if its area is
    more than ``dominance`` times that of the next; otherwise nobody can say whose face it is.

    Args:
        detector: Finds faces.
        whole: Tells covered and cut faces; the shipped head if not given.
        limits: What cannot be read.
        dominance: See above.
    """

    def __init__(
        self,
        detector: FaceDetector,
        whole: ReadableHead | None = None,
        *,
        limits: Limits = LIMITS,
        dominance: float = 4.0,
    ) -> None:
        self._detector = detector
        self._whole = whole or ReadableHead()
        self._limits, self._dominance = limits, dominance

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What finds faces, and what tells whole ones."""
        return (*models_of(self._detector), *models_of(self._whole))

    def load(self) -> None:
        """Open the networks; cheap when done before.

        Raises:
            SetupError: If one cannot be used.
        """
        self._detector.load()
        self._whole.load()

    def find(self, photos: Sequence[Pixels]) -> list[Person | Unread]:
        """Look at photos, RGB, uint8, shape (height, width, 3) each; the results in their order."""
        found = detect_all(self._detector, photos)
        return [self._look(*both) for both in zip(photos, found, strict=True)]

    def _look(self, photo: Pixels, faces: Sequence[DetectedFace]) -> Person | Unread:
        if not faces:
            return Unread("no-face", "no face was found")
        face, *others = faces
        if others and _area(face) <= self._dominance * _area(others[0]):
            return Unread("several-faces", f"{len(faces)} faces, none clearly the person's")
        crop = crop_face(photo, face)
        whole = float(self._whole.probabilities(crop[None])[0])
        fault = FaceQuality.of(crop, face, whole).fault(self._limits)
        return Person(photo, face, crop) if fault is None else Unread("low-quality", fault)


def abstention(looks: Sequence[Person | Unread]) -> Reading:
    """What is said of photos of which none could be read."""
    unread = [look for look in looks if isinstance(look, Unread)]
    telling = min(unread, key=lambda look: TELLING.index(look.reason))
    return Reading.abstain("face", telling.reason, telling.detail)


def _area(face: DetectedFace) -> int:
    return face.box.width * face.box.height
