"""Every slot and every graph node of the default agent is swapped by YAML alone, and then runs."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from affectgraph.orchestrator import Agent, Consent, Reply, Settings, Turn, default_parts
from affectgraph.orchestrator.graph import support_nodes
from affectgraph.orchestrator.spec import parse_spec
from affectgraph.perceivers.media import AudioFile, ImageFile

CALM, GRAVE = "Today was long.", "I want to end my life tonight"
FAKES = "affectgraph.orchestrator.testing"
STAGED = {"backend": f"{FAKES}.backend:ScriptedBackend"}

SLOTS: Mapping[str, Mapping[str, Any]] = {
    "text": {"perceivers": [{"noting:Perceiver": "text"}]},
    "face": {"perceivers": [{"noting:Perceiver": "face"}]},
    "speech": {"perceivers": [{"noting:Perceiver": "speech"}]},
    "detector": {"perceivers": [{"face.ferplus.v1": {"detector": "noting:Detector"}}]},
    "fusion": {"fusion": "noting:Fusion"},
    "encoder": {"encoder": "noting:Encoder", "memory": "noting:Recalling"},
    "memory": {"memory": "noting:Memory"},
    "recall": {"memory": {"chroma.v1": {"path": "memory", "recall": "noting:Recall"}}},
    "reasoner": {"reasoner": "noting:Reasoner"},
    "backend": {"reasoner": {"smes.joint.v1": {"backend": "noting:Model"}}},
    "head": {"reasoner": {"smes.joint.v1": {**STAGED, "heads": ["noting:Head"]}}},
    "history": {"reasoner": {"smes.joint.v1": {**STAGED, "history": "noting:History"}}},
    **{
        stage: {"reasoner": {"smes.staged.v1": {**STAGED, stage: {"noting:Stage": stage}}}}
        for stage in ("user_emotion", "strategy", "system_emotion")
    },
    "response": {"reasoner": {"smes.staged.v1": {**STAGED, "response": "noting:Response"}}},
    "consent": {"policies": {"consent": "noting:Consent"}},
    "disclosure": {"policies": {"disclosure": "noting:Disclosure"}},
    "triage": {"policies": {"triage": "noting:Triage"}},
    "responder": {"policies": {"responder": {"noting:Responder": "US"}}},
    "output": {"policies": {"output": ["noting:Output"]}},
    "threads": {"threads": "noting:Threads"},
}

# Of the agent as it ships: a node that is added to it must be swappable too.
NODES = [node.name for node in support_nodes(default_parts(Settings()))]


def take(text: str, changes: Mapping[str, Any], folder: Path, said: str) -> Reply:
    """One turn of an agent whose spec has these changes."""
    Image.new("RGB", (64, 64), "grey").save(folder / "photo.png")
    with wave.open(str(folder / "note.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.zeros(1600, "<i2").tobytes())
    whole = yaml.safe_dump({**yaml.safe_load(text), **changes}, sort_keys=False)
    built = parse_spec(whole, folder=folder).build()
    turn = Turn(
        text=said,
        images=(ImageFile(folder / "photo.png"),),
        audio=AudioFile(folder / "note.wav"),
        consent=Consent(camera=True, microphone=True, memory=True),
    )

    async def respond() -> Reply:
        async with Agent(built.parts, threads=built.threads, on_busy=built.on_busy) as agent:
            return await agent.respond(turn)

    return asyncio.run(respond())


@pytest.mark.parametrize("slot", SLOTS)
def test_a_slot_is_swapped(slot: str, agent_yaml: str, ran: list[str], tmp_path: Path) -> None:
    said = GRAVE if slot == "responder" else CALM
    changes = SLOTS[slot]
    take(agent_yaml, changes, tmp_path, said)
    if slot == "recall":
        # A record must be there before a strategy has anything to rank.
        take(agent_yaml, changes, tmp_path, said)
    assert slot in ran


@pytest.mark.parametrize("node", NODES)
def test_a_node_is_swapped(node: str, agent_yaml: str, ran: list[str], tmp_path: Path) -> None:
    said = GRAVE if node == "crisis" else CALM
    reply = take(agent_yaml, {"nodes": {node: {"noting:noting": node}}}, tmp_path, said)
    assert f"node {node}" in ran
    assert reply.left_out == ()


def test_without_a_swap_nothing_is_noted(agent_yaml: str, ran: list[str], tmp_path: Path) -> None:
    reply = take(agent_yaml, {}, tmp_path, CALM)
    assert ran == []
    assert reply.source == "reasoner"


def test_the_slots_are_all_of_them() -> None:
    from affectgraph.orchestrator.registry import KINDS

    elsewhere = {"perceiver", "embedder", "stage", "transcriber", "node"}
    assert {kind for kind in KINDS if kind not in elsewhere} <= set(SLOTS)
