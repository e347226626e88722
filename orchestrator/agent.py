"""The agent: one object that takes turns and gives replies."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Self

from langgraph.types import Command

from affectgraph.orchestrator.closing import TIME_IS_UP
from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.events import Done, Event, Failed, HandedOff, Omitted
from affectgraph.orchestrator.graph import SupportGraph, support_graph
from affectgraph.orchestrator.handoff import HandOffPacket, HumanAnswer
from affectgraph.orchestrator.housekeeping import Housekeeping, Retention
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.recovery import Recovery
from affectgraph.orchestrator.reply import Reply
from affectgraph.orchestrator.running import App, Given, GraphRun, Outcome, taking
from affectgraph.orchestrator.sessions import OnBusy, Session, Sessions
from affectgraph.orchestrator.state import LeftOut
from affectgraph.orchestrator.threads import MemoryThreads, OpenTurn, ThreadStore, thread_key
from affectgraph.orchestrator.timeline import Timeline
from affectgraph.orchestrator.warming import CLOSING_SECONDS, Warming
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import (
    AffectGraphError,
    BuildError,
    InputError,
    NodeError,
    SetupError,
)
from affectgraph.perceivers.turn import Turn

log = logging.getLogger(__name__)


class Agent:
    """An emotional support agent over a LangGraph state machine.

    Args:
        parts: Perceivers, fusion, memory, reasoner, policies and time limits.
        threads: Keeps each thread's history; in this process's memory by default.
        on_busy: What becomes of a message that comes while a turn of its thread runs: taken
            afterwards (``enqueue``), in the running turn's place (``interrupt``), or refused with
            ``BusyError`` (``reject``).
        retention: How much of each thread stays in ``threads``.

    Attributes:
        graph: The uncompiled ``StateGraph``: extend it, embed it, compile it yourself.
        timeline: Past states of threads: look back, rewind, fork.
    """

    def __init__(
        self,
        parts: Parts,
        *,
        threads: ThreadStore | None = None,
        on_busy: OnBusy = "enqueue",
        retention: Retention | None = None,
    ) -> None:
        self._parts = parts
        self.graph: SupportGraph = support_graph(parts)
        self._app: App = self.graph.compile()
        self._store = threads or MemoryThreads()
        self.timeline = Timeline(self._app, self._store)
        self._sessions = Sessions(on_busy)
        self._keeping = Housekeeping(self._store, retention or Retention())
        self._recovery = Recovery(self._app, self._store)
        self._warming = Warming(parts)
        self._opening: asyncio.Task[None] | None = None

    @classmethod
    def from_spec(cls, path: str | os.PathLike[str]) -> Self:
        """The agent that a YAML file describes (docs/spec.md).

        Raises:
            BuildError: With every fault of the file, by line.
        """
        from affectgraph.orchestrator.spec import load_spec

        built = load_spec(Path(path)).build()
        return cls(built.parts, threads=built.threads, on_busy=built.on_busy)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the store of the threads. The first turn does this by itself.

        Raises:
            SetupError: If the store cannot be opened.
        """
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        opening = self._opening
        try:
            await asyncio.shield(opening)
        except Exception:
            # What was wrong may be put right: try again with the next turn.
            if self._opening is opening:
                self._opening = None
            raise

    async def _open(self) -> None:
        await self._store.open()
        self._app.checkpointer = self._store.saver
        await self._keeping.begin()

    async def close(self) -> None:
        """Close what the parts hold open; the agent takes no turns afterwards."""
        async with AsyncExitStack() as closing:
            # The last that is named closes first, and each closes though another fails to.
            closing.push_async_callback(self._store.close)
            if self._parts.memory is not None:
                closing.push_async_callback(self._parts.memory.close)
            closing.push_async_callback(self._parts.reasoner.close)
            for perceiver in self._parts.perceivers:
                closing.push_async_callback(_let_go, perceiver)
            if self._opening is not None:
                await asyncio.wait([self._opening])
                closing.push_async_callback(self._keeping.end)
            closing.push_async_callback(self._warming.end)

    async def warm_up(self) -> None:
        """Load all models side by side.

        The first turn does this by itself, beside its own work; wait for it here to keep the
        first turn from waiting.

        Raises:
            AffectGraphError: If a part says what the machine lacks. A part that fails in any
                other way is left to fail, and to be left out, in the turn.
        """
        for failure in await self._warming.begin():
            if isinstance(failure, AffectGraphError):
                raise failure

    async def respond(self, turn: Turn) -> Reply:
        """Take one turn and wait for the whole reply, memory included.

        Raises:
            InputError: If the turn cannot be taken; the thread stays as it was.
        """
        return await _reply_of(self.stream(turn))

    async def stream(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """Take one turn and see it happen: numbered events, ``Done`` or ``Failed`` the last.

        Closing the iterator, or cancelling the task that reads it, stops the turn at once: the
        model too. The thread keeps what was received of the reply and can be used further.

        A store that fails before anything was said costs the turn its past and its place in the
        thread, not its reply: somebody at risk may be waiting for it. ``left_out`` names
        ``threads`` then.

        Raises:
            InputError: If the turn cannot be taken, after ``Failed``; the thread stays as it was.
                ``BusyError`` is one.
            SetupError: If the store cannot be opened, after ``Failed``.
        """
        self._warming.begin()
        numbers = count(1)
        spoken = False
        try:
            await self.open()
            key = thread_key(turn.user, turn.thread)
            async with self._sessions.turn(key, turn.thread) as (session, control):
                await self._recovery.settle(key)
                async with aclosing(self._turn(key, turn, session, control)) as events:
                    async for event in events:
                        spoken = spoken or bool(event.spoken)
                        yield _numbered(event, numbers)
        except Exception as error:
            # Only our own messages are known to be free of user content.
            detail = str(error) if isinstance(error, AffectGraphError) else type(error).__name__
            if spoken or isinstance(error, InputError | SetupError | BuildError):
                yield _numbered(Failed(error=type(error).__name__, detail=detail), numbers)
                raise
            log.error("a turn is taken without its thread: %s", type(error).__name__)
            left_out = LeftOut(node="threads", reason="failed", detail=detail)
            async with aclosing(self._without_past(turn, left_out)) as events:
                async for event in events:
                    yield _numbered(event, numbers)

    async def answer(self, user: str, thread: str, answer: HumanAnswer) -> Reply | None:
        """Answer a turn that was handed off to a person.

        Returns:
            ``None`` if somebody is reading the turn's stream, which goes on with the answer; else
            the finished turn's reply, for the caller to bring to the person.

        Raises:
            InputError: If no turn of the thread waits for an answer.
        """
        await self.open()
        key = thread_key(user, thread)
        waiting = self._sessions.of(key).answer
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
            return None
        async with self._sessions.hold(key) as (_, control):
            lost = await self._recovery.waiting_for_person(key)
            if lost is None:
                raise InputError(f"no turn of thread {thread!r} waits for an answer")
            control.resume_from(lost.delivered)
            run = GraphRun(self._app, self._store, key, lost.id, control)
            command: Command[Any] = Command(resume=answer.model_dump(mode="json"))
            return await _reply_of(self._run(run, command))

    async def resume(self, user: str, thread: str) -> AsyncGenerator[Event, None]:
        """Take up a turn that was lost with the process that ran it.

        A turn of which nothing was delivered is taken again from its beginning, media and all. One
        of which something was delivered is closed with that: nothing is said twice. Without a lost
        turn there are no events. The next turn of a thread does the latter by itself.
        """
        await self.open()
        key = thread_key(user, thread)
        numbers = count(1)
        async with self._sessions.hold(key) as (session, control):
            turn = await self._recovery.again(key)
            if turn is not None:
                async with aclosing(self._turn(key, turn, session, control)) as events:
                    async for event in events:
                        yield _numbered(event, numbers)
                return
            for state in await self._recovery.settle(key, waiting=False):
                yield _numbered(Done(reply=Reply.of(state)), numbers)

    async def lost(self, user: str) -> tuple[str, ...]:
        """Threads of a user with a turn that was lost with its process; see :meth:`resume`."""
        await self.open()
        return await self._recovery.lost(user)

    async def forget(self, user: str) -> None:
        """Erase all that is kept of a person: every thread, and the memory."""
        await self.open()
        for key in await self._store.threads(user):
            async with self._sessions.hold(key):
                await self._store.delete(key)
        if self._parts.memory is not None:
            await self._parts.memory.erase(user)

    async def _turn(
        self, key: str, turn: Turn, session: Session, control: TurnControl
    ) -> AsyncGenerator[Event, None]:
        """A turn under its lock: journalled, run, and carried over a wait for a person."""
        payload = turn.model_dump_json()
        entry = OpenTurn(id=turn.id, thread=key, payload=payload, begun_at=datetime.now(UTC))
        await self._store.begin(entry)
        run = GraphRun(self._app, self._store, key, turn.id, control)
        given: Given = taking(turn)
        packet: HandOffPacket | None = None
        try:
            while True:
                packet = None
                async with aclosing(self._run(run, given)) as events:
                    async for event in events:
                        if isinstance(event, HandedOff):
                            packet = event.packet
                            # Before anybody hears of it: the answer may come at once.
                            session.answer = asyncio.get_running_loop().create_future()
                            if len(session.controls) > 1:
                                # The person has written again while this turn ran.
                                session.stop_waiting()
                        yield event
                if packet is None or session.answer is None:
                    return
                given = Command(resume=await _answered(session.answer, packet))
                session.answer = None
        finally:
            session.answer = None

    async def _without_past(self, turn: Turn, left_out: LeftOut) -> AsyncGenerator[Event, None]:
        """A turn over a store of its own, which is forgotten with it."""
        store = MemoryThreads()
        await store.open()
        entry = OpenTurn(id=turn.id, thread="-", payload="{}", begun_at=datetime.now(UTC))
        await store.begin(entry)
        app: App = self.graph.compile(checkpointer=store.saver)
        run, outcome = GraphRun(app, store, "-", turn.id, TurnControl()), Outcome()
        yield Omitted(left_out=left_out)
        async with aclosing(run.events(taking(turn), outcome)) as events:
            async for event in events:
                yield event
        # No person can be asked: what would be resumed is gone with the store.
        reply = _finished(outcome, run.control)
        yield Done(reply=reply.model_copy(update={"left_out": (*reply.left_out, left_out)}))

    async def _run(self, run: GraphRun, given: Given) -> AsyncGenerator[Event, None]:
        """One run of the graph, with what its end means for the journal and for the caller."""
        outcome = Outcome()
        kept = False
        try:
            async with aclosing(run.events(given, outcome)) as events:
                async for event in events:
                    yield event
            kept = True
        except InputError:
            # Refused at the door, before anything was said: nothing of it is to be taken up again.
            kept = not run.control.delivered
            raise
        finally:
            closed = kept or (run.control.stopped and outcome.ended)
            if closed and outcome.packet is None:
                await self._store.end(run.turn_id)
                self._keeping.after_turn(run.key)
        if outcome.packet is not None:
            yield HandedOff(packet=HandOffPacket.model_validate(outcome.packet))
        else:
            yield Done(reply=_finished(outcome, run.control))


async def _let_go(perceiver: Perceiver) -> None:
    """Close a perceiver that has a ``close``; most hold nothing open."""
    close = getattr(perceiver, "close", None)
    if close is None:
        return
    try:
        # One waits for what it still reads, and a model's call may hang.
        async with asyncio.timeout(CLOSING_SECONDS):
            await close()
    except TimeoutError:
        log.warning("the perceiver of %s did not close in time", perceiver.modality)


def _finished(outcome: Outcome, control: TurnControl) -> Reply:
    timings = {**control.timings_ms, "turn": round(outcome.seconds * 1000, 3)}
    return Reply.of(outcome.state, timings)


async def _answered(
    waiting: asyncio.Future[HumanAnswer | None], packet: HandOffPacket
) -> dict[str, Any] | str:
    """What the turn is resumed with: an answer, a release, or that the time is up."""
    seconds = (packet.answer_by - datetime.now(UTC)).total_seconds()
    try:
        async with asyncio.timeout(seconds):
            answer = await waiting
    except TimeoutError:
        return TIME_IS_UP
    released = HumanAnswer(action="release", author="agent")
    return (answer or released).model_dump(mode="json")


async def _reply_of(stream: AsyncGenerator[Event, None]) -> Reply:
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Done):
                return event.reply
    raise NodeError("agent", "the turn ended without a reply")


def _numbered(event: Event, numbers: count[int]) -> Event:
    return event.model_copy(update={"seq": next(numbers)})
