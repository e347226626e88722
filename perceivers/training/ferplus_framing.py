"""Measure how FER+ pictures are framed, and what worse pictures cost the expression head.

Run::

    python -m affectgraph.perceivers.training.ferplus_framing --data DIR

Prints one JSON object: where the detector's points lie in FER+ pictures (the constants of
:mod:`affectgraph.perceivers.face.crop`), the head's accuracy on the pictures as they are and cut
anew out of a larger picture, under blur and low resolution, and the time a face takes. Reads the
validation split alone. Needs the model ``mtcnn``, not torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from affectgraph.perceivers.corpora.ferplus import Faces, load
from affectgraph.perceivers.face.crop import (
    BETWEEN_EYES,
    EYES_TO_MOUTH,
    LOWER,
    SIDE,
    crop_face,
)
from affectgraph.perceivers.face.detected import DetectedFace
from affectgraph.perceivers.face.detector import MTCNNDetector
from affectgraph.perceivers.face.expression import ExpressionHead
from affectgraph.perceivers.face.quality import sharpness

SCALE: Final = 3
BORDER: Final = 48
"""A picture is enlarged threefold and its edge repeated over 48 pixels, so that it looks like a
photo in which the detector has to find the face."""

Picture = NDArray[np.uint8]


def as_photo(picture: Picture) -> Picture:
    """A grey picture, shape (48, 48), as an RGB photo, shape (240, 240, 3)."""
    size = (SIDE * SCALE, SIDE * SCALE)
    large = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    padded = np.pad(large, BORDER, mode="edge")
    return np.stack([padded] * 3, axis=2)


def points_of(face: DetectedFace) -> dict[str, float]:
    """Where a face's points lie, in units of the FER+ picture that the photo was made of."""
    left_eye, right_eye, _, left_mouth, right_mouth = (np.asarray(face.landmarks) - BORDER) / (
        SIDE * SCALE
    )
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    return {
        "eyes_x": float(eyes[0]),
        "eyes_y": float(eyes[1]),
        "mouth_x": float(mouth[0]),
        "mouth_y": float(mouth[1]),
        "between_eyes": float(np.hypot(*(right_eye - left_eye))),
        "eyes_to_mouth": float(np.hypot(*(mouth - eyes))),
        "box_height": face.box.height / (SIDE * SCALE),
    }


def boxed(face: DetectedFace) -> DetectedFace:
    """The same face as its box alone would frame it: upright, as large as its longer side."""
    side = max(face.box.width, face.box.height)
    x, y = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
    eyes, mouth = y + (LOWER - EYES_TO_MOUTH / 2) * side, y + (LOWER + EYES_TO_MOUTH / 2) * side
    half = BETWEEN_EYES / 2 * side
    points = ((x - half, eyes), (x + half, eyes), (x, y), (x - half, mouth), (x + half, mouth))
    return replace(face, landmarks=points)


def spread(values: list[float]) -> list[float]:
    """Least, 0.1st percentile, median and greatest of some values."""
    return [round(float(value), 3) for value in np.percentile(values, [0, 0.1, 50, 100])]


def measure(faces: Faces, detector: MTCNNDetector, head: ExpressionHead) -> dict[str, Any]:
    """Everything that the module's text names, over the given pictures."""

    def accuracy(pictures: Sequence[Picture], labels: NDArray[np.int64]) -> float:
        guesses = head.probabilities(np.stack(pictures)).argmax(axis=1)
        return round(float((guesses == labels).mean()), 4)

    photos = [as_photo(picture) for picture in faces.images]
    found = [(row, seen[0]) for row, p in enumerate(photos) if (seen := detector.detect(p))]
    rows = np.array([row for row, _ in found])
    points = [points_of(face) for _, face in found]
    cut = [crop_face(photos[row], face) for row, face in found]
    by_box = [crop_face(photos[row], boxed(face)) for row, face in found]

    def changed(change: Callable[[Image.Image], Image.Image]) -> dict[str, float]:
        pictures = [np.asarray(change(Image.fromarray(p))) for p in faces.images]
        return {
            "accuracy": accuracy(pictures, faces.labels),
            "sharpness": round(float(np.median([sharpness(p) for p in pictures])), 3),
        }

    def shrunk(side: int) -> dict[str, float]:
        small, large, how = (side, side), (SIDE, SIDE), Image.Resampling.BILINEAR
        return changed(lambda image: image.resize(small, how).resize(large, how))

    crops = np.stack(cut)
    started = time.process_time()
    for crop in crops:
        head.probabilities(crop[None])
    spent = 1000 * (time.process_time() - started) / len(crops)
    return {
        "pictures": len(faces),
        "found": len(found),
        "medians": {key: round(float(np.median([p[key] for p in points])), 3) for key in points[0]},
        "accuracy": {
            "all": accuracy(list(faces.images), faces.labels),
            "found, as they are": accuracy(list(faces.images[rows]), faces.labels[rows]),
            "found, cut anew": accuracy(cut, faces.labels[rows]),
            "found, cut by the box": accuracy(by_box, faces.labels[rows]),
        },
        "poorer": {
            **{
                f"blur {radius}": changed(
                    lambda image, r=radius: image.filter(ImageFilter.GaussianBlur(r))  # type: ignore[misc]
                )
                for radius in (0.5, 1.0, 1.5, 2.0)
            },
            **{f"side {side}": shrunk(side) for side in (40, 32, 24, 16)},
        },
        "percentiles 0, 0.1, 50, 100": {
            "mean": spread([float(p.mean()) for p in faces.images]),
            "deviation": spread([float(p.std()) for p in faces.images]),
            "sharpness": spread([sharpness(p) for p in faces.images]),
        },
        "cpu_ms_a_face": round(spent, 2),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the measurement."""
    parser = argparse.ArgumentParser(prog="ferplus_framing", description="Measure FER+ framing.")
    parser.add_argument("--data", type=Path, required=True, help="folder of FER+")
    parser.add_argument("--pictures", type=int, default=10_000, help="at most so many")
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args(arguments)
    faces = load(given.data, "valid").sample(given.pictures, given.seed)
    detector = MTCNNDetector(min_face=60, thresholds=(0.6, 0.7, 0.8), close=False)
    result = measure(faces, detector, ExpressionHead())
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
