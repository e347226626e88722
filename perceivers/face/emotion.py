"""The face perceiver: photos of a turn to one reading of the person's expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Affect, Evidence, Modality, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.face.crop import crop_face, fault_of
from affectgraph.perceivers.face.detector import DetectedFace, FaceDetector, MTCNNDetector
from affectgraph.perceivers.face.expression import ExpressionHead
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.tracing import model_span
from affectgraph.perceivers.turn import Turn

Reason = Literal["no-face", "several-faces", "low-quality"]

TELLING: Final[tuple[Reason, ...]] = ("several-faces", "low-quality", "no-face")
"""Which reason stands for a turn of which no photo could be read: the first that occurs."""


@dataclass(frozen=True)
class _Unread:
    """Why one photo says nothing."""

    reason: Reason
    detail: str


@dataclass(frozen=True)
class _Seen:
    """The face that one photo shows, ready to be read."""

    crop: NDArray[np.uint8]
    face: DetectedFace


class FaceEmotion:
    """Reads the expression of the person in the photos of a turn.

    Each photo is looked at alone: the faces are found, the person's is cut out and checked. The
    affect is the mean distribution of the photos that could be read, the evidence their boxes in
    the photos' order. Where none could be read the perceiver abstains: ``absent`` without a
    photo, ``no-face``, ``several-faces`` or ``low-quality`` (too small, dark, bright, flat,
    blurred).

    In a photo of several people the largest face is taken for the person's own if its area is
    more than ``dominance`` times that of the next; otherwise nobody can say whose face it is.

    Consent is not asked for here: the orchestrator hands no turn with photos to this perceiver
    unless the person agreed to the camera.

    Args:
        detector: Finds faces; MTCNN with the default settings if not given.
        head: Reads expressions; the shipped FER+ head if not given.
        dominance: See above.
        workers: Turns that are read side by side; further ones wait.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector | None = None,
        head: ExpressionHead | None = None,
        dominance: float = 4.0,
        workers: int = 1,
    ) -> None:
        self._detector: FaceDetector = detector or MTCNNDetector()
        self._head = head or ExpressionHead()
        self._dominance = dominance
        self._pool = BlockingPool(workers)

    @property
    def modality(self) -> Modality:
        """Always ``face``."""
        return "face"

    @property
    def model(self) -> str:
        """Name and version of what reads."""
        return "mtcnn-1.0.0+ferplus.v1"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the detector and the head use."""
        return (*models_of(self._detector), *models_of(self._head))

    async def warm_up(self) -> None:
        """Open the networks; cheap when done before.

        Raises:
            ModelMissingError: If the detector's model is not pulled.
        """
        await self._pool.run(self._load)

    async def perceive(self, turn: Turn) -> Reading:
        """Read the photos of a turn.

        Raises:
            MediaError: If a photo cannot be opened.
            ModelMissingError: If the detector's model is not pulled.
        """
        if not turn.images:
            return Reading.abstain("face", "absent", "the turn has no image")
        return await self._pool.run(lambda: self._read(turn))

    def _load(self) -> None:
        self._detector.load()
        self._head.load()

    def _read(self, turn: Turn) -> Reading:
        looks = [self._look(image.pixels) for image in turn.images]
        seen = [look for look in looks if isinstance(look, _Seen)]
        if not seen:
            unread = [look for look in looks if isinstance(look, _Unread)]
            telling = min(unread, key=lambda look: TELLING.index(look.reason))
            return Reading.abstain("face", telling.reason, telling.detail)
        with model_span("classify", self.model):
            distribution = self._head.read(np.stack([look.crop for look in seen]))
        affect = Affect.read(
            distribution,
            turn.at,
            evidence=tuple(
                Evidence(kind="box", box=look.face.box, score=look.face.score) for look in seen
            ),
        )
        return Reading(modality="face", affect=affect, model=self.model)

    def _look(self, pixels: NDArray[np.uint8]) -> _Seen | _Unread:
        with model_span("detect", "mtcnn"):
            faces = self._detector.detect(pixels)
        if not faces:
            return _Unread("no-face", "no face was found")
        face, *others = faces
        if others and _area(face) <= self._dominance * _area(others[0]):
            return _Unread("several-faces", f"{len(faces)} faces, none clearly the person's")
        crop = crop_face(pixels, face)
        fault = fault_of(crop, face.box)
        return _Seen(crop, face) if fault is None else _Unread("low-quality", fault)


def _area(face: DetectedFace) -> int:
    return face.box.width * face.box.height
