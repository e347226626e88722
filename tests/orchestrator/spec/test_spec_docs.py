"""docs/spec.md: each snippet runs, and its tables are true."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from affectgraph.orchestrator.cli.app import app
from affectgraph.orchestrator.cli.scaffold import scaffold
from affectgraph.orchestrator.registry import KINDS
from affectgraph.orchestrator.spec import parse_spec
from affectgraph.orchestrator.spec.reader import KEYS

PAGE = (Path(__file__).parents[3] / "docs" / "spec.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", snippets("yaml"), ids=range(len(snippets("yaml"))))
def test_a_yaml_snippet_builds(text: str, tmp_path: Path) -> None:
    spec = parse_spec(text, folder=tmp_path, environ={})
    spec.build(environ={})
    assert parse_spec(spec.to_yaml(), folder=tmp_path, environ={}) == spec


@pytest.mark.parametrize("snippet", snippets("python"), ids=range(len(snippets("python"))))
def test_a_python_snippet_runs(snippet: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "text.minilm.v1" in done.stdout


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^affectgraph (\w+)", PAGE, re.MULTILINE)))
)
def test_every_command_exists(command: str) -> None:
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_the_entry_point_is_that_of_a_scaffold(tmp_path: Path) -> None:
    made = scaffold("my-perceiver", "perceiver", tmp_path)
    (shown,) = snippets("toml")
    project = tomllib.loads((made / "pyproject.toml").read_text())["project"]
    assert tomllib.loads(shown)["project"]["entry-points"] == project["entry-points"]


def test_every_key_is_told() -> None:
    told = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", " ".join(told))) >= set(KEYS)


def test_every_kind_is_told_with_its_names() -> None:
    rows = re.findall(r"^\| (\w+) \| `([\w.]+)` \| (.*) \|$", PAGE, re.MULTILINE)
    told = {kind: (group, re.findall(r"`([^`]+)`", names)) for kind, group, names in rows}
    assert told == {kind.name: (kind.group, list(kind.builtin)) for kind in KINDS.values()}
