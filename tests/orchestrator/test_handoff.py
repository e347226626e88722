"""Turns that wait for a person."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from langgraph.types import Command

from affectgraph.orchestrator import Agent, HandOff, HumanAnswer, MemoryThreads, Parts, Safety, Turn
from affectgraph.orchestrator.events import Done, Event, HandedOff
from affectgraph.orchestrator.graph import support_graph
from affectgraph.orchestrator.handoff import HandOffPacket
from affectgraph.orchestrator.sessions import OnBusy
from affectgraph.orchestrator.testing.fakes import ListMemory
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.perceivers.errors import BuildError, InputError
from affectgraph.policies.crisis import CrisisResponder

RISKY = "I want to end my life tonight"


def parts(
    *, seconds: float = 5.0, level: int = 3, reasoner: ScriptedReasoner | None = None
) -> Parts:
    return Parts(
        perceivers=(),
        reasoner=reasoner or ScriptedReasoner("All right."),
        memory=ListMemory(),
        safety=Safety(crisis=CrisisResponder("US")),
        hand_off=HandOff(level=level, seconds=seconds, fallback="Nobody is free yet."),
    )


def turn(text: str = RISKY) -> Turn:
    return Turn(user="ana", thread="t", text=text)


async def test_a_person_answers_in_the_same_stream() -> None:
    agent = Agent(parts())
    events: list[Event] = []
    async with aclosing(agent.stream(turn())) as stream:
        async for event in stream:
            events.append(event)
            if isinstance(event, HandedOff):
                assert await agent.answer(
                    "ana", "t", HumanAnswer(text="This is Kim. I am here.", author="kim")
                ) is None  # fmt: skip
    kinds = [event.kind for event in events]
    assert kinds.index("token") < kinds.index("handed-off") < kinds.index("done")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    packet = next(event.packet for event in events if isinstance(event, HandedOff))
    assert packet.utterance == RISKY
    assert "988" in packet.delivered
    assert packet.risk.level >= 3
    done = events[-1]
    assert isinstance(done, Done)
    assert done.reply.source == "human"
    assert done.reply.text == f"{packet.delivered}\n\nThis is Kim. I am here."
    (moment, *_) = await agent.timeline.moments("ana", "t")
    assert moment.history[-1].replied == done.reply.text


async def test_without_an_answer_in_time_the_fallback_is_said() -> None:
    reply = await Agent(parts(seconds=0.05)).respond(turn())
    assert reply.source == "fallback"
    assert reply.text.startswith("I'm an AI") or "988" in reply.text
    assert reply.text.endswith("Nobody is free yet.")


async def test_a_release_lets_the_agents_words_stand() -> None:
    agent = Agent(parts())
    async with aclosing(agent.stream(turn())) as stream:
        async for event in stream:
            if isinstance(event, HandedOff):
                await agent.answer("ana", "t", HumanAnswer(action="release", author="kim"))
            last = event
    assert isinstance(last, Done)
    assert last.reply.source == "crisis"
    assert "988" in last.reply.text


async def test_below_its_level_no_person_is_asked() -> None:
    agent = Agent(parts(level=6))
    reply = await agent.respond(turn())
    assert reply.source == "crisis"
    assert (await agent.respond(turn("The sun came out."))).source == "reasoner"


@pytest.mark.parametrize("on_busy", ["enqueue", "interrupt", "reject"])
async def test_who_writes_again_does_not_wait_for_a_person(on_busy: OnBusy) -> None:
    agent = Agent(parts(seconds=60), on_busy=on_busy)
    first = asyncio.create_task(agent.respond(turn()))
    await asyncio.sleep(0.1)
    second = await agent.respond(turn("Are you there? The sun came out."))
    assert second.source == "reasoner"
    assert (await first).source == "crisis"


async def test_an_answer_after_the_reader_left_comes_back_to_who_gave_it() -> None:
    store = MemoryThreads()
    agent = Agent(parts(), threads=store)
    async with aclosing(agent.stream(turn())) as stream:
        async for event in stream:
            if isinstance(event, HandedOff):
                break
    # Another process, as far as the thread can tell.
    later = Agent(parts(), threads=store)
    reply = await later.answer("ana", "t", HumanAnswer(text="I am here now.", author="kim"))
    assert reply is not None
    assert reply.source == "human"
    assert "988" in reply.text
    assert reply.text.endswith("I am here now.")
    with pytest.raises(InputError, match="no turn of thread 't' waits for an answer"):
        await later.answer("ana", "t", HumanAnswer(text="Again.", author="kim"))


async def test_a_hand_off_that_nobody_answers_does_not_hold_the_next_turn() -> None:
    store = MemoryThreads()
    async with aclosing(Agent(parts(), threads=store).stream(turn())) as stream:
        async for event in stream:
            if isinstance(event, HandedOff):
                break
    reasoner = ScriptedReasoner("All right.")
    later = Agent(parts(reasoner=reasoner), threads=store)
    reply = await later.respond(turn("The sun came out."))
    assert reply.source == "reasoner"
    (exchange,) = reasoner.contexts[0].history
    assert exchange.said == RISKY
    assert "988" in exchange.replied


async def test_who_answers_in_another_shape_is_asked_again() -> None:
    store = MemoryThreads()
    await store.open()
    app: Any = support_graph(parts()).compile(checkpointer=store.saver)
    config = {"configurable": {"thread_id": "x"}}
    state = await app.ainvoke({"turn": turn()}, config, durability="exit")
    packet = HandOffPacket.model_validate(state["__interrupt__"][0].value)
    assert packet.user == "ana"
    state = await app.ainvoke(Command(resume={"words": "hello"}), config, durability="exit")
    assert state["__interrupt__"]
    answer = HumanAnswer(text="Hello.", author="kim").model_dump()
    state = await app.ainvoke(Command(resume=answer), config)
    assert state["answer"].source == "human"


def test_a_hand_off_before_the_crisis_responder_has_spoken_cannot_be_asked_for() -> None:
    with pytest.raises(BuildError, match="the crisis responder speaks from level 3 on"):
        HandOff(level=2)
