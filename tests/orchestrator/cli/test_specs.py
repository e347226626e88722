"""``validate``, ``explain``, ``draw`` and ``new``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from affectgraph.orchestrator.cli.app import app
from affectgraph.orchestrator.cli.scaffold import SCAFFOLDS, scaffold
from affectgraph.orchestrator.graph import support_nodes
from affectgraph.orchestrator.presets import Settings, default_parts
from affectgraph.perceivers.errors import InputError

AGENT = (
    "agent: affectgraph/v1\nmemory: null\npolicies: {responder: {resources.v1: '${REGION:-}'}}\n"
)
NO_NUMBER = "input should be a valid number, unable to parse string as a number"
NODES = [node.name for node in support_nodes(default_parts(Settings()))]


def invoke(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env=environment)


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, where errors become an exit code."""
    return subprocess.run(
        [sys.executable, "-m", "affectgraph.orchestrator.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def agent(folder: Path, text: str = AGENT) -> Path:
    path = folder / "agent.yaml"
    path.write_text(text)
    return path


def test_a_good_spec_is_ok(tmp_path: Path) -> None:
    path = agent(tmp_path)
    done = invoke("validate", path)
    assert done.exit_code == 0
    assert done.stdout == f"{path}: ok\n"


def test_all_faults_of_a_bad_spec_are_printed(tmp_path: Path) -> None:
    path = agent(tmp_path, "agent: affectgraph/v1\nmemry: null\nlimits:\n  text: soon\n")
    done = invoke("validate", path)
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        f"{path}:2: memry: no such key (did you mean memory?)",
        f"{path}:4: limits.text: {NO_NUMBER}",
    ]


def test_what_only_a_constructor_or_the_graph_refuses_is_found_too(tmp_path: Path) -> None:
    text = "agent: affectgraph/v1\nfusion: {late.v1: {weights: {text: 3}}}\n"
    done = invoke("validate", agent(tmp_path, text))
    assert done.exit_code == 2
    assert "agent.yaml:2: fusion: fusion weights must be in (0, 1]: text=3" in done.stderr

    (tmp_path / "odd.py").write_text(
        "from typing import TypedDict\n"
        "from affectgraph.orchestrator.node import Node\n"
        "class Told(TypedDict):\n    nonsense: str\n"
        "async def body() -> Told: ...\n"
        "def odd() -> Node:\n    return Node('recall', body)\n"
    )
    text = "agent: affectgraph/v1\nimports: [odd]\nnodes: {recall: 'odd:odd'}\n"
    path = agent(tmp_path, text)
    done_there = command("validate", path, PYTHONPATH=str(tmp_path))
    assert done_there.returncode == 2
    assert done_there.stdout == ""
    assert f"{path}: " in done_there.stderr
    assert "nonsense" in done_there.stderr


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for verb in ("validate", "explain", "draw"):
        done = command(verb, tmp_path / "none.yaml")
        assert done.returncode == 2
        assert done.stderr == f"{tmp_path / 'none.yaml'}: no such file or directory\n"


def explained(*arguments: object, **environment: str) -> dict[str, Any]:
    done = invoke("explain", "--json", *arguments, **environment)
    assert done.exit_code == 0, done.output
    return {node["node"]: node for node in json.loads(done.stdout)["nodes"]}


def test_the_default_agent_is_explained() -> None:
    nodes = explained()
    assert list(nodes) == NODES
    assert nodes["face"]["parts"][0] == {"name": "video.ferplus.v1", "origin": "built in"}
    assert {"name": "mtcnn", "licence": "MIT"} in nodes["face"]["models"]
    assert nodes["face"]["timeout"] == 20.0
    assert "turn" in nodes["face"]["reads"]
    assert nodes["face"]["writes"] == ["readings"]
    table = invoke("explain", COLUMNS="200").stdout
    for word in ("speech.whisper.v1", "ravdess.v2 (CC-BY-NC-SA-4.0)", "45 s", "risk_level"):
        assert word in table


def test_an_agent_of_ones_own_is_explained(tmp_path: Path) -> None:
    text = (
        "agent: affectgraph/v1\nperceivers: []\nmemory: null\n"
        "reasoner: {smes.staged.v1: {backend: {openai.v1: {base_url: b, model: '${SERVED}'}}}}\n"
    )
    nodes = explained(agent(tmp_path, text), SERVED="hidden-model")
    assert "text" not in nodes
    assert nodes["recall"]["parts"] == []
    assert [m["name"] for m in nodes["strategy"]["models"]] == ["${SERVED}"]
    assert "hidden-model" not in json.dumps(nodes)


def test_an_agent_of_ones_own_is_drawn(tmp_path: Path) -> None:
    text = "agent: affectgraph/v1\nperceivers: [speech.whisper.v1]\n"
    drawn = invoke("draw", agent(tmp_path, text)).stdout
    assert "speech(speech)" in drawn
    assert "face(face)" not in drawn
    assert "face(face)" in invoke("draw").stdout


@pytest.mark.parametrize(
    ("verb", "option"),
    [("draw", ["--form", "staged"]), ("run", ["--region", "DE"]), ("chat", ["--model", "m"])],
)
def test_what_a_spec_says_is_not_said_beside_it(
    verb: str, option: list[str], tmp_path: Path
) -> None:
    path = agent(tmp_path)
    spec = [path] if verb == "draw" else ["--spec", path]
    text = ["--text", "hi"] if verb == "run" else []
    done = command(verb, *spec, *text, *option)
    assert done.returncode == 2
    assert done.stderr == (
        f"affectgraph: --spec names the whole agent: say {option[0]} in the spec\n"
    )


def test_a_turn_of_an_agent_of_ones_own(tmp_path: Path) -> None:
    fakes = "affectgraph.orchestrator.testing"
    text = (
        "agent: affectgraph/v1\nimports: [affectgraph]\nmemory: null\nencoder: minilm.v1\n"
        f"perceivers: [{fakes}.fakes:FakeTextPerceiver]\n"
        f"reasoner: {{{fakes}.reasoner:ScriptedReasoner: It is good that you came.}}\n"
        "threads: {sqlite.v1: {path: threads.sqlite}}\n"
    )
    path = agent(tmp_path, text)
    # An environment variable of the default agent's is no fault beside a spec.
    done = command(
        *("run", "--spec", path, "--text", "Hello.", "--json", "--thread", "a"),
        AFFECTGRAPH_REGION="DE",
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "It is good that you came."
    assert (tmp_path / "threads.sqlite").is_file()


def test_without_a_thread_nothing_of_a_run_is_kept(tmp_path: Path) -> None:
    fakes = "affectgraph.orchestrator.testing"
    text = (
        "agent: affectgraph/v1\nimports: [affectgraph]\nmemory: null\nperceivers: []\n"
        f"reasoner: {fakes}.reasoner:ScriptedReasoner\n"
        "threads: {sqlite.v1: {path: threads.sqlite}}\n"
    )
    path = agent(tmp_path, text)
    for further in ([], ["--thread", "a", "--withhold", "memory"]):
        done = command("run", "--spec", path, "--text", "Hello.", *further)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "threads.sqlite").exists()


def test_a_bad_spec_is_told_line_by_line(tmp_path: Path) -> None:
    path = agent(tmp_path, "agent: affectgraph/v1\nmemry: null\nkeep_exchanges: 0\n")
    done = command("run", "--spec", path, "--text", "Hello.")
    assert done.returncode == 2
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [f"{path}:2", f"{path}:3"]


@pytest.mark.parametrize(
    ("name", "kind", "fault"),
    [
        ("Mine", "perceiver", "'Mine' is no name"),
        ("../mine", "perceiver", "'../mine' is no name"),
        ("json", "perceiver", "'json' is the name of another package"),
        ("affectgraph", "perceiver", "'affectgraph' is the name of another package"),
        ("mine", "wheel", "no scaffold for 'wheel'; there are: perceiver, fusion"),
    ],
)
def test_what_cannot_be_begun_is_told(name: str, kind: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=fault):
        scaffold(name, kind, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "part.py").write_text("precious")
    done = command("new", "mine", "--in", tmp_path)
    assert done.returncode == 2
    assert "is there already; nothing was written" in done.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["part.py"]


def test_every_scaffold_installs_and_passes_its_own_tests(tmp_path: Path) -> None:
    for kind in SCAFFOLDS:
        done = invoke("new", f"my-{kind}", "--kind", kind, "--in", tmp_path)
        assert done.exit_code == 0, done.output
    folders = [str(tmp_path / f"my-{kind}") for kind in SCAFFOLDS]
    site = tmp_path / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"),
            *("--no-build-isolation", "--target", str(site), *folders),
        ],
        check=True,
        capture_output=True,
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    tested = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"),
            *("-W", "error"),
            *("--import-mode=importlib", "--rootdir", str(tmp_path), *folders),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert tested.returncode == 0, tested.stdout
    assert "no tests ran" not in tested.stdout
    # Each package's own tests build its agent; here it is found as a person would find it.
    agent_yaml = f"{folders[0]}/agent.yaml"
    valid = command("validate", agent_yaml, PYTHONPATH=str(site))
    assert valid.stdout == f"{agent_yaml}: ok\n"
    shown = command("explain", "--json", agent_yaml, PYTHONPATH=str(site))
    assert f'"origin": "my-{SCAFFOLDS[0]} 0.1.0"' in shown.stdout
