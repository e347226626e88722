"""docs/reasoner.md: its snippets run, its tables are true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from affectgraph.orchestrator.registry import KINDS
from affectgraph.orchestrator.spec import parse_spec
from affectgraph.reasoners.codecs import CODECS
from affectgraph.reasoners.stages import SYSTEM_EMOTIONS
from affectgraph.reasoners.stages.experts import Source
from affectgraph.reasoners.stages.weights import EXPERTS
from affectgraph.reasoners.training.experts_table import table

PAGE = (Path(__file__).parents[2] / "docs" / "reasoner.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def ran(program: str, folder: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_snippets_do_what_the_page_says(tmp_path: Path) -> None:
    stage, codecs, forms = (ran(snippet, tmp_path) for snippet in snippets("python"))
    assert stage == ["Question rule+head"]
    assert codecs.count("...before the strategy: (sadness)(") == 1
    assert codecs[-4:][0] == "[]"
    assert codecs[-1] == "[' tried hard.']"
    held, asked = forms
    assert held[:-1] == asked[:-1]
    assert (held[-1], asked[-1]) == ("1", "4"), "one request, or one a stage"


@pytest.mark.parametrize("text", snippets("yaml"), ids=range(len(snippets("yaml"))))
def test_a_yaml_snippet_builds(text: str, tmp_path: Path) -> None:
    spec = parse_spec(text, folder=tmp_path, environ={})
    spec.build(environ={})
    assert parse_spec(spec.to_yaml(), folder=tmp_path, environ={}) == spec


def test_the_figures_are_those_of_the_file_that_ships() -> None:
    shown = re.search(r"<!-- experts: begin -->\n(.*?)<!-- experts: end -->", PAGE, re.DOTALL)
    assert shown is not None
    stored = json.loads(EXPERTS.read_text())
    assert shown[1].strip() == table(stored["fitted"])
    assert len(stored["fitted"]) == len(stored["companies"]) > 3


def test_the_tables_are_whole() -> None:
    told = set(re.findall(r"^\| `(\S+)` \|", PAGE, re.MULTILINE))
    assert told == {*KINDS["stage"].builtin, *Source.__args__, *CODECS}  # type: ignore[attr-defined]
    row = next(line for line in PAGE.splitlines() if "`tone.smes.v1` |" in line)
    assert all(f"`{tone}`" in row for tone in SYSTEM_EMOTIONS)
