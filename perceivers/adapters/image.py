"""Any image classifier of the transformers library as a reader of faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from affectgraph.perceivers.adapters.checkpoint import Checkpoint
from affectgraph.perceivers.adapters.classifier import Classifier
from affectgraph.perceivers.adapters.faces import SEARCH, FacePerceiver, Pixels, Search
from affectgraph.perceivers.face import FaceDetector, MTCNNDetector
from affectgraph.perceivers.models import ModelStore


class TransformersImage(FacePerceiver):
    """Reads expressions with any image-classification checkpoint, behind a face detector.

    The face is cut out in colour, as a square around the detector's box, and scaled by the
    checkpoint's own processor.

    Args:
        checkpoint: The model; its folder holds a ``preprocessor_config.json`` too.
        detector: Finds faces; MTCNN with the default settings if not given.
        store: Where the pulled models lie; for that MTCNN.
        search: How the face is found and cut out.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        detector: FaceDetector | None = None,
        store: ModelStore | None = None,
        search: Search = SEARCH,
    ) -> None:
        super().__init__(
            ImageClassifier(checkpoint),
            detector or MTCNNDetector(store),
            search,
            max_batch=checkpoint.max_batch,
            max_wait=checkpoint.max_wait,
        )


class ImageClassifier(Classifier[Pixels]):
    """An image classifier; items are RGB, uint8, shape (height, width, 3), of any sizes."""

    def _classes(self) -> tuple[Any, Any]:
        from transformers import AutoImageProcessor, AutoModelForImageClassification

        return AutoModelForImageClassification, AutoImageProcessor

    def _inputs(self, processor: Any, items: Sequence[Pixels]) -> Mapping[str, Any]:
        inputs: Mapping[str, Any] = processor(
            images=list(items), input_data_format="channels_last", return_tensors="pt"
        )
        return inputs
