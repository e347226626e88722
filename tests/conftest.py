"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from affectgraph.perceivers.models import MODELS, ModelStore

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[BlockBuster]:
    """A blocking call of ours inside the event loop fails the test that makes it."""
    with blockbuster_ctx("affectgraph") as blockbuster:
        yield blockbuster


@pytest.fixture
def data_root() -> Path:
    """The folder of research data; the test is skipped where there is none."""
    root = Path(os.environ.get("AFFECTGRAPH_DATA", REPOSITORY.parent / "shared" / "data"))
    if not root.is_dir():
        pytest.skip("research data is absent: set AFFECTGRAPH_DATA")
    return root


@pytest.fixture
def model_store() -> ModelStore:
    """The folder of pulled models."""
    return ModelStore()


@pytest.fixture
def requires_model(model_store: ModelStore) -> Callable[[str], Path]:
    """Skip the test unless a model is pulled; gives its folder."""
    # Looked up here: an async test that asks would block its loop.
    here = {name: model_store.folder(name) for name in MODELS if model_store.has(name)}

    def require(name: str) -> Path:
        if name not in here:
            pytest.skip(f"model {name} is absent: run `affectgraph models pull`")
        return here[name]

    return require
