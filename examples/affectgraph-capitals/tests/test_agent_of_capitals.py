"""The agents that use the parts, found by their names and no import of ours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from affectgraph.orchestrator import Agent, Reply, Turn
from affectgraph.orchestrator.spec import load_spec

HERE = Path(__file__).parent


def test_the_default_agent_takes_both_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By YAML alone; nothing is loaded for it."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    built = load_spec(HERE.parent / "agent.yaml").build()
    assert [type(part).__name__ for part in built.parts.perceivers] == [
        "Capitals",
        "FaceEmotion",
        "SpeechEmotion",
    ]
    assert type(built.parts.safety.output[-1]).__name__ == "NoShouting"


def test_a_turn_goes_through_both_parts() -> None:
    """The message is read by the perceiver, the reply is calmed by the policy."""

    async def turn() -> Reply:
        async with Agent.from_spec(HERE / "agent-of-fakes.yaml") as agent:
            return await agent.respond(Turn(text="NOBODY ever listens to ME!!"))

    reply = asyncio.run(turn())
    assert reply.left_out == ()
    assert reply.affect is not None
    assert reply.affect.top == "anger"
    assert reply.text == "I hear you. What happened then?"
