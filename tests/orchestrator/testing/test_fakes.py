"""The fakes do what they are told to, and go wrong as they are told to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from affectgraph.memory.contracts import Embedder, Memory
from affectgraph.memory.record import Cue, MemoryRecord
from affectgraph.orchestrator import Agent, Parts, Safety
from affectgraph.orchestrator.testing import (
    FakeConsent,
    FakeDisclosure,
    FakeFusion,
    FakeOutput,
    FakePerceiver,
    FakeResponder,
    FakeTextPerceiver,
    FakeTriage,
    HashEmbedder,
    ListMemory,
    ScriptedBackend,
    ScriptedReasoner,
    ScriptedResponse,
    ScriptedStage,
    WrongType,
    faults,
    scripted_staged,
)
from affectgraph.orchestrator.testing.faults import Fault
from affectgraph.perceivers.contracts import Fusion, Perceiver, TextReader
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.perceivers.turn import Consent, Turn
from affectgraph.policies.consent import ConsentRequest
from affectgraph.policies.contracts import Disclosure, Policy, Responder, Sentence, Triage
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import (
    Backend,
    JointReasoner,
    LabelStage,
    Message,
    ResponseStage,
    Sampling,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)
TURN = Turn(text="hello", at=AT)
CONTEXT = ReasoningContext(utterance="hello")
CUE = Cue(user="ana", text="hello")
SENTENCE = Sentence(text="I hear you. ", before="", utterance="hello")
REQUEST = ConsentRequest(consent=Consent(), modality="text")
RECORD = MemoryRecord(id="1", user="ana", thread="t", text="hello", at=AT)
PROMPT = (Message(role="user", content="hello"),)


@pytest.mark.parametrize(
    ("fake", "contract"),
    [
        (FakePerceiver("face"), Perceiver),
        (FakeTextPerceiver(), TextReader),
        (FakeFusion(), Fusion),
        (HashEmbedder(), Embedder),
        (ListMemory(), Memory),
        (ScriptedStage("strategy", "Others"), LabelStage),
        (ScriptedResponse(), ResponseStage),
        (ScriptedReasoner(), JointReasoner),
        (ScriptedBackend(), Backend),
        (FakeConsent(), Policy),
        (FakeOutput(), Policy),
        (FakeDisclosure(), Disclosure),
        (FakeTriage(), Triage),
        (FakeResponder(), Responder),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_there_is_a_fake_of_every_kind(fake: object, contract: type) -> None:
    assert isinstance(fake, contract)


async def _items(stream: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in stream]


CALLS: dict[str, Callable[[Fault | None], Awaitable[Any]]] = {
    "perceiver": lambda fault: FakePerceiver("text", fault=fault).perceive(TURN),
    "text reader": lambda fault: FakeTextPerceiver(fault=fault).read("hello", AT),
    "fusion": lambda fault: FakeFusion(fault=fault).fuse([]),
    "embedder": lambda fault: HashEmbedder(fault=fault).embed(["hello"]),
    "memory": lambda fault: ListMemory(fault=fault).recall(CUE),
    "label stage": lambda fault: ScriptedStage("strategy", "Others", fault=fault).decide(CONTEXT),
    "response stage": lambda fault: _items(ScriptedResponse(fault=fault).respond(CONTEXT)),
    "joint reasoner": lambda fault: _items(ScriptedReasoner(fault=fault).reason(CONTEXT)),
    "backend": lambda fault: ScriptedBackend(fault=fault).choose(PROMPT, MESC_7),
    "stream": lambda fault: _items(ScriptedBackend(fault=fault).stream(PROMPT, Sampling())),
    "triage": lambda fault: asyncio.to_thread(FakeTriage(fault=fault).assess, "hello"),
}


@pytest.mark.parametrize("kind", CALLS)
async def test_a_fake_can_fail(kind: str) -> None:
    with pytest.raises((RuntimeError, BackendError), match="made to fail"):
        await CALLS[kind]("fails")


@pytest.mark.parametrize("kind", [kind for kind in CALLS if kind != "triage"])
async def test_a_fake_can_hang_and_be_cancelled(kind: str) -> None:
    task = asyncio.ensure_future(CALLS[kind]("hangs"))
    done, _ = await asyncio.wait([task], timeout=0.05)
    assert not done
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("kind", CALLS)
async def test_a_fake_can_give_a_wrong_type(kind: str) -> None:
    given = await CALLS[kind]("wrong type")
    items = given if isinstance(given, list) else [given]
    assert any(isinstance(item, WrongType) for item in items)


@pytest.mark.parametrize("kind", [kind for kind in CALLS if kind != "fusion"])
async def test_a_slow_fake_takes_longer_and_then_answers(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    monkeypatch.setattr(time, "sleep", waited.append)
    usual = await CALLS[kind](None)
    quick, waited[:] = sum(waited), []
    slow = await CALLS[kind]("slow")
    assert sum(waited) == pytest.approx(quick * faults.SLOWER)
    assert slow == usual


@pytest.mark.parametrize(
    "call",
    [
        lambda fault: FakeConsent(fault=fault).review(REQUEST),
        lambda fault: FakeOutput(fault=fault).review(SENTENCE),
        lambda fault: FakeDisclosure(fault=fault).notices(AT, None, "", ()),
        lambda fault: FakeResponder(fault=fault).respond(RiskAssessment(level=3)),
    ],
    ids=["consent", "output", "disclosure", "responder"],
)
def test_a_fake_policy_goes_wrong_as_it_is_told_to(call: Callable[[Any], Any]) -> None:
    assert not isinstance(call(None), WrongType)
    assert isinstance(call("wrong type"), WrongType)
    with pytest.raises(RuntimeError, match="made to fail"):
        call("fails")


async def test_a_fault_can_come_after_some_words() -> None:
    words = ScriptedResponse("one two three", fault="fails", after=2).respond(CONTEXT)
    assert [await anext(words), await anext(words)] == ["one", " two"]
    with pytest.raises(BackendError):
        await anext(words)


async def test_one_users_record_does_not_hide_anothers_with_the_same_id() -> None:
    memory = ListMemory(seconds=0)
    for user in ("ana", "ben"):
        await memory.remember(RECORD.model_copy(update={"user": user}))
    assert [record.user for record in memory.records] == ["ana", "ben"]


async def test_a_whole_turn_of_fakes() -> None:
    output = FakeOutput(["child"], replacement="I hear you.")
    safety = Safety(
        consent=FakeConsent(),
        disclosure=FakeDisclosure(["This is a test."]),
        triage=FakeTriage(),
        crisis=FakeResponder(),
        output=(output,),
    )
    parts = Parts(
        perceivers=(FakeTextPerceiver("sadness"),),
        fusion=FakeFusion(),
        memory=ListMemory(),
        reasoner=scripted_staged("As a child I felt it. Go on."),
        safety=safety,
    )
    async with Agent(parts) as agent:
        reply = await agent.respond(Turn(user="ana", text="It was long."))
        assert reply.left_out == ()
        assert reply.notices == ("This is a test.",)
        assert reply.affect is not None
        assert reply.affect.top == "sadness"
        assert "child" not in reply.text
        assert output.reviewed[0].text.strip() == "As a child I felt it."
        risky = await agent.respond(Turn(user="ana", text="I want to kill myself."))
        assert risky.source == "crisis"
        assert "555-0100" in risky.text


def test_importing_the_fakes_loads_no_test_framework_and_no_model() -> None:
    heavy = {"pytest", "hypothesis", "blockbuster", "torch", "chromadb", "onnxruntime"}
    program = (
        "import sys, affectgraph.orchestrator.testing\n"
        f"print(*sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_the_suites_need_no_test_framework_either() -> None:
    program = (
        "import sys\nfrom affectgraph.orchestrator.testing import conformance\n"
        "print('pytest' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
