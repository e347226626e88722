"""The agent: one object that takes turns and gives replies."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, Self
from weakref import WeakValueDictionary

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from affectgraph.orchestrator.events import Done, Event
from affectgraph.orchestrator.graph import SupportGraph, support_graph
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.reply import Reply
from affectgraph.orchestrator.state import TurnState
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import AffectGraphError
from affectgraph.perceivers.tracing import span
from affectgraph.perceivers.turn import Turn

log = logging.getLogger(__name__)

CLOSING_SECONDS: Final = 10.0
"""How long closing waits for models that are still loading."""

# State types that a checkpoint may hold; any other type in one comes back as plain data.
_CHECKPOINTED = (
    ("affectgraph.memory.record", "MemoryRecord"),
    ("affectgraph.memory.record", "Recollection"),
    ("affectgraph.orchestrator.state", "Answer"),
    ("affectgraph.orchestrator.state", "LeftOut"),
    ("affectgraph.perceivers.affect", "Affect"),
    ("affectgraph.perceivers.affect", "Reading"),
    ("affectgraph.policies.verdict", "RiskAssessment"),
    ("affectgraph.reasoners.context", "Exchange"),
    ("affectgraph.reasoners.plan", "Plan"),
)


class Agent:
    """An emotional support agent over a LangGraph state machine.

    Args:
        parts: Perceivers, fusion, memory, reasoner, policies and time limits.
        checkpointer: Keeps each thread's history; in this process's memory by default.

    Attributes:
        graph: The uncompiled ``StateGraph``: extend it, embed it, compile it yourself.
        app: The compiled graph that this agent runs.
    """

    def __init__(
        self, parts: Parts, *, checkpointer: BaseCheckpointSaver[str] | None = None
    ) -> None:
        self._parts = parts
        self.graph: SupportGraph = support_graph(parts)
        self.app = self.graph.compile(checkpointer=checkpointer or in_memory_checkpointer())
        self._warming: asyncio.Task[list[Exception]] | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what the parts hold open; the agent takes no turns afterwards."""
        if self._warming is not None:
            # A process that ends while a thread still imports torch ends noisily.
            await asyncio.wait([self._warming], timeout=CLOSING_SECONDS)
            self._warming.cancel()
            await asyncio.wait([self._warming])
        await self._parts.reasoner.close()
        if self._parts.memory is not None:
            await self._parts.memory.close()

    async def warm_up(self) -> None:
        """Load all models side by side.

        The first turn does this by itself, beside its own work; wait for it here to keep the
        first turn from waiting.

        Raises:
            AffectGraphError: If a part says what the machine lacks. A part that fails in any
                other way is left to fail, and to be left out, in the turn.
        """
        for failure in await self._warmed():
            if isinstance(failure, AffectGraphError):
                raise failure

    def _warmed(self) -> asyncio.Task[list[Exception]]:
        """The one task that warms the parts up; begun at the first call."""
        if self._warming is None:
            self._warming = asyncio.create_task(self._warm_parts())
        return self._warming

    async def _warm_parts(self) -> list[Exception]:
        parts = self._parts
        # The reasoner first: it loads longest.
        reasoner = asyncio.ensure_future(parts.reasoner.warm_up())
        perceivers = [asyncio.ensure_future(p.warm_up()) for p in parts.perceivers]

        async def in_time_for_recall() -> None:
            # Imports cannot run side by side: those of the memory would hold up the reasoner's.
            await asyncio.gather(*perceivers, return_exceptions=True)
            await BlockingPool(size=1).run(parts.safety.triage.warm_up)
            if parts.memory is not None:
                await parts.memory.warm_up()

        # Imports and models make many objects and no garbage: looking for some costs a tenth.
        collecting = gc.isenabled()
        gc.disable()
        try:
            results = await asyncio.gather(
                reasoner, *perceivers, in_time_for_recall(), return_exceptions=True
            )
        finally:
            if collecting:
                gc.enable()
        failures = [result for result in results if isinstance(result, Exception)]
        for failure in failures:
            log.warning("a part did not warm up: %s", type(failure).__name__)
        return failures

    async def respond(self, turn: Turn) -> Reply:
        """Take one turn and wait for the whole reply, memory included.

        Raises:
            InputError: If the turn cannot be taken; the thread stays as it was.
        """
        async with aclosing(self.stream(turn)) as events:
            async for event in events:
                if isinstance(event, Done):
                    return event.reply
        raise AssertionError("a stream ends with Done or raises")

    async def stream(self, turn: Turn) -> AsyncGenerator[Event, None]:
        """Take one turn and see it happen; the last event is ``Done``.

        Turns of one thread run one after the other. Closing the iterator stops the turn.

        Raises:
            InputError: If the turn cannot be taken; the thread stays as it was.
        """
        self._warmed()
        # The turn runs in a task of its own, so that its spans nest in one context however the
        # caller consumes the events; the task never outlives this generator.
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.create_task(self._take(turn, queue.put_nowait))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            task.result()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _take(self, turn: Turn, emit: Callable[[Event], None]) -> None:
        # Namespaced by user, so that no one can name another person's thread.
        thread = f"{len(turn.user)}:{turn.user}:{turn.thread}"
        lock = self._locks.setdefault(thread, asyncio.Lock())
        async with lock:
            started = time.perf_counter()
            state: TurnState = {}
            with span("invoke_agent affectgraph", _AGENT_SPAN):
                async for part in self.app.astream(
                    {"turn": turn},
                    {"configurable": {"thread_id": thread}, "recursion_limit": 25},
                    stream_mode=["custom", "values"],
                    durability="exit",
                    version="v2",
                ):
                    if part["type"] == "custom":
                        emit(part["data"])
                    elif part["type"] == "values":
                        state = part["data"]
            elapsed = round((time.perf_counter() - started) * 1000, 3)
            reply = Reply.of(state)
            timings = {**reply.timings_ms, "turn": elapsed}
            emit(Done(reply=reply.model_copy(update={"timings_ms": timings})))


_AGENT_SPAN: dict[str, str | int | float | bool] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "affectgraph",
}


def in_memory_checkpointer() -> InMemorySaver:
    """A checkpointer that knows affectgraph's types and no others."""
    return InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=_CHECKPOINTED))
