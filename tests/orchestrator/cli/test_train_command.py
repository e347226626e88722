from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from affectgraph.orchestrator.cli.train import TRAINERS, train

RUNNER = CliRunner()


def test_the_group_names_every_trainer() -> None:
    shown = RUNNER.invoke(train, ["--help"])
    assert shown.exit_code == 0
    assert all(name in shown.output for name in TRAINERS)


@pytest.mark.parametrize("name", sorted(TRAINERS))
def test_every_trainer_reads_the_arguments_it_is_given(name: str) -> None:
    spec = find_spec(TRAINERS[name].module)
    assert spec is not None
    assert spec.origin is not None
    assert "\ndef main(arguments: " in Path(spec.origin).read_text()


def test_a_trainer_reads_its_own_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from affectgraph.reasoners.training import reasoner

    taken = list[str]()
    monkeypatch.setattr(reasoner, "main", taken.extend)
    done = RUNNER.invoke(train, ["reasoner", "--corpus", "mesc", "--out", "RUN", "--help"])
    assert done.exit_code == 0
    assert taken == ["--corpus", "mesc", "--out", "RUN", "--help"]


def test_an_unknown_trainer_is_refused() -> None:
    assert RUNNER.invoke(train, ["everything"]).exit_code == 2


def test_listing_the_trainers_imports_none() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; import affectgraph.orchestrator.cli.train;"
            "print([m for m in ('torch', 'transformers', 'affectgraph.reasoners.training.reasoner')"
            " if m in sys.modules])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"
