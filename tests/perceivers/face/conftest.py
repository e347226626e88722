"""The portrait, and a detector over the pulled networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.face import MTCNNDetector
from affectgraph.perceivers.media import ImageFile
from affectgraph.perceivers.models import ModelStore

PORTRAIT = Path(__file__).parents[3] / "examples" / "portrait.jpg"


@pytest.fixture
def portrait_path() -> Path:
    return PORTRAIT


@pytest.fixture
def portrait() -> NDArray[np.uint8]:
    """RGB, shape (480, 384, 3); one face at about (184, 118), 109 pixels high."""
    return ImageFile(PORTRAIT).pixels


@pytest.fixture
def detector(requires_model: Callable[[str], Path], model_store: ModelStore) -> MTCNNDetector:
    requires_model("mtcnn")
    return MTCNNDetector(model_store)
