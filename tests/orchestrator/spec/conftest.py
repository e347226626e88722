"""What the tests of specs share: an agent of fakes, and parts that note that they ran."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PARTS = '''
"""Parts that note that they ran."""

import dataclasses
import functools
import inspect

from affectgraph.memory.contracts import Embedder
from affectgraph.memory.recall import ByMeaning
from affectgraph.orchestrator.graph import support_nodes
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.orchestrator.testing.fakes import (
    FakePerceiver,
    FakeTextPerceiver,
    HashEmbedder,
    ListMemory,
)
from affectgraph.orchestrator.testing.history import FakeHistory
from affectgraph.orchestrator.testing.reasoner import ScriptedHead, ScriptedReasoner
from affectgraph.orchestrator.threads import MemoryThreads
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.fusion import LateFusion
from affectgraph.perceivers.labels import MESC_7
from affectgraph.policies.consent import ConsentPolicy
from affectgraph.policies.crisis import CrisisResponder
from affectgraph.policies.disclosure import DisclosurePolicy
from affectgraph.policies.output import EchoPolicy
from affectgraph.policies.triage import RiskTriage
from affectgraph.reasoners.contracts import Backend
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.prompts import Prompts
from affectgraph.reasoners.taxonomy import MESC_10

RAN = []


class Perceiver(FakePerceiver):
    async def perceive(self, turn):
        RAN.append(self.modality)
        return await super().perceive(turn)


class Fusion(LateFusion):
    async def fuse(self, readings):
        RAN.append("fusion")
        return await super().fuse(readings)


class Encoder(HashEmbedder):
    async def embed(self, texts):
        RAN.append("encoder")
        return await super().embed(texts)


class Detector:
    def load(self):
        pass

    def detect(self, pixels):
        RAN.append("detector")
        return []


class Memory(ListMemory):
    async def recall(self, cue):
        RAN.append("memory")
        return await super().recall(cue)


class Recalling(ListMemory):
    """A memory that uses the shared encoder, which it names by its type alone."""

    def __init__(self, embedder: Embedder):
        super().__init__()
        self.embedder = embedder

    async def recall(self, cue):
        await self.embedder.embed([cue.text])
        return await super().recall(cue)


class Recall(ByMeaning):
    def rank(self, cue, candidates):
        RAN.append("recall")
        return super().rank(cue, candidates)


class Reasoner(ScriptedReasoner):
    async def reason(self, context):
        RAN.append("reasoner")
        async for item in super().reason(context):
            yield item


class Model(ScriptedBackend):
    async def stream_joint(self, messages, form, sampling):
        RAN.append("backend")
        async for item in super().stream_joint(messages, form, sampling):
            yield item


class Head(ScriptedHead):
    async def read(self, context):
        RAN.append("head")
        return await super().read(context)


class History(FakeHistory):
    async def compress(self, history, tools):
        RAN.append("history")
        return await super().compress(history, tools)


class Stage:
    """A label stage that is given the reasoner's backend and prompts."""

    def __init__(self, stage: str, backend: Backend, prompts: Prompts):
        self.stage = stage
        self.backend, self.prompts = backend, prompts

    async def decide(self, context):
        RAN.append(self.stage)
        labels = MESC_10 if self.stage == "strategy" else MESC_7
        label = "Open questions" if self.stage == "strategy" else "neutral"
        told = Distribution.certain(labels, label)
        return Decision(stage=self.stage, distribution=told, label=label, source="mine")


class Response:
    async def respond(self, context):
        RAN.append("response")
        yield "I am here. "


class Consent(ConsentPolicy):
    def review(self, subject):
        RAN.append("consent")
        return super().review(subject)


class Disclosure(DisclosurePolicy):
    def notices(self, *args, **kwargs):
        RAN.append("disclosure")
        return super().notices(*args, **kwargs)


class Triage(RiskTriage):
    def assess(self, text):
        RAN.append("triage")
        return super().assess(text)


class Responder(CrisisResponder):
    def respond(self, assessment, shown=()):
        RAN.append("responder")
        return super().respond(assessment, shown)


class Output(EchoPolicy):
    def review(self, subject):
        RAN.append("output")
        return super().review(subject)


class Threads(MemoryThreads):
    async def open(self):
        RAN.append("threads")
        return await super().open()


def noting(node: str, parts: Parts) -> Node:
    """The graph's own node, and a note that it ran."""
    own = next(each for each in support_nodes(parts) if each.name == node)
    body = own.body
    if inspect.iscoroutinefunction(body):

        @functools.wraps(body)
        async def noted(*args, **kwargs):
            RAN.append(f"node {node}")
            return await body(*args, **kwargs)

    else:

        @functools.wraps(body)
        def noted(*args, **kwargs):
            RAN.append(f"node {node}")
            return body(*args, **kwargs)

    return dataclasses.replace(own, body=noted, name="whatever")
'''

FAKES = "affectgraph.orchestrator.testing"

AGENT = f"""
agent: affectgraph/v1
imports: [affectgraph, noting]
perceivers:
  - {FAKES}.fakes:FakeTextPerceiver
  - {FAKES}.fakes:FakePerceiver: face
  - {FAKES}.fakes:FakePerceiver: speech
encoder: {FAKES}.fakes:HashEmbedder
memory: {FAKES}.fakes:ListMemory
reasoner: {FAKES}.reasoner:ScriptedReasoner
threads: null
"""
"""An agent that needs no model; what it leaves out is as in the default agent."""


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Make the module ``noting`` importable; gives what ran, in order."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "noting.py").write_text(PARTS)
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()
    yield importlib.import_module("noting").RAN
    sys.modules.pop("noting", None)


@pytest.fixture
def agent_yaml() -> str:
    """An agent of fakes."""
    return AGENT
