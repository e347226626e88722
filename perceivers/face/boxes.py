"""Arithmetic of face boxes: overlap, suppression, regression, squares.

Boxes are float64 arrays of shape (n, 4): left, top, right, bottom, in pixels.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """Area of each box, shape (n,)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def suppress(
    boxes: Boxes,
    scores: NDArray[np.floating[Any]],
    threshold: float,
    relative_to: Literal["union", "smaller"] = "union",
) -> NDArray[np.int64]:
    """Greedy non-maximum suppression.

    Args:
        boxes: Shape (n, 4).
        scores: Shape (n,).
        threshold: Overlap in [0, 1] above which the lower-scored box goes.
        relative_to: What the intersection is divided by. ``smaller`` also drops a box that lies
            inside another, which Zhang et al. use in the last stage.

    Returns:
        Indices of the boxes that stay, best first.
    """
    order = np.argsort(-scores, kind="stable")
    size = areas(boxes)
    stay: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        stay.append(int(best))
        near = np.minimum(boxes[best, 2:], boxes[order, 2:])
        far = np.maximum(boxes[best, :2], boxes[order, :2])
        shared = np.clip(near - far, 0, None).prod(axis=1)
        if relative_to == "union":
            whole = size[best] + size[order] - shared
        else:
            whole = np.minimum(size[best], size[order])
        # A box without area overlaps nothing; the floor only keeps the division defined.
        order = order[shared <= threshold * np.maximum(whole, 1e-9)]
    return np.asarray(stay, dtype=np.int64)


def regress(boxes: Boxes, offsets: NDArray[np.floating[Any]]) -> Boxes:
    """Move each side by an offset in units of the box's own width or height."""
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return boxes + offsets * np.stack([width, height, width, height], axis=1)


def squared(boxes: Boxes) -> Boxes:
    """Squares with the same centres, as large as the longer side."""
    half = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) / 2
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return np.stack([x - half, y - half, x + half, y + half], axis=1)
