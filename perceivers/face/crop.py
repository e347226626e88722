"""From a face in a photo to the small grey picture that the expression network knows.

The framing is FER+'s own, told by the five points of the detector. Over the 2,771 of 3,199
validation pictures of FER+ in which MTCNN finds a face, the median eye line lies at 0.39 of the
picture's height and the mouth at 0.78, the eyes 0.37 of its width apart, the face's middle in its
centre. Cut out of a larger picture by these points, those faces are read at an accuracy of 0.879,
as they are 0.880. The detector's box alone does as well on them (0.880); the points
are used because they also level a tilted head. ``affectgraph.perceivers.training.ferplus_framing``
prints these figures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from affectgraph.perceivers.face.detected import DetectedFace

SIDE: Final = 48
"""Side of the crop in pixels."""
EYES_TO_MOUTH: Final = 0.39
BETWEEN_EYES: Final = 0.37
LOWER: Final = 0.083
"""How far the middle between eyes and mouth lies below the picture's centre. These three are in
units of the picture's side."""

_LUMA: Final = np.array([0.299, 0.587, 0.114])
_MAX_SAMPLES: Final = 8


def crop_face(pixels: NDArray[np.uint8], face: DetectedFace) -> NDArray[np.uint8]:
    """Cut a face out in FER+'s framing, with the eyes level.

    Args:
        pixels: RGB, uint8, shape (height, width, 3).
        face: The face in it.

    Returns:
        Grey (ITU-R BT.601 luma), uint8, shape (48, 48). What lies outside the image repeats its
        edge.
    """
    centre, side, angle = _frame(face)
    # Sampled at about the photo's own resolution, then averaged, so that texture does not alias.
    samples = min(_MAX_SAMPLES, max(1, round(side / SIDE)))
    count = SIDE * samples
    steps = (np.arange(count) + 0.5) / count * side - side / 2
    across, down = np.meshgrid(steps, steps)
    x = centre[0] + across * math.cos(angle) - down * math.sin(angle)
    y = centre[1] + across * math.sin(angle) + down * math.cos(angle)
    grey = _sample(pixels, x, y).reshape(SIDE, samples, SIDE, samples).mean(axis=(1, 3))
    return np.asarray(np.rint(grey), dtype=np.uint8)


def _frame(face: DetectedFace) -> tuple[tuple[float, float], float, float]:
    """Centre, side and roll (radians, clockwise) of the square that FER+ would show."""
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(face.landmarks)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    apart = right_eye - left_eye
    angle = math.atan2(apart[1], apart[0])
    # A turned head narrows one distance, a bowed one the other: the longer tells the size.
    side = max(math.hypot(*(mouth - eyes)) / EYES_TO_MOUTH, math.hypot(*apart) / BETWEEN_EYES)
    box = max(face.box.width, face.box.height)
    side = min(1.5 * box, max(0.7 * box, side))
    x, y = (eyes + mouth) / 2
    return (x + LOWER * side * math.sin(angle), y - LOWER * side * math.cos(angle)), side, angle


def _sample(
    pixels: NDArray[np.uint8], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Grey values at points (bilinear), where pixel centres lie at halves."""
    height, width = pixels.shape[:2]
    x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = int(x.min()), int(y.min())
    right, bottom = min(width - 1, int(x.max()) + 1), min(height - 1, int(y.max()) + 1)
    grey = pixels[top : bottom + 1, left : right + 1] @ _LUMA
    column, row = x.astype(np.intp), y.astype(np.intp)
    fx, fy = x - column, y - row
    column, row = column - left, row - top
    next_column = np.minimum(column + 1, right - left)
    next_row = np.minimum(row + 1, bottom - top)
    upper = grey[row, column] * (1 - fx) + grey[row, next_column] * fx
    lower = grey[next_row, column] * (1 - fx) + grey[next_row, next_column] * fx
    return np.asarray(upper * (1 - fy) + lower * fy)
