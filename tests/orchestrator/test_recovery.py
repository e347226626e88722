"""Turns that were lost with their process, and going back in time."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime

import pytest

from affectgraph.orchestrator import Agent, MemoryThreads, Parts, Turn
from affectgraph.orchestrator.events import Done, Event
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.orchestrator.threads import OpenTurn, thread_key
from affectgraph.perceivers.errors import InputError


def agent_over(store: MemoryThreads) -> tuple[Agent, ScriptedReasoner]:
    reasoner = ScriptedReasoner("All right. Go on.")
    return Agent(Parts(perceivers=(), reasoner=reasoner), threads=store), reasoner


def turn(text: str) -> Turn:
    return Turn(user="ana", thread="t", text=text)


async def lose(store: MemoryThreads, lost: Turn, delivered: str = "") -> None:
    """Leave what a process leaves that dies in the midst of a turn."""
    await store.open()
    key = thread_key(lost.user, lost.thread)
    entry = OpenTurn(
        id=lost.id, thread=key, payload=lost.model_dump_json(), begun_at=datetime.now(UTC)
    )
    await store.begin(entry)
    if delivered:
        await store.delivered(lost.id, delivered)


async def resumed(agent: Agent) -> list[Event]:
    async with aclosing(agent.resume("ana", "t")) as events:
        return [event async for event in events]


async def test_a_turn_of_which_nothing_was_delivered_is_taken_again() -> None:
    store = MemoryThreads()
    lost = turn("one")
    await lose(store, lost)
    agent, reasoner = agent_over(store)
    assert await agent.lost("ana") == ("t",)
    assert await agent.lost("ben") == ()
    events = await resumed(agent)
    assert "".join(event.spoken for event in events) == "All right. Go on."
    assert await agent.lost("ana") == ()
    assert await resumed(agent) == []
    await agent.respond(turn("two"))
    assert [e.said for e in reasoner.contexts[-1].history] == ["one"]


async def test_what_was_delivered_is_neither_lost_nor_said_again() -> None:
    store = MemoryThreads()
    await lose(store, turn("one"), "All right. ")
    agent, reasoner = agent_over(store)
    (done,) = await resumed(agent)
    assert isinstance(done, Done)
    assert done.reply.text == "All right. "
    assert done.reply.interrupted
    assert reasoner.contexts == []
    await agent.respond(turn("two"))
    (exchange,) = reasoner.contexts[0].history
    assert (exchange.said, exchange.replied) == ("one", "All right. ")


async def test_the_next_turn_settles_a_lost_one_by_itself() -> None:
    store = MemoryThreads()
    await lose(store, turn("one"), "All right. ")
    agent, reasoner = agent_over(store)
    await agent.respond(turn("two"))
    assert [e.said for e in reasoner.contexts[0].history] == ["one"]
    assert await store.open_turns() == []


async def test_a_turn_that_was_kept_but_not_signed_off_is_not_kept_twice() -> None:
    store = MemoryThreads()
    agent, _ = agent_over(store)
    one = turn("one")
    await agent.respond(one)
    await lose(store, one, "All right. Go on.")
    later, reasoner = agent_over(store)
    await later.respond(turn("two"))
    assert [e.said for e in reasoner.contexts[0].history] == ["one"]


async def test_the_risk_in_a_lost_turn_is_not_lost() -> None:
    store = MemoryThreads()
    await lose(store, turn("I want to end my life tonight"))
    agent, _ = agent_over(store)
    reply = await agent.respond(turn("Anyway. The sun came out."))
    assert "findahelpline.com" in reply.text
    (moment, *_) = await agent.timeline.moments("ana", "t")
    assert moment.risk_level > 0


async def test_a_finished_turn_leaves_no_journal() -> None:
    store = MemoryThreads()
    agent, _ = agent_over(store)
    await agent.respond(turn("one"))
    assert await store.open_turns() == []


async def test_going_back_and_branching_off() -> None:
    store = MemoryThreads()
    agent, reasoner = agent_over(store)
    for text in ("one", "two", "three"):
        await agent.respond(turn(text))
    moments = await agent.timeline.moments("ana", "t")
    assert [[e.said for e in moment.history] for moment in moments] == [
        ["one", "two", "three"],
        ["one", "two"],
        ["one"],
    ]
    await agent.timeline.fork("ana", "t", moments[1].checkpoint, into="other")
    await agent.respond(Turn(user="ana", thread="other", text="four"))
    assert [e.said for e in reasoner.contexts[-1].history] == ["one", "two"]
    await agent.timeline.rewind("ana", "t", moments[2].checkpoint)
    await agent.respond(turn("five"))
    assert [e.said for e in reasoner.contexts[-1].history] == ["one"]


async def test_what_cannot_be_gone_back_to() -> None:
    agent, _ = agent_over(MemoryThreads())
    await agent.respond(turn("one"))
    await agent.respond(Turn(user="ana", thread="other", text="one"))
    (moment, *_) = await agent.timeline.moments("ana", "t")
    with pytest.raises(InputError, match="thread 't' has no checkpoint 'nowhere'"):
        await agent.timeline.rewind("ana", "t", "nowhere")
    with pytest.raises(InputError, match="thread 'other' has begun already"):
        await agent.timeline.fork("ana", "t", moment.checkpoint, into="other")
    with pytest.raises(InputError, match="has no checkpoint"):
        await agent.timeline.fork("ben", "t", moment.checkpoint, into="mine")


async def test_forgetting_a_person_erases_their_threads() -> None:
    store = MemoryThreads()
    agent, reasoner = agent_over(store)
    await agent.respond(turn("one"))
    await agent.respond(Turn(user="ben", thread="t", text="ben says one"))
    await agent.forget("ana")
    assert await agent.timeline.moments("ana", "t") == ()
    await agent.respond(turn("two"))
    assert reasoner.contexts[-1].history == ()
    await agent.respond(Turn(user="ben", thread="t", text="two"))
    assert len(reasoner.contexts[-1].history) == 1


async def test_a_turn_replayed_tells_nobody_that_this_is_an_ai() -> None:
    store = MemoryThreads()
    await lose(store, turn("one"))
    agent, _ = agent_over(store)
    reply = await agent.respond(turn("two"))
    assert any("AI" in notice for notice in reply.notices)


async def test_a_journal_of_another_version_does_not_close_a_thread() -> None:
    store = MemoryThreads()
    await store.open()
    key = thread_key("ana", "t")
    entry = OpenTurn(id="x", thread=key, payload='{"words": 1}', begun_at=datetime.now(UTC))
    await store.begin(entry)
    agent, _ = agent_over(store)
    assert (await agent.respond(turn("two"))).source == "reasoner"
    assert await store.open_turns() == []


async def test_another_process_may_take_up_what_was_lost_after_this_one_opened() -> None:
    store = MemoryThreads()
    agent, reasoner = agent_over(store)
    await agent.open()
    await lose(store, turn("one"), "All right. ")
    await agent.respond(turn("two"))
    assert [e.said for e in reasoner.contexts[0].history] == ["one"]
