"""Models that are a change of ours to another model."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.models import ModelStore, PinnedModel
from affectgraph.perceivers.models.fetch import PullProgress, pull
from affectgraph.perceivers.models.store import READY

BUILDER = """
def add(folder, base):
    change = (folder / "change.bin").read_bytes()
    (folder / "whole.bin").write_bytes((base / "base.bin").read_bytes() + change)
"""
CHANGE = b"and a little more"


class TwoModels(ModelStore):
    """A store whose table has a base and a change to it."""

    def __init__(self, root: Path, *models: PinnedModel) -> None:
        super().__init__(root)
        self._models = {model.name: model for model in models}

    def pinned(self, name: str) -> PinnedModel:
        return self._models[name]


def model(name: str, content: bytes, **changes: object) -> PinnedModel:
    return PinnedModel.model_validate(
        {
            "name": name, "about": "bytes", "package": "changed_models", "version": "1",
            "sha256": hashlib.sha256(content).hexdigest(), "size": len(content),
            "licence": "Apache-2.0", "members": {}, **changes,
        }
    )  # fmt: skip


@pytest.fixture
def make_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], ModelStore]:
    """A store in which the base is pulled, and a package that holds a change's bytes."""
    package = tmp_path / "packages" / "changed_models"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('found, never imported')\n")
    (tmp_path / "packages" / "changing.py").write_text(BUILDER)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    paths = [str(tmp_path / "packages"), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", ":".join(paths))

    def make(held: bytes) -> ModelStore:
        if held:
            (package / "weights" / "change.bin").write_bytes(held)
        base = model("base", b"base")
        changed = model(
            "changed", CHANGE, base="base", members={"weights/change.bin": "change.bin"},
            builder="changing:add", built=("whole.bin",), licence="CC-BY-NC-4.0",
        )  # fmt: skip
        store = TwoModels(tmp_path / "store", base, changed)
        store.folder("base").mkdir(parents=True)
        (store.folder("base") / "base.bin").write_bytes(b"whole: ")
        (store.folder("base") / READY).touch()
        return store

    return make


def test_a_change_is_made_of_its_base(make_store: Callable[[bytes], ModelStore]) -> None:
    store, steps = make_store(CHANGE), list[PullProgress]()
    folder = asyncio.run(pull("changed", store, steps.append))
    assert (folder / "whole.bin").read_bytes() == b"whole: " + CHANGE
    assert store.has("changed")
    assert [step.phase for step in steps] == ["unpack", "unpack", "build", "build"]
    assert all(step.done <= step.total for step in steps)


def test_a_distribution_without_the_change_says_what_to_use(
    make_store: Callable[[bytes], ModelStore],
) -> None:
    store = make_store(b"")
    with pytest.raises(SetupError, match=r"holds no weights/change\.bin; model 'base' can"):
        asyncio.run(pull("changed", store))
    assert not store.has("changed")
    assert store.has("base")


def test_another_change_than_the_pinned_one_is_refused(
    make_store: Callable[[bytes], ModelStore],
) -> None:
    store = make_store(CHANGE + b"!")
    with pytest.raises(ModelCorruptError, match="it is refused"):
        asyncio.run(pull("changed", store))
    assert not store.has("changed")


def test_the_base_is_pulled_first(
    make_store: Callable[[bytes], ModelStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(CHANGE)
    (store.folder("base") / READY).unlink()
    # Nothing serves the base here: what fails is the pull of the base, before anything else.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SetupError, match="model 'base' could not be downloaded"):
        asyncio.run(pull("changed", store))
