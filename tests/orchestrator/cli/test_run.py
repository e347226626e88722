"""The command with the real models: the demonstration turn, a crisis, a conversation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]

pytestmark = [pytest.mark.models, pytest.mark.local_lm]
EXAMPLES = REPOSITORY / "examples"
MODELS = ("mtcnn", "whisper-tiny.en", "smollm2-135m-esconv")


@pytest.fixture
def affectgraph(
    tmp_path: Path, requires_model: Callable[[str], Path]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    pytest.importorskip("torch", reason="the language model in process uses the extra 'local'")
    for name in MODELS:
        requires_model(name)

    def run(*arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "affectgraph.orchestrator.cli", *arguments]
        environment = {**os.environ, "AFFECTGRAPH_MEMORY": str(tmp_path / "memory")}
        return subprocess.run(
            command, input=said, capture_output=True, text=True, env=environment, check=True
        )

    return run


Run = Callable[..., subprocess.CompletedProcess[str]]


def turn(affectgraph: Run, *arguments: str) -> dict[str, Any]:
    printed: dict[str, Any] = json.loads(affectgraph("run", "--json", *arguments).stdout)
    return printed


def test_the_demonstration_turn(affectgraph: Run) -> None:
    printed = turn(
        affectgraph,
        *("--text", "I got the place! I start in March, and I still can't quite believe it."),
        *("--image", str(EXAMPLES / "portrait.jpg")),
        *("--audio", str(EXAMPLES / "voice.flac")),
    )
    wanted = "readings affect risk recalled user_emotion strategy system_emotion text timings_ms"
    assert set(wanted.split()) <= set(printed)
    assert {r["modality"] for r in printed["readings"] if r["affect"]} == {
        "text",
        "face",
        "speech",
    }
    assert printed["risk"]["level"] == 0
    assert printed["affect"]["distribution"]["label_set"] == "ekman-7"
    assert (
        max(printed["affect"]["distribution"]["probs"].items(), key=lambda item: item[1])[0]
        == "joy"
    )
    assert printed["user_emotion"]["label"] == "joy"
    assert printed["text"].strip()
    assert printed["source"] == "reasoner"
    assert printed["remembered"]
    assert printed["left_out"] == []
    assert {"text", "face", "speech", "reason", "turn"} <= set(printed["timings_ms"])


def test_what_was_said_is_recalled_by_the_next_process(affectgraph: Run) -> None:
    turn(affectgraph, "--text", "My cat Miso is ill and I worry about her.", "--user", "ana")
    again = turn(affectgraph, "--text", "My cat is still ill.", "--user", "ana")
    other = turn(affectgraph, "--text", "My cat is still ill.", "--user", "ben")
    assert [r["record"]["text"] for r in again["recalled"]] == [
        "My cat Miso is ill and I worry about her."
    ]
    assert other["recalled"] == []


def test_a_crisis_is_answered_with_a_resource_of_the_region(affectgraph: Run) -> None:
    risky = "I want to end my life tonight"
    for region, contact in (("US", "988"), ("DE", "0800 111 0 111"), ("ZZ", "findahelpline.com")):
        printed = turn(affectgraph, "--text", risky, "--region", region)
        assert printed["source"] == "crisis"
        assert contact in printed["text"]
    idiom = turn(affectgraph, "--text", "this homework is killing me", "--region", "US")
    assert idiom["source"] == "reasoner"
    assert idiom["risk"]["level"] == 0
    assert "988" not in idiom["text"]


def test_withheld_consent_is_heeded(affectgraph: Run) -> None:
    printed = turn(
        affectgraph,
        *("--text", "Good morning.", "--image", str(EXAMPLES / "portrait.jpg")),
        *("--withhold", "camera", "--withhold", "memory"),
    )
    face = next(r for r in printed["readings"] if r["modality"] == "face")
    assert face["abstention"]["reason"] == "no-consent"
    assert printed["remembered"] is None


def test_the_staged_form_in_another_order(affectgraph: Run) -> None:
    printed = turn(
        affectgraph,
        *("--text", "I passed my driving test!", "--form", "staged"),
        *("--order", "user_emotion,system_emotion,strategy,response"),
    )
    nodes = list(printed["timings_ms"])
    places = [nodes.index(n) for n in ("user_emotion", "system_emotion", "strategy", "response")]
    assert places == sorted(places)
    assert printed["strategy"]["label"]


def test_a_conversation_in_the_terminal(affectgraph: Run, tmp_path: Path) -> None:
    lines = [
        "/image nowhere.png",
        "I had a long day.",
        "/dance",
        "I had a long day at work.",
        "/quit",
    ]
    shown = affectgraph("chat", said="\n".join(lines)).stdout
    flat = " ".join(shown.split())
    assert "nowhere.png: no such file" in flat
    assert "/dance: no such command" in flat
    assert "strategy:" in flat
    assert "remembered" in flat


def test_spans_go_to_the_console_without_the_persons_words(affectgraph: Run) -> None:
    spans = affectgraph("run", "--text", "I love marzipan.", "--trace", "console").stderr
    for name in ("invoke_agent affectgraph", "node text", "node reason", "chat smollm2"):
        assert f'"name": "{name}' in spans
    assert "marzipan" not in spans
