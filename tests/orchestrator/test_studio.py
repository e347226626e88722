"""The graph that LangGraph's own tools are given, in this process."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, Send

from affectgraph.orchestrator import Agent, Limits, Parts
from affectgraph.orchestrator.handoff import HandOff
from affectgraph.orchestrator.studio import (
    NODE,
    GraphFactory,
    RefusedTurnError,
    conversation,
    served_parts,
)
from affectgraph.orchestrator.testing.fakes import FakeTextPerceiver, ListMemory
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.reasoners.context import Exchange


def parts(reasoner: ScriptedReasoner, memory: ListMemory | None = None) -> Parts:
    return Parts(perceivers=(FakeTextPerceiver("sadness"),), reasoner=reasoner, memory=memory)


def graph_over(made: Parts, *, saved: bool = True) -> Any:
    return conversation(Agent(made)).compile(checkpointer=InMemorySaver() if saved else None)


def on(thread: str, **configurable: object) -> Any:
    return {"configurable": {"thread_id": thread, **configurable}}


class SignedIn:
    """What the server puts where a client's JSON cannot: an object."""

    def __init__(self, identity: str) -> None:
        self.identity = identity


async def test_events_and_reply_are_json_and_the_last_event_is_the_reply() -> None:
    graph = graph_over(parts(ScriptedReasoner("I hear you. What happened?")))
    events = [
        event
        async for event in graph.astream({"text": "A long day."}, on("one"), stream_mode="custom")
    ]
    assert json.loads(json.dumps(events)) == events
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "noticed"
    assert {"perceived", "assessed", "decided", "token"} < set(kinds)
    assert kinds[-1] == "done"
    reply = events[-1]["reply"]
    assert reply["text"] == "I hear you. What happened?"
    assert reply["strategy"]["label"] == "Open questions"
    assert reply["risk"]["level"] == 0
    assert (await graph.aget_state(on("one"))).values["reply"] == reply


async def test_the_second_turn_knows_the_first_and_another_thread_does_not() -> None:
    reasoner = ScriptedReasoner()
    graph = graph_over(parts(reasoner))
    for thread, text in (("one", "My cat is ill."), ("one", "She will not eat."), ("two", "Hi.")):
        await graph.ainvoke({"text": text}, on(thread))
    assert [[past.said for past in seen.history] for seen in reasoner.contexts] == [
        [],
        ["My cat is ill."],
        [],
    ]
    assert isinstance(reasoner.contexts[1].history[0], Exchange)


async def test_nothing_is_kept_without_consent_and_consent_is_given_for_one_turn() -> None:
    memory = ListMemory()
    graph = graph_over(parts(ScriptedReasoner(), memory))
    await graph.ainvoke({"text": "one"}, on("t"))
    await graph.ainvoke({"text": "two", "consent": {"memory": True}}, on("t"))
    await graph.ainvoke({"text": "three"}, on("t"))
    assert [record.text for record in memory.records] == ["two"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"text": "see", "images": ["/etc/hostname"]}, "images: photos and voice notes are not"),
        ({"text": "see", "images": []}, "images: photos and voice notes are not"),
        ({"text": "hear", "audio": "/etc/hostname"}, "audio: photos and voice notes are not"),
        ({"text": "hello", "user": "ana"}, "user: who speaks is not for the input to say"),
        ({"text": ""}, "the message is empty"),
        ({"consent": {"memory": True}}, "the message is empty"),
        ({"text": 5}, "text: Input should be a valid string"),
        ({"text": "long " * 5_000}, "text: the message has 25,000 characters"),
        ({"text": "hello", "consent": {"memory": "yes"}}, "consent.memory: Input should be"),
        ({"text": "hello", "consent": {"all": True}}, "consent.all: Extra inputs"),
    ],
)
async def test_what_a_client_may_not_send_is_refused_and_leaves_the_thread_as_it_was(
    said: dict[str, object], why: str
) -> None:
    reasoner = ScriptedReasoner()
    graph = graph_over(parts(reasoner))
    await graph.ainvoke({"text": "one"}, on("t"))
    with pytest.raises(RefusedTurnError) as refused:
        await graph.ainvoke(said, on("t"))
    assert str(refused.value).startswith(why)
    assert "long long" not in str(refused.value)
    await graph.ainvoke({"text": "two"}, on("t"))
    assert [[past.said for past in seen.history] for seen in reasoner.contexts] == [[], ["one"]]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"text": "two", "images": ["/etc/hostname"]}, "images: photos"),
        ({"text": "two", "turn": {"user": "ana", "text": "two"}}, "turn: Extra inputs"),
        # A sound one takes no turn either, rather than tell the old reply again.
        ({"text": "two"}, "no turn was taken: send it as the run's input"),
    ],
)
async def test_a_command_goes_through_the_same_checks(said: dict[str, object], why: str) -> None:
    reasoner = ScriptedReasoner()
    graph = graph_over(parts(reasoner))
    await graph.ainvoke({"text": "one"}, on("t"))
    # What the server passes on of a command, and the mark that LangGraph resumes.
    with pytest.raises(RefusedTurnError, match=why):
        await graph.ainvoke(Command(goto=Send(NODE, said)), on("t", __pregel_resuming=True))
    assert len(reasoner.contexts) == 1


