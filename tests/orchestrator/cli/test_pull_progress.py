"""The progress bar of a pull."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from affectgraph.orchestrator.cli import models
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.models.fetch import OnProgress, PullProgress


def test_a_model_may_bring_its_base_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def ensure(names: Sequence[str], store: ModelStore, progress: OnProgress) -> None:
        for name in ("smollm2-135m", *names):
            progress(PullProgress(name, "download", 0, 10))
            progress(PullProgress(name, "download", 10, 10))

    monkeypatch.setattr(models, "ensure", ensure)
    monkeypatch.setenv("AFFECTGRAPH_MODELS", str(tmp_path))
    shown = io.StringIO()
    models.pull_missing(
        ["smollm2-135m-esconv"], Console(file=shown, width=100, force_terminal=True)
    )
    assert "smollm2-135m: download" in shown.getvalue()
    assert "smollm2-135m-esconv: download" in shown.getvalue()
