"""docs/history.md: what it shows runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from affectgraph.orchestrator.registry import KINDS
from affectgraph.orchestrator.spec import parse_spec

PAGE = (Path(__file__).parents[3] / "docs" / "history.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", snippets("yaml"), ids=range(len(snippets("yaml"))))
def test_a_yaml_snippet_builds(text: str, tmp_path: Path) -> None:
    spec = parse_spec(text, folder=tmp_path, environ={})
    spec.build(environ={})
    assert "history" in dict(spec.reasoner.options)
    assert parse_spec(spec.to_yaml(), folder=tmp_path, environ={}) == spec


def test_the_conversation_of_the_page_grows_at_its_end(tmp_path: Path) -> None:
    played, _ = snippets("python")
    done = subprocess.run(
        [sys.executable, "-c", played], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^(goes on True|moved False) \d+$", done.stdout, re.MULTILINE)
    assert len(lines) == 7
    assert 1 <= lines.count("moved False") <= 3
    summary = done.stdout.strip().splitlines()[7:]
    assert summary
    assert all(line in played for line in summary)


def test_the_suite_of_the_page_is_a_suite(tmp_path: Path) -> None:
    _, suite = snippets("python")
    program = suite + "\nprint([n for n in dir(TestMine) if n.startswith('test_')])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert "test_it_stays_with_what_it_chose" in done.stdout, done.stderr


def test_every_compressor_is_told() -> None:
    assert set(re.findall(r"^\| `(\S+\.v\d+)` \|", PAGE, re.MULTILINE)) == set(
        KINDS["history"].builtin
    )
