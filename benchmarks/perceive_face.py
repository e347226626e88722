"""What a face costs: milliseconds to find it in a photo, and to read one that was found.

    python benchmarks/perceive_face.py [--repeats N] [--json]

The portrait of ``examples/`` lies in a picture of 640 x 480 pixels. All runs on one thread. ``_ms``
is the least wall time of the repeats; ``_cpu_ms`` the least processor time, which other work on the
machine disturbs less. The baseline is the same search over an empty picture.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.face import ExpressionHead, MTCNNDetector
from affectgraph.perceivers.face.crop import crop_face
from affectgraph.perceivers.face.quality import FaceQuality, ReadableHead
from affectgraph.perceivers.media import ImageFile

PORTRAIT = Path(__file__).parent.parent / "examples" / "portrait.jpg"
BATCH = 16


def scene() -> NDArray[np.uint8]:
    """The portrait on grey, 640 x 480 pixels."""
    canvas = np.full((480, 640, 3), 110, np.uint8)
    photo = ImageFile(PORTRAIT).pixels[:480, :640]
    canvas[: photo.shape[0], 128 : 128 + photo.shape[1]] = photo
    return canvas


def milliseconds(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Least wall and least processor time of a call, after one that warms up."""
    call()
    wall, processor = [], []
    for _ in range(repeats):
        started, spent = time.perf_counter(), time.process_time()
        call()
        processor.append(1000 * (time.process_time() - spent))
        wall.append(1000 * (time.perf_counter() - started))
    return min(wall), min(processor)


def measure(repeats: int) -> dict[str, object]:
    """All figures.

    Raises:
        ModelMissingError: If the detector's model is not pulled.
    """
    detector, following = MTCNNDetector(), MTCNNDetector(min_face=40)
    head, whole = ExpressionHead(), ReadableHead()
    photo, empty = scene(), np.full((480, 640, 3), 110, np.uint8)
    (face, *_) = detector.detect(photo)
    crop = crop_face(photo, face)
    many = np.stack([crop] * BATCH)

    def checked() -> object:
        return FaceQuality.of(crop, face, float(whole.probabilities(crop[None])[0])).fault()

    calls: dict[str, Callable[[], object]] = {
        "detect": lambda: detector.detect(photo),
        "detect_faces_of_40_pixels": lambda: following.detect(photo),
        "follow": lambda: following.refine(photo, [face.box]),
        "cut_out": lambda: crop_face(photo, face),
        "check": checked,
        "read": lambda: head.probabilities(crop[None]),
        f"read_{BATCH}": lambda: head.probabilities(many),
        "detect_nothing": lambda: detector.detect(empty),
    }
    told = {name: milliseconds(call, repeats) for name, call in calls.items()}
    wall, processor = told.pop(f"read_{BATCH}")
    told["read_in_a_batch"] = wall / BATCH, processor / BATCH
    nothing = told.pop("detect_nothing")
    face_ms = [sum(told[name][at] for name in ("cut_out", "check", "read")) for at in (0, 1)]
    metrics: dict[str, float] = {"face_ms": face_ms[0], "face_cpu_ms": face_ms[1]}
    for name, (wall, processor) in told.items():
        metrics |= {f"{name}_ms": wall, f"{name}_cpu_ms": processor}
    return {
        "name": "perceive-face",
        "metrics": {name: round(value, 3) for name, value in metrics.items()}
        | {"repeats": repeats},
        "baselines": {
            "detect_nothing_ms": round(nothing[0], 3),
            "detect_nothing_cpu_ms": round(nothing[1], 3),
        },
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=100)
    parser.add_argument("--json", action="store_true", help="one line")
    arguments = parser.parse_args()
    result = measure(arguments.repeats)
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