async def test_memory_is_the_signed_in_persons_and_no_one_can_claim_it() -> None:
    reasoner, memory = ScriptedReasoner(), ListMemory()
    graph = graph_over(parts(reasoner, memory))

    async def say(text: str, thread: str, **configurable: object) -> int:
        said = {"text": text, "consent": {"memory": True}}
        reply = (await graph.ainvoke(said, on(thread, **configurable)))["reply"]
        return len(reply["recalled"])

    ana, ben = SignedIn("ana"), SignedIn("ben")
    assert await say("My cat is ill.", "one", langgraph_auth_user=ana) == 0
    assert await say("My cat is ill.", "two", langgraph_auth_user=ana) == 1
    assert await say("My cat is ill.", "three", langgraph_auth_user=ben) == 0
    # Claims: by JSON in the place of the server's object, by name, by a thread called like her.
    assert await say("My cat is ill.", "four", langgraph_auth_user={"identity": "ana"}) == 0
    assert await say("My cat is ill.", "five", langgraph_auth_user_id="ana", user_id="ana") == 0
    assert await say("My cat is ill.", "signed-in:ana") == 0
    assert await say("My cat is ill.", "ana") == 0
    assert await say("My cat is ill.", "six", langgraph_auth_user=SignedIn("thread:one")) == 0
    # A name too long for a turn still is one person's.
    assert await say("My dog ran.", "seven", langgraph_auth_user=SignedIn("x" * 300)) == 0
    assert await say("My dog ran.", "eight", langgraph_auth_user=SignedIn("x" * 300)) == 1
    assert await say("My dog ran.", "nine", langgraph_auth_user=SignedIn("x" * 299)) == 0


async def test_a_run_that_no_one_can_come_back_to_is_not_remembered() -> None:
    memory = ListMemory()
    graph = graph_over(parts(ScriptedReasoner(), memory), saved=False)
    said = {"text": "one", "consent": {"memory": True}}
    told = await graph.ainvoke(said, on("t"))
    assert told["reply"]["remembered"] is None
    assert memory.records == []
    await graph.ainvoke(said, on("t", langgraph_auth_user=SignedIn("ana")))
    assert [record.user for record in memory.records] == ["signed-in:ana"]


async def kinds_of(graph: Any, given: object, config: Any) -> list[str]:
    return [event["kind"] async for event in graph.astream(given, config, stream_mode="custom")]


CRISIS = {"text": "I want to end my life tonight"}


