"""A face in an image, and what finds one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.models import MODELS, models_of


@dataclass(frozen=True)
class DetectedFace:
    """A face in an image.

    Attributes:
        box: Where, in pixels of the image, cut at its edges.
        score: The last network's probability that it is a face.
        landmarks: (x, y) in pixels of the image: the eye on the image's left, the other eye, tip
            of the nose, the mouth's corner on the image's left, the other corner.
        inside: Share of the box, as the detector drew it, that lies inside the image.
        margin: How far inside the image the outermost of the five points lies, in units of the
            box's longer side; below zero outside.
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...]
    inside: float = 1.0
    margin: float = 1.0


class FaceDetector(Protocol):
    """What finds faces; both methods block."""

    def load(self) -> None:
        """Open what is needed; cheap when done before."""
        ...

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        """Find the faces of an RGB image, uint8, shape (height, width, 3), largest first."""
        ...


@runtime_checkable
class BatchFaceDetector(FaceDetector, Protocol):
    """A detector that is faster over several images at once."""

    def detect_all(self, images: Sequence[NDArray[np.uint8]]) -> list[list[DetectedFace]]:
        """Find the faces of each image; as many lists as images, in their order."""
        ...


@runtime_checkable
class FaceRefiner(FaceDetector, Protocol):
    """A detector that can look again where a face was a moment ago, for far less."""

    def refine(self, pixels: NDArray[np.uint8], boxes: Sequence[Box]) -> list[DetectedFace | None]:
        """Find the face near each box, or ``None`` where it has gone."""
        ...


def version_of(part: object) -> str:
    """Names and versions of the models that a detector or a head uses, for readings and spans.

    A part that does not tell its models is called by its class.
    """
    names = (
        f"{use.name}-{MODELS[use.name].version}" if use.name in MODELS else use.name
        for use in models_of(part)
    )
    return "+".join(names) or type(part).__name__


def detect_all(
    detector: FaceDetector, images: Sequence[NDArray[np.uint8]]
) -> list[list[DetectedFace]]:
    """Faces of several images, as one batch where the detector can."""
    if isinstance(detector, BatchFaceDetector):
        return detector.detect_all(images)
    return [detector.detect(pixels) for pixels in images]
