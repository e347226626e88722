"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from affectgraph.perceivers.models import ModelStore

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

    def require(name: str) -> Path:
        if not model_store.has(name):
            pytest.skip(f"model {name} is absent: run `affectgraph models pull`")
        return model_store.folder(name)

    return require
