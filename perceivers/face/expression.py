"""The expression head: a face to a distribution over FER+'s eight emotions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.face.crop import SIDE
from affectgraph.perceivers.face.graph import FaceGraph

WEIGHTS: Final = Path(__file__).parent / "weights" / "ferplus.onnx"
"""The shipped head; ``ferplus.md`` beside it is its card."""
LICENCE: Final = "Apache-2.0 (FER2013 pictures: research)"
"""Of the weights, and what their training pictures were given out for."""


class ExpressionHead(FaceGraph):
    """FER+ network over onnxruntime; blocking, safe to share between threads once loaded.

    The graph standardises each face, averages it with its mirror image and divides the logits by
    the fitted temperature, so what comes out are calibrated probabilities.

    Args:
        weights: The ONNX file.
        device: Where it runs.
    """

    def __init__(self, weights: Path = WEIGHTS, *, device: Device = CPU) -> None:
        super().__init__(
            weights,
            "probs",
            name="ferplus.v2",
            shipped=WEIGHTS,
            licence=LICENCE,
            device=device,
        )

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Read several faces at once.

        Args:
            faces: Grey, uint8, shape (n, 48, 48), n of 1 or more, framed as
                :func:`~affectgraph.perceivers.face.crop.crop_face` does.

        Returns:
            Probabilities over FERPLUS_8, shape (n, 8).

        Raises:
            ValueError: If the shape is another.
        """
        if faces.ndim != 3 or faces.shape[1:] != (SIDE, SIDE) or not len(faces):
            raise ValueError(f"faces must have the shape (n, {SIDE}, {SIDE}), not {faces.shape}")
        return self._run(faces)
