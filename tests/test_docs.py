"""What the documents show is run, and what they quote is true."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from affectgraph.orchestrator.cli.app import app

REPOSITORY = Path(__file__).parents[1]

README = (REPOSITORY / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.models
@pytest.mark.local_lm
@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_of_the_readme_runs(
    snippet: str, tmp_path: Path, requires_model: Callable[[str], Path]
) -> None:
    pytest.importorskip("torch", reason="the snippets use the extra 'local'")
    for name in ("mtcnn", "whisper-tiny.en", "smollm2-135m-esconv"):
        requires_model(name)
    environment = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    if "print(" in snippet:
        assert len(done.stdout.split()) > 5


def test_the_readme_shows_the_graph_that_draw_prints() -> None:
    drawn = CliRunner().invoke(app, ["draw"]).stdout.strip()
    shown = re.search(r"<!-- graph: begin -->\n```mermaid\n(.*?)\n```", README, re.DOTALL)
    assert shown is not None
    assert shown[1].strip() == drawn


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^affectgraph (\w+(?: list| pull)?)", README, re.MULTILINE)))
)
def test_every_command_of_the_readme_exists(command: str) -> None:
    shown = CliRunner().invoke(app, [*command.split(), "--help"])
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize(
    ("document", "target"),
    [
        (document.relative_to(REPOSITORY), target)
        for document in [
            REPOSITORY / "README.md",
            REPOSITORY / "CONTRIBUTING.md",
            *(REPOSITORY / "docs").rglob("*.md"),
        ]
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text())
    ],
    ids=str,
)
def test_every_link_leads_somewhere(document: Path, target: str) -> None:
    assert (REPOSITORY / document.parent / target).exists()
