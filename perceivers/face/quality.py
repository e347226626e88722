"""Whether a face can be read, and how well: what is wrong with its picture, in words.

Two kinds of checks. Plain measures (size, light, contrast, sharpness, grain, flat areas, the share
of the face inside the image) have limits at the edge of what FER+ validation pictures span. A
small network (:class:`ReadableHead`) tells a face that is covered, cut or out of place from a whole
one; it was trained on pictures of FER+ that were spoilt on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.face.expression import LICENCE
from affectgraph.perceivers.face.graph import FaceGraph

if TYPE_CHECKING:
    from affectgraph.perceivers.face.detected import DetectedFace

READABLE: Final = Path(__file__).parent / "weights" / "readable.onnx"
"""The shipped head; ``readable.md`` beside it is its card."""
CELL: Final = 6
"""Side of the squares in which flat areas are looked for, in pixels of the crop."""
FLAT: Final = 1.5
"""Deviation in grey levels below which such a square is flat."""


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Deviation of the Laplacian in units of the crop's own deviation (plus one grey level).

    Over FER+ validation pictures: 0.32 at least, 0.81 in the median; after a Gaussian blur of 1
    pixel 0.25 in the median, of 2 pixels 0.10.
    """
    x = crop.astype(np.float64)
    inner = x[1:-1, 1:-1]
    laplacian = 4 * inner - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]
    return float(laplacian.std() / (x.std() + 1.0))


def grain(crop: NDArray[np.uint8]) -> float:
    """Deviation of the noise, after Immerkaer (1996), in units of the crop's own deviation.

    Over FER+ validation pictures 0.08 in the median, 0.24 at the 99.9th percentile; above 0.25
    with noise of 20 grey levels in 97 % of them.
    """
    x = crop.astype(np.float64)
    mask = (
        x[:-2, :-2] + x[2:, :-2] + x[:-2, 2:] + x[2:, 2:] + 4 * x[1:-1, 1:-1]
        - 2 * (x[1:-1, :-2] + x[1:-1, 2:] + x[:-2, 1:-1] + x[2:, 1:-1])
    )  # fmt: skip
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(mask).mean() / (x.std() + 1.0))


def flat_share(crop: NDArray[np.uint8]) -> float:
    """Share of the crop in which nothing can be seen: squares of 6 pixels that hardly vary.

    Over FER+ validation pictures 0 in the median, 0.17 at the 99th percentile.
    """
    count = len(crop) // CELL
    squares = crop.astype(np.float64).reshape(count, CELL, count, CELL)
    return float((squares.std(axis=(1, 3)) < FLAT).mean())


@dataclass(frozen=True)
class Limits:
    """Beyond what a face is not read.

    Attributes:
        side: Shortest longer side of the box, in pixels.
        darkest: Least mean grey.
        brightest: Greatest mean grey.
        contrast: Least standard deviation of grey.
        sharpness: Least :func:`sharpness`.
        grain: Greatest :func:`grain`.
        flat: Greatest :func:`flat_share`.
        inside: Least share of the face's box inside the image. A close-up often lacks hair and
            chin and can be read; of FER+ validation faces shown without any surroundings the
            box lies inside by 0.59 or more.
        margin: Least distance of eyes, nose and mouth from the image's edge, in units of the box's
            longer side. Half a face has points at the edge or beyond.
        readable: Least probability of a whole face.
    """

    side: int = 40
    darkest: float = 30.0
    brightest: float = 225.0
    contrast: float = 14.0
    sharpness: float = 0.25
    grain: float = 0.25
    flat: float = 0.25
    inside: float = 0.6
    margin: float = 0.05
    readable: float = 0.06


LIMITS: Final = Limits()


@dataclass(frozen=True)
class FaceQuality:
    """What a picture of a face measures; see :class:`Limits` for each.

    Attributes:
        side: Longer side of the box, in pixels of the photo.
        brightness: Mean grey of the crop, 0 to 255.
        contrast: Standard deviation of grey.
        sharpness: See :func:`sharpness`.
        grain: See :func:`grain`.
        flat: See :func:`flat_share`.
        inside: Share of the face's box inside the image, 0 to 1.
        margin: Distance of the outermost of the five points from the image's edge.
        readable: Probability of a whole face, 0 to 1; 1 where no head was asked.
    """

    side: int
    brightness: float
    contrast: float
    sharpness: float
    grain: float
    flat: float
    inside: float
    margin: float = 1.0
    readable: float = 1.0

    @classmethod
    def of(cls, crop: NDArray[np.uint8], face: DetectedFace, readable: float = 1.0) -> FaceQuality:
        """Measure a face and its crop, grey, shape (48, 48)."""
        return cls(
            side=max(face.box.width, face.box.height),
            brightness=float(crop.mean()),
            contrast=float(crop.std()),
            sharpness=sharpness(crop),
            grain=grain(crop),
            flat=flat_share(crop),
            inside=face.inside,
            margin=face.margin,
            readable=readable,
        )

    def fault(self, limits: Limits = LIMITS) -> str | None:
        """What makes the face too poor to read, in one line for a person; ``None`` if nothing."""
        faults = (
            (self.side < limits.side,
             f"the face is {self.side} pixels high, at least {limits.side} are needed"),
            (self.brightness < limits.darkest, "the face is too dark"),
            (self.brightness > limits.brightest, "the face is overexposed"),
            (self.contrast < limits.contrast, "the face has too little contrast"),
            (self.inside < limits.inside or self.margin < limits.margin,
             "the face is cut off at the edge of the picture"),
            (self.sharpness < limits.sharpness, "the face is blurred"),
            (self.grain > limits.grain, "the picture is too noisy"),
            (self.flat > limits.flat, "parts of the face are covered or burnt out"),
            (self.readable < limits.readable, "the face is covered, cut or turned away"),
        )  # fmt: skip
        return next((text for bad, text in faults if bad), None)

    def score(self, limits: Limits = LIMITS) -> float:
        """How well the face can be seen, in (0, 1]: 1 far inside the limits, small at any of them.

        A weight for the pictures of a video, not a probability.
        """
        margins = (
            self.side / limits.side - 1,
            self.contrast / limits.contrast - 1,
            self.sharpness / limits.sharpness - 1,
            4 * (1 - self.grain / limits.grain),
            (self.readable - limits.readable) / (1 - limits.readable),
        )
        return float(np.prod([min(1.0, max(0.05, margin)) for margin in margins]))


class ReadableHead(FaceGraph):
    """Tells whole faces from covered, cut and spoilt ones; blocking, safe to share once loaded.

    Args:
        weights: The ONNX file.
        device: Where it runs.
    """

    def __init__(self, weights: Path = READABLE, *, device: Device = CPU) -> None:
        super().__init__(
            weights,
            "whole",
            name="readable.v1",
            shipped=READABLE,
            licence=LICENCE,
            device=device,
        )

    def probabilities(self, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probability that each crop shows a whole face; shape (n, 48, 48) to (n,)."""
        return self._run(crops).reshape(-1)
