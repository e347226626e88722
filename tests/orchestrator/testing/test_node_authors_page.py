"""The page for node authors: each of its files is written out and run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from affectgraph.orchestrator import testing
from affectgraph.orchestrator.registry import KINDS
from affectgraph.orchestrator.testing import conformance

PAGE = (Path(__file__).parents[3] / "docs" / "node-authors.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The page's files in a folder, offered by entry points as an installed package's are."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(
        "\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {target}" for name, target in offered.items())
            for group, offered in project["entry-points"].items()
        )
    )
    return tmp_path


def run(package: Path, *arguments: str) -> str:
    paths = [str(package), *(path for path in sys.path if path)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "XDG_DATA_HOME": str(package / "data"),
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=package, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tests_of_the_page_pass(package: Path) -> None:
    told = run(package, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider")
    assert re.search(r"(\d+) passed", told), told


def test_the_spec_of_the_page_makes_an_agent(package: Path) -> None:
    program = (
        "from affectgraph.orchestrator import Agent\n"
        "from affectgraph.orchestrator.spec import load_spec\n"
        "parts = load_spec('agent.yaml').build().parts\n"
        "Agent.from_spec('agent.yaml')\n"
        "print(type(parts.perceivers[0]).__module__, parts.nodes['recall'].body.__module__)"
    )
    assert run(package, "-c", program).split() == ["loud", "quiet"]


def test_every_name_of_the_page_exists() -> None:
    table = PAGE.partition("## A part")[0]
    groups = {kind.group for kind in KINDS.values()}
    assert set(re.findall(r"`(affectgraph\.\w+s)` \|", table)) <= groups
    suites = set(conformance.__all__) - {"NonconformityError"}
    named = set(re.findall(r"`(\w+)`", table))
    assert suites <= named
    fakes = PAGE.partition("## Fakes")[2].partition("```")[0]
    for name in re.findall(r"`((?:Fake|Scripted|scripted|Hash|List)\w+)`", fakes):
        assert name in testing.__all__