async def test_a_turn_waits_for_a_person_and_goes_on_with_the_answer() -> None:
    reasoner = ScriptedReasoner()
    graph = graph_over(replace(parts(reasoner), hand_off=HandOff()))
    kinds = await kinds_of(graph, CRISIS, on("t"))
    assert kinds[-1] == "handed-off"
    assert "done" not in kinds
    (asked,) = (await graph.aget_state(on("t"))).interrupts
    assert asked.value["utterance"] == CRISIS["text"]
    answer = {"action": "reply", "text": "This is Mia. I am with you.", "author": "mia"}
    told = await graph.ainvoke(Command(resume=answer), on("t"))
    assert told["reply"]["source"] == "human"
    assert told["reply"]["text"].endswith("This is Mia. I am with you.")
    await graph.ainvoke({"text": "Thank you."}, on("t"))
    (past,) = reasoner.contexts[0].history
    assert past.said == CRISIS["text"]
    assert past.replied == told["reply"]["text"]
    assert not past.interrupted


async def test_after_an_answer_in_no_known_form_the_turn_is_asked_about_again() -> None:
    graph = graph_over(replace(parts(ScriptedReasoner()), hand_off=HandOff()))
    await graph.ainvoke(CRISIS, on("t"))
    kinds = await kinds_of(graph, Command(resume={"words": "hello"}), on("t"))
    assert kinds == ["handed-off"]
    answer = {"text": "This is Mia.", "author": "mia"}
    told = await graph.ainvoke(Command(resume=answer), on("t"))
    assert told["reply"]["text"].endswith("This is Mia.")


async def test_a_person_who_writes_again_no_longer_waits_and_nothing_is_forgotten() -> None:
    reasoner = ScriptedReasoner()
    graph = graph_over(replace(parts(reasoner), hand_off=HandOff()))
    await graph.ainvoke(CRISIS, on("t"))
    kinds = await kinds_of(graph, {"text": "Are you there?"}, on("t"))
    assert kinds[0] == "perceived"
    assert kinds[-1] == "done"
    assert "omitted" not in kinds
    await graph.ainvoke({"text": "All right."}, on("t"))
    said = [[past.said for past in seen.history] for seen in reasoner.contexts]
    assert said == [[CRISIS["text"]], [CRISIS["text"], "Are you there?"]]
    assert "findahelpline.com" in reasoner.contexts[0].history[0].replied


async def test_a_cancelled_run_stops_the_model_and_keeps_what_was_said() -> None:
    reasoner = ScriptedReasoner("I hear you. It is a lot at once.", fault="hangs", after=4)
    graph = graph_over(replace(parts(reasoner), limits=Limits(respond=60)))
    spoken = asyncio.Event()

    async def listen() -> None:
        async for event in graph.astream({"text": "one"}, on("t"), stream_mode="custom"):
            if event["kind"] == "token":
                spoken.set()

    listening = asyncio.create_task(listen())
    await spoken.wait()
    listening.cancel()
    await asyncio.wait([listening])
    assert listening.cancelled()
    assert reasoner.closed == 1
    reasoner._fault = None
    await graph.ainvoke({"text": "two"}, on("t"))
    (past,) = reasoner.contexts[1].history
    assert (past.said, past.replied.strip(), past.interrupted) == ("one", "I hear you.", True)


async def test_the_support_graph_is_shown_inside() -> None:
    drawn = graph_over(parts(ScriptedReasoner())).get_graph(xray=True).draw_mermaid()
    assert "triage" in drawn
    assert "crisis" in drawn


async def test_a_factory_makes_its_graph_once() -> None:
    made: list[Parts] = []

    def make() -> Parts:
        made.append(parts(ScriptedReasoner()))
        return made[-1]

    factory = GraphFactory(make)
    assert await factory() is await factory()
    assert len(made) == 1


def test_the_default_agent_is_served_unless_a_spec_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AFFECTGRAPH_SPEC", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert {p.modality for p in served_parts().perceivers} == {"text", "face", "speech"}


def test_a_spec_can_be_named_in_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = tmp_path / "agent.yaml"
    spec.write_text("agent: affectgraph/v1\nperceivers: [text.minilm.v1]\nmemory: null\n")
    monkeypatch.setenv("AFFECTGRAPH_SPEC", str(spec))
    made = served_parts()
    assert [perceiver.modality for perceiver in made.perceivers] == ["text"]
    assert made.memory is None
