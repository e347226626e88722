"""The suites of the contracts over an adapter, as over a part of anybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectgraph.orchestrator.testing import conformance
from affectgraph.perceivers.adapters import Checkpoint, TransformersText

pytest.importorskip("transformers", reason="the extra 'gpu' is not installed")

FOLDER: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def _checkpoint(text_folder: Path) -> None:
    """The suites make their parts outside of any fixture; they find the checkpoint here."""
    FOLDER[:] = [text_folder]


TestPerceiver = conformance.perceiver(lambda: TransformersText(Checkpoint(FOLDER[0])))
TestTextReader = conformance.text_reader(lambda: TransformersText(Checkpoint(FOLDER[0])))
