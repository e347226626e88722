"""What becomes of a second message while a turn runs, and of a turn that is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from affectgraph.memory.record import MemoryRecord
from affectgraph.orchestrator import (
    Agent,
    BusyError,
    Consent,
    HandOff,
    Limits,
    MemoryThreads,
    Parts,
    Safety,
    Turn,
)
from affectgraph.orchestrator.events import Done, Event, Failed
from affectgraph.orchestrator.sessions import OnBusy
from affectgraph.orchestrator.testing.fakes import ListMemory
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.orchestrator.threads import OpenTurn
from affectgraph.perceivers.errors import InputError
from affectgraph.policies.crisis import CrisisResponder
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import Decision

LONG = " ".join(f"This is sentence number {n}." for n in range(12))


def talking(
    on_busy: OnBusy = "enqueue", *, pace: float = 0.004, memory: ListMemory | None = None
) -> tuple[Agent, ScriptedReasoner]:
    reasoner = ScriptedReasoner(LONG, seconds_per_word=pace)
    return Agent(Parts(perceivers=(), reasoner=reasoner, memory=memory), on_busy=on_busy), reasoner


def turn(text: str, thread: str = "t") -> Turn:
    return Turn(user="ana", thread=thread, text=text, consent=Consent(memory=True))


async def read(
    agent: Agent, one: Turn, *, until: Callable[[Event], bool] = lambda _: False
) -> list[Event]:
    found = []
    async with aclosing(agent.stream(one)) as events:
        async for event in events:
            found.append(event)
            if until(event):
                break
    return found


def said(events: list[Event]) -> str:
    return "".join(event.spoken for event in events)


def history_seen(reasoner: ScriptedReasoner) -> tuple[Exchange, ...]:
    return reasoner.contexts[-1].history


async def test_events_are_numbered_without_gaps_and_end_with_done() -> None:
    agent, _ = talking()
    events = await read(agent, turn("hello"))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[-1].kind == "done"
    again = await read(agent, turn("hello again"))
    assert again[0].seq == 1


async def test_enqueue_takes_one_after_the_other() -> None:
    agent, reasoner = talking(pace=0.0005)
    first, second = await asyncio.gather(agent.respond(turn("one")), agent.respond(turn("two")))
    assert not first.interrupted
    assert not second.interrupted
    assert [e.said for e in history_seen(reasoner)] == ["one"]


async def test_reject_refuses_the_second_and_harms_nothing() -> None:
    agent, reasoner = talking("reject")
    running = asyncio.create_task(agent.respond(turn("one")))
    await asyncio.sleep(0.05)
    with pytest.raises(BusyError, match="thread 't' is still busy"):
        await agent.respond(turn("two"))
    # Another thread is another matter.
    other = await agent.respond(turn("three", "elsewhere"))
    assert other.source == "reasoner"
    assert (await running).source == "reasoner"
    await agent.respond(turn("four"))
    assert [e.said for e in history_seen(reasoner)] == ["one"]


async def test_a_refused_turn_fails_as_an_event_before_it_raises() -> None:
    agent, _ = talking("reject")
    running = asyncio.create_task(agent.respond(turn("one")))
    await asyncio.sleep(0.05)
    events: list[Event] = []

    async def reading() -> None:
        async for event in agent.stream(turn("two")):
            events.append(event)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(InputError):
        await reading()
    (failed,) = events
    assert isinstance(failed, Failed)
    assert failed.error == "BusyError"
    await running


async def test_a_store_that_fails_at_the_end_loses_no_turn() -> None:
    class Full(MemoryThreads):
        """Has no room for a checkpoint, once."""

        async def open(self) -> None:
            await super().open()
            saver = self.saver
            put, full = saver.aput, True

            async def aput(*arguments: Any) -> Any:
                nonlocal full
                if full:
                    full = False
                    raise OSError("no space left on device")
                return await put(*arguments)

            saver.aput = aput  # type: ignore[method-assign,assignment]

    reasoner = ScriptedReasoner("All right.")
    agent = Agent(Parts(perceivers=(), reasoner=reasoner), threads=Full())
    events: list[Event] = []

    async def reading() -> None:
        async for event in agent.stream(turn("one")):
            events.append(event)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(OSError, match="no space"):
        await reading()
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.detail == "OSError"
    await agent.respond(turn("two"))
    (exchange,) = history_seen(reasoner)
    assert (exchange.said, exchange.replied) == ("one", "All right.")


async def test_interrupt_stops_the_model_and_keeps_what_was_received() -> None:
    agent, reasoner = talking("interrupt")
    running = asyncio.create_task(read(agent, turn("one")))
    await asyncio.sleep(0.12)
    second = asyncio.create_task(agent.respond(turn("two")))
    first = await running
    done = first[-1]
    assert isinstance(done, Done)
    assert done.reply.interrupted
    assert 0 < len(said(first)) < len(LONG)
    assert done.reply.text == said(first)
    await second
    (exchange,) = history_seen(reasoner)
    assert exchange.replied == said(first)
    assert exchange.interrupted
    assert reasoner.closed >= 1


async def test_interrupt_lets_the_newest_of_several_win() -> None:
    agent, reasoner = talking("interrupt")
    tasks = []
    for text in ("one", "two", "three"):
        tasks.append(asyncio.create_task(agent.respond(turn(text))))
        await asyncio.sleep(0.03)
    replies = await asyncio.gather(*tasks)
    assert [reply.interrupted for reply in replies] == [True, True, False]
    assert replies[-1].text.strip() == LONG
    assert [e.said for e in history_seen(reasoner)] == ["one", "two"]


@pytest.mark.parametrize("moment", ["noticed", "fused", "decided", "token"])
async def test_leaving_at_any_moment_leaves_the_thread_usable(moment: str) -> None:
    memory = ListMemory()
    agent, reasoner = talking(memory=memory)
    events = await read(agent, turn("one"), until=lambda event: event.kind == moment)
    await agent.respond(turn("two"))
    (exchange,) = history_seen(reasoner)
    assert exchange.said == "one"
    assert exchange.replied == said(events)
    assert exchange.interrupted
    assert [record.text for record in memory.records] == ["one", "two"]
    assert memory.records[0].reply == said(events)


async def test_cancelling_the_caller_is_leaving() -> None:
    agent, reasoner = talking()
    events: list[Event] = []

    async def reading() -> None:
        async with aclosing(agent.stream(turn("one"))) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before the end counts

    task = asyncio.create_task(reading())
    await asyncio.sleep(0.12)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert said(events)
    assert reasoner.closed == 1
    await agent.respond(turn("two"))
    assert history_seen(reasoner)[0].replied == said(events)


async def test_what_was_generated_but_not_received_is_kept_apart() -> None:
    agent, _ = talking(pace=0.0)
    received = ""
    async with aclosing(agent.stream(turn("one"))) as events:
        async for event in events:
            received += event.spoken
            if event.kind == "token":
                # A slow voice: the model is done long before the second sentence is heard.
                await asyncio.sleep(0.1)
                if received.count(".") == 2:
                    break
    (moment, *_) = await agent.timeline.moments("ana", "t")
    (exchange,) = moment.history
    assert exchange.replied == received
    assert exchange.replied.count(".") == 2
    assert exchange.interrupted


async def test_memory_is_written_after_the_reply_was_received() -> None:
    memory, received = ListMemory(), ""
    agent, _ = talking(pace=0.0, memory=memory)
    async with aclosing(agent.stream(turn("one"))) as events:
        async for event in events:
            if event.kind == "token":
                await asyncio.sleep(0.01)
                received += event.spoken
                assert (memory.records == []) == (received.strip() != LONG)
    assert len(memory.records) == 1


async def test_a_reader_that_falls_silent_does_not_hold_the_thread_for_ever() -> None:
    reasoner = ScriptedReasoner("One. Two. Three.", seconds_per_word=0)
    limits = Limits(deliver=0.05)
    agent = Agent(Parts(perceivers=(), reasoner=reasoner, limits=limits))
    async with aclosing(agent.stream(turn("one"))) as events:
        async for event in events:
            if event.kind == "token":
                await asyncio.sleep(0.3)
            last = event
    assert isinstance(last, Done)
    assert last.reply.interrupted
    assert last.reply.text.strip() == "One."


async def test_many_people_at_once_share_nothing() -> None:
    reasoner = ScriptedReasoner("All right.", seconds_per_word=0.0005)
    agent = Agent(Parts(perceivers=(), reasoner=reasoner))

    async def conversation(name: str) -> None:
        for n in range(4):
            await agent.respond(Turn(user=name, thread="t", text=f"{name} says {n}"))

    await asyncio.gather(*(conversation(f"user{n}") for n in range(20)))
    assert len(reasoner.contexts) == 80
    for context in reasoner.contexts:
        name = context.utterance.split()[0]
        assert [e.said for e in context.history] == [
            f"{name} says {n}" for n in range(len(context.history))
        ]


RISKY = "I want to end my life tonight"


def guarded(on_busy: OnBusy = "interrupt") -> tuple[Agent, ScriptedReasoner]:
    reasoner = ScriptedReasoner(LONG, seconds_per_word=0.004)
    safety = Safety(crisis=CrisisResponder("US"))
    return Agent(Parts(perceivers=(), reasoner=reasoner, safety=safety), on_busy=on_busy), reasoner


async def test_another_message_does_not_keep_crisis_words_back() -> None:
    agent, _ = guarded()
    tasks = []
    for text in (RISKY, "sorry", "the sun came out"):
        tasks.append(asyncio.create_task(read(agent, turn(text))))
        await asyncio.sleep(0)
    first, *_ = await asyncio.gather(*tasks)
    assert "988" in said(first)


@pytest.mark.parametrize("moment", ["noticed", "assessed"])
async def test_crisis_words_that_nobody_received_are_owed(moment: str) -> None:
    agent, _ = guarded("enqueue")
    left = await read(agent, turn(RISKY), until=lambda event: event.kind == moment)
    assert said(left) == ""
    reply = await agent.respond(turn("Anyway."))
    assert reply.source == "crisis"
    assert "988" in reply.text
    assert (await agent.respond(turn("The sun came out."))).source == "reasoner"


async def test_stopping_twice_is_stopping_once() -> None:
    class Slow(ScriptedReasoner):
        """Takes its time to stop."""

        async def reason(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
            try:
                async for item in super().reason(context):
                    yield item
            finally:
                await asyncio.sleep(0.05)

    agent = Agent(
        Parts(perceivers=(), reasoner=Slow(LONG, seconds_per_word=0.004)), on_busy="interrupt"
    )
    tasks = []
    for text in ("one", "two", "three"):
        tasks.append(asyncio.create_task(agent.respond(turn(text))))
        await asyncio.sleep(0.1 if text == "one" else 0.02)
    *_, last = await asyncio.gather(*tasks)
    assert not last.interrupted


async def test_a_journal_that_fails_keeps_no_words_back() -> None:
    class Full(MemoryThreads):
        async def delivered(self, turn_id: str, text: str) -> None:
            raise OSError("no space left on device")

    safety = Safety(crisis=CrisisResponder("US"))
    parts = Parts(perceivers=(), reasoner=ScriptedReasoner(), safety=safety)
    assert "988" in (await Agent(parts, threads=Full()).respond(turn(RISKY))).text


async def test_what_is_refused_late_is_only_left_out() -> None:
    class Picky(ListMemory):
        async def remember(self, record: MemoryRecord) -> None:
            raise InputError("not this")

    reasoner = ScriptedReasoner("All right.")
    agent = Agent(Parts(perceivers=(), reasoner=reasoner, memory=Picky()))
    reply = await agent.respond(turn("one"))
    assert [part.node for part in reply.left_out] == ["remember"]
    await agent.respond(turn("two"))
    assert [e.said for e in history_seen(reasoner)] == ["one"]


async def test_forgetting_waits_for_a_turn_and_holds_up_the_next() -> None:
    agent, reasoner = talking(pace=0.001)
    running = asyncio.create_task(agent.respond(turn("secret")))
    await asyncio.sleep(0.02)
    forgetting = asyncio.create_task(agent.forget("ana"))
    await asyncio.sleep(0)
    await asyncio.gather(running, forgetting, agent.respond(turn("hi")))
    await agent.respond(turn("again"))
    assert [e.said for e in history_seen(reasoner)] == ["hi"]


class Gone(MemoryThreads):
    """A store whose server went away."""

    async def begin(self, turn: OpenTurn) -> None:
        raise ConnectionError

    async def open_turns(self, thread: str | None = None) -> Sequence[OpenTurn]:
        raise ConnectionError


@pytest.mark.parametrize("text", [RISKY, "hello"])
async def test_a_store_that_is_gone_costs_the_past_and_not_the_reply(text: str) -> None:
    safety = Safety(crisis=CrisisResponder("US"))
    parts = Parts(
        perceivers=(), reasoner=ScriptedReasoner("All right."), safety=safety, hand_off=HandOff()
    )
    agent = Agent(parts, threads=Gone())
    events = await read(agent, turn(text))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.reply.text == said(events)
    assert ("988" in done.reply.text) == (text == RISKY)
    assert [(part.node, part.detail) for part in done.reply.left_out] == [
        ("threads", "ConnectionError")
    ]
