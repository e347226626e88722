"""An image as the cascade searches it: scaled, cut into squares, and the way back to its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.face.boxes import Boxes
from affectgraph.perceivers.face.detected import DetectedFace

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Photo:
    """An image scaled for the search, and the way back.

    Attributes:
        image: What is searched.
        back: Factors of x and y from it to the original.
        width: Of the original.
        height: Of the original.
        border: Width of what was put around the image, in pixels of ``image``.
    """

    image: Image.Image
    back: NDArray[np.float64]
    width: int
    height: int
    border: int = 0

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], max_side: int) -> Photo:
        """An image with its longer side at most ``max_side``."""
        height, width = pixels.shape[:2]
        scale = min(1.0, max_side / max(height, width))
        image = image_of(pixels)
        if scale < 1:
            image = scaled(image, (max(1, round(width * scale)), max(1, round(height * scale))))
        return cls(image, np.array([width / image.width, height / image.height]), width, height)

    @classmethod
    def framed(cls, pixels: NDArray[np.uint8], max_side: int, share: float) -> Photo:
        """An image with an even border of its mean colour, then as :meth:`of`.

        Args:
            pixels: RGB, uint8, shape (height, width, 3).
            max_side: Longer side of the result at most.
            share: Width of the border in units of the longer side.
        """
        height, width = pixels.shape[:2]
        # Scaled first: the border of a large photo would be large too.
        inner = cls.of(pixels, max(1, round(max_side / (1 + 2 * share))))
        edge = round(share * max(inner.image.size))
        size = inner.image.width + 2 * edge, inner.image.height + 2 * edge
        colour = np.asarray(inner.image).mean(axis=(0, 1)).round().astype(int).tolist()
        whole = blank(size, tuple(colour))
        whole.paste(inner.image, (edge, edge))
        return cls(whole, inner.back, width, height, edge)

    def face(
        self, corners: NDArray[np.float64], score: float, points: NDArray[np.float64]
    ) -> DetectedFace | None:
        """A face in pixels of the original; ``None`` if nothing of it is inside."""
        whole = (corners - self.border) * np.tile(self.back, 2)
        box = _cut(whole, self.width, self.height)
        if box is None:
            return None
        wide, high = (max(1e-9, float(side)) for side in whole[2:] - whole[:2])
        marks = (points - self.border) * self.back
        nearest = min(marks.min(), (np.array([self.width, self.height]) - marks).min())
        return DetectedFace(
            box=box,
            score=score,
            landmarks=tuple((float(x), float(y)) for x, y in marks),
            inside=min(1.0, box.width * box.height / (wide * high)),
            margin=float(nearest) / max(wide, high),
        )


def image_of(pixels: NDArray[np.uint8]) -> Image.Image:
    """Pixels as an image of Pillow."""
    from PIL import Image

    return Image.fromarray(pixels)


def blank(size: tuple[int, int], colour: tuple[int, ...]) -> Image.Image:
    """An image of one colour, RGB."""
    from PIL import Image

    return Image.new("RGB", size, colour)


def scaled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """An image at another size (width, height), averaged where it shrinks."""
    from PIL import Image

    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)


def crops_of(image: Image.Image, boxes: Boxes, side: int) -> NDArray[np.uint8]:
    """Squares of an image scaled to ``side``; what lies outside is black, as in training."""
    from PIL import Image

    crops = np.zeros((len(boxes), side, side, 3), dtype=np.uint8)
    for crop, (left, top, right, bottom) in zip(crops, boxes, strict=True):
        inside = (
            max(0.0, left), max(0.0, top), min(float(image.width), right),
            min(float(image.height), bottom),
        )  # fmt: skip
        if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
            continue
        # Where the part inside the image falls on the crop's own grid.
        unit = side / (right - left)
        x0, x1 = round((inside[0] - left) * unit), round((inside[2] - left) * unit)
        y0, y1 = round((inside[1] - top) * unit), round((inside[3] - top) * unit)
        if x1 > x0 and y1 > y0:
            part = image.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=inside)
            crop[y0:y1, x0:x1] = np.asarray(part)
    return crops


def points_of(boxes: Boxes, landmarks: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """O-Net's landmarks, (n, 10) in units of the box, as (n, 5, 2) in pixels."""
    units = np.stack([landmarks[:, :5], landmarks[:, 5:]], axis=2)
    return boxes[:, None, :2] + units * (boxes[:, None, 2:] - boxes[:, None, :2])


def _cut(corners: NDArray[np.float64], width: int, height: int) -> Box | None:
    """A box in whole pixels, cut at the image's edges; ``None`` if nothing is left."""
    left, top = max(0, round(corners[0])), max(0, round(corners[1]))
    right, bottom = min(width, round(corners[2])), min(height, round(corners[3]))
    if right <= left or bottom <= top:
        return None
    return Box(x=left, y=top, width=right - left, height=bottom - top)
