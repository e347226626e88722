"""Finds faces: a cascade of three small networks.

Zhang, Zhang, Li and Qiao (2016), "Joint face detection and alignment using multi-task cascaded
convolutional networks", IEEE Signal Processing Letters 23(10). P-Net scans an image pyramid and
proposes squares, R-Net refuses most of them, O-Net refines the rest and marks five points. The
weights are those of the ``mtcnn`` package, version 1.0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.face.boxes import Boxes, regress, squared, suppress
from affectgraph.perceivers.face.detected import DetectedFace
from affectgraph.perceivers.face.photo import Photo, crops_of, image_of, points_of, scaled
from affectgraph.perceivers.models import ModelStore, ModelUse

CELL: Final = 12
"""Side of the window that P-Net looks at, in pixels."""
STRIDE: Final = 2
PYRAMID: Final = 0.709
"""Ratio of neighbouring pyramid levels: half the area, as in the paper."""
MAX_PROPOSALS: Final = 600
"""Proposals that go on after P-Net, best first; dense texture could give thousands."""
BORDER: Final = 0.25
"""Width of the border for a second look, in units of the image's longer side."""
CLOSE_SIDE: Final = 300
"""Longer side of a second look: who fills the picture is large, and large faces need few pixels."""
CLOSE_SCORE: Final = 0.95
"""O-Net's probability that a second look asks for: no P-Net has spoken for the face."""
CLOSE_SHARES: Final = (0.36, 0.46, 0.58, 0.72, 0.9)
"""Sides of the squares of a second look, in units of the bordered image's shorter side."""
CLOSE_SHIFTS: Final = (-0.15, 0.0, 0.15)
"""Where they lie beside the image's middle, in units of their own side."""
MAX_BATCH: Final = 8
"""Images that go through the networks at once; bounds the memory."""


