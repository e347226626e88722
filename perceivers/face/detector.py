"""Finds faces: a cascade of three small networks.

Zhang, Zhang, Li and Qiao (2016), "Joint face detection and alignment using multi-task cascaded
convolutional networks", IEEE Signal Processing Letters 23(10). P-Net scans an image pyramid and
proposes squares, R-Net refuses most of them, O-Net refines the rest and marks five points. The
weights are those of the ``mtcnn`` package, version 1.0.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.face.boxes import Boxes, regress, squared, suppress
from affectgraph.perceivers.models import ModelStore, ModelUse

if TYPE_CHECKING:
    from PIL import Image

CELL: Final = 12
"""Side of the window that P-Net looks at, in pixels."""
STRIDE: Final = 2
PYRAMID: Final = 0.709
"""Ratio of neighbouring pyramid levels: half the area, as in the paper."""
MAX_PROPOSALS: Final = 600
"""Proposals that go on after P-Net, best first; dense texture could give thousands."""


@dataclass(frozen=True)
class DetectedFace:
    """A face in an image.

    Attributes:
        box: Where, in pixels of the image, cut at its edges.
        score: The last network's probability that it is a face.
        landmarks: (x, y) in pixels of the image: the eye on the image's left, the other eye, tip
            of the nose, the mouth's corner on the image's left, the other corner.
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...]


class FaceDetector(Protocol):
    """What finds faces; both methods block."""

    def load(self) -> None:
        """Open what is needed; cheap when done before."""
        ...

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        """Find the faces of an RGB image, uint8, shape (height, width, 3), largest first."""
        ...


class MTCNNDetector:
    """MTCNN over onnxruntime; blocking, safe to share between threads once loaded.

    Args:
        store: Where the pulled models lie.
        min_face: Smallest face that is looked for, in pixels after scaling to ``max_side``.
        thresholds: Probability that each stage asks for.
        max_side: An image with a longer side is scaled down to this first; bounds the time.
        threads: Threads of onnxruntime for one image.
    """

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        min_face: int = 24,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.9),
        max_side: int = 640,
        threads: int = 1,
    ) -> None:
        if min_face < CELL:
            raise ValueError(f"min_face must be {CELL} or more, not {min_face}")
        self._store = store or ModelStore()
        self._min_face = min_face
        self._thresholds = thresholds
        self._max_side = max_side
        self._threads = threads
        self._sessions: dict[str, Any] | None = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The detector's model."""
        return (ModelUse.pinned("mtcnn"),)

    def load(self) -> None:
        """Open the networks; blocking, and done by the first :meth:`detect` otherwise.

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        if self._sessions is not None:
            return
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        self._sessions = {
            name: onnxruntime.InferenceSession(
                self._store.path("mtcnn", f"{name}.onnx"),
                options,
                providers=["CPUExecutionProvider"],
            )
            for name in ("pnet", "rnet", "onet")
        }

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        """Find the faces of an image.

        Args:
            pixels: RGB, uint8, shape (height, width, 3).

        Returns:
            Faces, largest first; empty if there are none.

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        from PIL import Image

        self.load()
        height, width = pixels.shape[:2]
        scale = min(1.0, self._max_side / max(height, width))
        image = Image.fromarray(pixels)
        if scale < 1:
            size = max(1, round(width * scale)), max(1, round(height * scale))
            image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        boxes, scores, landmarks = self._cascade(image)
        back = np.array([width / image.width, height / image.height])
        found = [
            DetectedFace(box, float(score), tuple((float(x), float(y)) for x, y in points * back))
            for corners, score, points in zip(boxes, scores, landmarks, strict=True)
            if (box := _cut(corners * np.tile(back, 2), width, height)) is not None
        ]
        return sorted(found, key=lambda face: -face.box.width * face.box.height)

    def _cascade(
        self, image: Image.Image
    ) -> tuple[Boxes, NDArray[np.float64], NDArray[np.float64]]:
        boxes, scores = self._propose(image)
        for name, side, threshold in (
            ("rnet", 24, self._thresholds[1]),
            ("onet", 48, self._thresholds[2]),
        ):
            out = self._run(name, _crops(image, boxes, side))
            scores = out["scores"][:, 1]
            sure = scores > threshold
            # Landmarks are told in the square that O-Net saw, so before regression.
            points = _points(boxes[sure], out["landmarks"][sure]) if name == "onet" else None
            boxes, scores = regress(boxes[sure], out["offsets"][sure]), scores[sure]
            stay = suppress(boxes, scores, 0.7, "union" if points is None else "smaller")
            boxes, scores = boxes[stay], scores[stay]
            if points is not None:
                return boxes, scores, points[stay]
            boxes = squared(boxes)
        raise AssertionError("the cascade ends with O-Net")

    def _propose(self, image: Image.Image) -> tuple[Boxes, NDArray[np.float64]]:
        """P-Net over the pyramid: squares and their scores."""
        from PIL import Image

        levels: list[tuple[Boxes, NDArray[np.float64]]] = []
        scale = CELL / self._min_face
        while scale * min(image.size) >= CELL:
            size = round(image.width * scale), round(image.height * scale)
            level = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
            out = self._run("pnet", level[None])
            face = out["scores"][0, 1]
            rows, columns = np.nonzero(face > self._thresholds[0])
            corner = np.stack([columns, rows], axis=1) * STRIDE
            cells = np.concatenate([corner, corner + CELL], axis=1).astype(np.float64)
            boxes = regress(cells, out["offsets"][0][:, rows, columns].T)
            boxes *= np.tile(np.array([image.width, image.height]) / size, 2)
            scores = face[rows, columns]
            stay = suppress(boxes, scores, 0.5)
            levels.append((boxes[stay], scores[stay]))
            scale *= PYRAMID
        if not levels:
            return np.zeros((0, 4)), np.zeros(0)
        boxes = np.concatenate([level[0] for level in levels])
        scores = np.concatenate([level[1] for level in levels])
        stay = suppress(boxes, scores, 0.7)[:MAX_PROPOSALS]
        return squared(boxes[stay]), scores[stay]

    def _run(self, name: str, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """Outputs of a network by name, for images of shape (n, height, width, 3)."""
        assert self._sessions is not None
        session = self._sessions[name]
        pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        titles = [output.name for output in session.get_outputs()]
        return dict(zip(titles, session.run(titles, {"pixels": pixels}), strict=True))


def _crops(image: Image.Image, boxes: Boxes, side: int) -> NDArray[np.uint8]:
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


def _points(boxes: Boxes, landmarks: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
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