class MTCNNDetector:
    """MTCNN over onnxruntime; blocking, safe to share between threads once loaded.

    Args:
        store: Where the pulled models lie.
        min_face: Smallest face that is looked for, in pixels after scaling to ``max_side``.
        thresholds: Probability that each stage asks for.
        max_side: An image with a longer side is scaled down to this first; bounds the time.
        close: Whether an image without a face is looked at once more as a close-up. P-Net learnt
            faces in scenes and misses a fifth of those that fill a picture; squares that cover
            the middle of the image, with a border around it, go to R- and O-Net without it.
        device: Where the networks run.
    """

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        min_face: int = 24,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.9),
        max_side: int = 640,
        close: bool = True,
        device: Device = CPU,
    ) -> None:
        if min_face < CELL:
            raise ValueError(f"min_face must be {CELL} or more, not {min_face}")
        self._store = store or ModelStore()
        self._min_face = min_face
        self._thresholds = thresholds
        self._max_side = max_side
        self._close = close
        self._device = device
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
        # Every pyramid level and every number of crops is another shape.
        self._sessions = {
            name: self._device.session(self._store.path("mtcnn", f"{name}.onnx"), shapes_vary=True)
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
        return self.detect_all((pixels,))[0]

    def detect_all(self, images: Sequence[NDArray[np.uint8]]) -> list[list[DetectedFace]]:
        """Find the faces of several images, those of one size as one batch.

        Args:
            images: RGB, uint8, shape (height, width, 3) each.

        Returns:
            For each image its faces, largest first.

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        self.load()
        photos = [Photo.of(pixels, self._max_side) for pixels in images]
        found = self._search(photos, self._propose)
        if self._close and (empty := [row for row, faces in enumerate(found) if not faces]):
            framed = [Photo.framed(images[row], CLOSE_SIDE, BORDER) for row in empty]
            for row, faces in zip(empty, self._search(framed, _close_up), strict=True):
                found[row] = [face for face in faces if face.score > CLOSE_SCORE]
        return found

    def refine(self, pixels: NDArray[np.uint8], boxes: Sequence[Box]) -> list[DetectedFace | None]:
        """Look again where faces were a moment ago, with O-Net alone.

        Args:
            pixels: RGB, uint8, shape (height, width, 3).
            boxes: Where the faces were.

        Returns:
            For each box the face that O-Net sees there, or ``None``.
        """
        if not boxes:
            return []
        self.load()
        photo = Photo(image_of(pixels), np.ones(2), pixels.shape[1], pixels.shape[0])
        corners = np.array([[b.x, b.y, b.x + b.width, b.y + b.height] for b in boxes], np.float64)
        squares = squared(corners)
        out = self._run("onet", crops_of(photo.image, squares, 48))
        scores, points = out["scores"][:, 1], points_of(squares, out["landmarks"])
        moved = regress(squares, out["offsets"])
        return [
            photo.face(box, float(score), marks) if score > self._thresholds[2] else None
            for box, score, marks in zip(moved, scores, points, strict=True)
        ]

    def _search(
        self, photos: Sequence[Photo], propose: Callable[[Sequence[Photo]], list[Boxes]]
    ) -> list[list[DetectedFace]]:
        """Faces of each photo, those of one size as one batch."""
        batches: dict[tuple[int, int], list[int]] = {}
        for index, photo in enumerate(photos):
            batches.setdefault(photo.image.size, []).append(index)
        found: dict[int, list[DetectedFace]] = {}
        for rows in batches.values():
            for at in range(0, len(rows), MAX_BATCH):
                part = rows[at : at + MAX_BATCH]
                some = [photos[row] for row in part]
                faces = self._cascade(some, propose(some))
                found.update(zip(part, faces, strict=True))
        return [found[index] for index in range(len(photos))]

    def _cascade(self, photos: Sequence[Photo], boxes: list[Boxes]) -> list[list[DetectedFace]]:
        """Faces in the proposed squares; those of all photos go through R- and O-Net together."""
        boxes = self._narrow(photos, boxes)
        kept = self._mark(photos, boxes)
        return [
            sorted(
                (
                    face
                    for box, score, points in zip(*found, strict=True)
                    if (face := photo.face(box, float(score), points)) is not None
                ),
                key=lambda face: -face.box.width * face.box.height,
            )
            for photo, found in zip(photos, kept, strict=True)
        ]

    def _narrow(self, photos: Sequence[Photo], boxes: list[Boxes]) -> list[Boxes]:
        """R-Net: fewer and better squares."""
        out, parts = self._over("rnet", photos, boxes, 24)
        kept: list[Boxes] = []
        for squares, rows in zip(boxes, parts, strict=True):
            scores = out["scores"][rows, 1]
            sure = scores > self._thresholds[1]
            better = regress(squares[sure], out["offsets"][rows][sure])
            kept.append(squared(better[suppress(better, scores[sure], 0.7)]))
        return kept

    def _mark(
        self, photos: Sequence[Photo], boxes: list[Boxes]
    ) -> list[tuple[Boxes, NDArray[np.float64], NDArray[np.float64]]]:
        """O-Net: boxes, scores and five points, all in pixels of the scaled photos."""
        out, parts = self._over("onet", photos, boxes, 48)
        kept = []
        for squares, rows in zip(boxes, parts, strict=True):
            scores = out["scores"][rows, 1]
            sure = scores > self._thresholds[2]
            # Landmarks are told in the square that O-Net saw, so before regression.
            points = points_of(squares[sure], out["landmarks"][rows][sure])
            better, scores = regress(squares[sure], out["offsets"][rows][sure]), scores[sure]
            stay = suppress(better, scores, 0.7, "smaller")
            kept.append((better[stay], scores[stay], points[stay]))
        return kept

    def _over(
        self, name: str, photos: Sequence[Photo], boxes: list[Boxes], side: int
    ) -> tuple[dict[str, NDArray[np.float64]], list[slice]]:
        """A network over the crops of all photos, and which rows belong to which photo."""
        crops = [crops_of(p.image, b, side) for p, b in zip(photos, boxes, strict=True)]
        ends = np.cumsum([len(part) for part in crops])
        parts = [slice(int(e) - len(part), int(e)) for e, part in zip(ends, crops, strict=True)]
        return self._run(name, np.concatenate(crops)), parts

    def _propose(self, photos: Sequence[Photo]) -> list[Boxes]:
        """P-Net over the pyramid: squares, best first."""
        levels: list[list[tuple[Boxes, NDArray[np.float64]]]] = [[] for _ in photos]
        width, height = photos[0].image.size
        scale = CELL / self._min_face
        images = [photo.image for photo in photos]
        while scale * min(width, height) >= CELL:
            size = round(width * scale), round(height * scale)
            images = [scaled(image, size) for image in images]
            out = self._run("pnet", np.stack([np.asarray(image) for image in images]))
            unit = np.tile(np.array([width, height]) / size, 2)
            for row, level in enumerate(levels):
                boxes, scores = self._cells(out["scores"][row, 1], out["offsets"][row])
                level.append((boxes * unit, scores))
            scale *= PYRAMID
        return [_best(level) for level in levels]

    def _cells(
        self, face: NDArray[np.float64], offsets: NDArray[np.float64]
    ) -> tuple[Boxes, NDArray[np.float64]]:
        """What one level of the pyramid proposes, in its own pixels."""
        rows, columns = np.nonzero(face > self._thresholds[0])
        corner = np.stack([columns, rows], axis=1) * STRIDE
        cells = np.concatenate([corner, corner + CELL], axis=1).astype(np.float64)
        boxes, scores = regress(cells, offsets[:, rows, columns].T), face[rows, columns]
        stay = suppress(boxes, scores, 0.5)
        return boxes[stay], scores[stay]

    def _run(self, name: str, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
        """Outputs of a network by name, for images of shape (n, height, width, 3)."""
        assert self._sessions is not None
        session = self._sessions[name]
        pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        titles = [output.name for output in session.get_outputs()]
        return dict(zip(titles, session.run(titles, {"pixels": pixels}), strict=True))


def _close_up(photos: Sequence[Photo]) -> list[Boxes]:
    """Squares in which a face that fills the picture would lie."""
    boxes = []
    for photo in photos:
        width, height = photo.image.size
        squares = [
            (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
            for side in (share * min(width, height) for share in CLOSE_SHARES)
            for x in (width / 2 + shift * side for shift in CLOSE_SHIFTS)
            for y in (height / 2 + shift * side for shift in CLOSE_SHIFTS)
        ]
        boxes.append(np.array(squares))
    return boxes


def _best(levels: list[tuple[Boxes, NDArray[np.float64]]]) -> Boxes:
    """The proposals of all levels as squares, best first."""
    if not levels:
        return np.zeros((0, 4))
    boxes = np.concatenate([level[0] for level in levels])
    scores = np.concatenate([level[1] for level in levels])
    return squared(boxes[suppress(boxes, scores, 0.7)[:MAX_PROPOSALS]])
