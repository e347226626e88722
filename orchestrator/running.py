"""One run of the compiled graph as a stream of events, with a journal of what was delivered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.events import Event
from affectgraph.orchestrator.state import TurnState
from affectgraph.orchestrator.threads import ThreadStore
from affectgraph.perceivers.tracing import span
from affectgraph.perceivers.turn import Turn

log = logging.getLogger(__name__)

App = CompiledStateGraph[TurnState, None, TurnState, TurnState]
Given = TurnState | Command[Any]

STOPPING_SECONDS: Final = 5.0
"""How long a stopped turn may take to close itself before it is cut off."""

EAGER_SECONDS: Final = 0.001
"""Who comes back for the next event within this time takes everything as it comes."""

MOST_TOGETHER: Final = 16
"""Events that are journalled together."""

RECURSION_LIMIT: Final = 25
"""LangGraph's own limit is 10,007 steps."""

_AGENT_SPAN: dict[str, str | int | float | bool] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "affectgraph",
}


@dataclass
class Outcome:
    """Where a run came to.

    Attributes:
        state: The state at the end.
        packet: What a person was asked, if the run waits for one.
        seconds: Wall time of the run.
        ended: Whether the run came to its end, and was not torn down before it.
    """

    state: TurnState = field(default_factory=TurnState)
    packet: Any = None
    seconds: float = 0.0
    ended: bool = False


@dataclass(frozen=True)
class GraphRun:
    """Runs the graph on one thread for one turn.

    Attributes:
        app: The compiled graph.
        store: Keeps the journal.
        key: Key of the thread.
        turn_id: Id of the turn.
        control: Stops the turn and counts what was delivered.
    """

    app: App
    store: ThreadStore
    key: str
    turn_id: str
    control: TurnControl

    async def events(self, given: Given, outcome: Outcome) -> AsyncGenerator[Event, None]:
        """Run and yield what happens; what is spoken is journalled first.

        Closing the iterator, or cancelling its consumer, stops the turn: it closes itself and the
        thread stays usable. ``outcome`` is filled when the run has ended, however it ended.
        """
        # A task of its own, so that spans nest in one context however the events are consumed. It
        # never outlives this generator.
        control, clock = self.control, asyncio.get_running_loop().time
        task = asyncio.create_task(self._run(given, outcome))
        task.add_done_callback(lambda _: control.events.put_nowait(None))
        eager = False
        try:
            while (event := await control.events.get()) is not None:
                for each in await self._journalled(event, eager=eager):
                    if control.stopped and each.spoken and not each.urgent:
                        continue
                    control.take(each.spoken)
                    given_at = clock()
                    yield each
                    eager = clock() - given_at < EAGER_SECONDS
            task.result()
        finally:
            await self._end(task)

    async def _journalled(self, event: Event, *, eager: bool) -> Sequence[Event]:
        """An event, and those that wait behind it; what they say is in the journal.

        Written together for a consumer that takes each as soon as it is there. One that lingers,
        as a voice does, gets them one by one: the journal is to hold what it had, not what lay
        ready for it.
        """
        together, queue = [event], self.control.events
        while eager and len(together) < MOST_TOGETHER and not queue.empty():
            following = queue.get_nowait()
            if following is None:
                queue.put_nowait(None)
                break
            together.append(following)
        spoken = "".join([each.spoken for each in together])
        if spoken:
            try:
                await self.store.delivered(self.turn_id, spoken)
            except Exception as error:  # noqa: BLE001 - the words count for more than their record
                log.error("a reply goes out unjournalled: %s", type(error).__name__)
        return together

    async def _run(self, given: Given, outcome: Outcome) -> None:
        started = time.perf_counter()
        # Our nodes look for the control in the runtime context; the graph does not ask for one, so
        # that it can be embedded and served without.
        app: Any = self.app
        with span("invoke_agent affectgraph", _AGENT_SPAN):
            async for part in app.astream(
                given,
                thread_config(self.key),
                context=self.control,
                stream_mode="values",
                durability="exit",
                version="v2",
            ):
                outcome.state = part["data"]
                if part["interrupts"]:
                    outcome.packet = part["interrupts"][0].value
        outcome.seconds = time.perf_counter() - started
        outcome.ended = True

    async def _end(self, task: asyncio.Task[None]) -> None:
        """See the run to its end, whoever left it: by stopping it, then by cutting it off."""
        if task.done():
            return
        try:
            self.control.stop()
            await asyncio.wait([task], timeout=STOPPING_SECONDS)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                # Nobody is there to raise it to; asyncio would print it, words and all.
                log.warning("a turn that was left ended in %s", type(error).__name__)


def taking(turn: Turn) -> TurnState:
    """What starts a run for a turn."""
    return {"turn": turn}


def thread_config(key: str) -> Any:
    """LangGraph's configuration for a thread."""
    return {"configurable": {"thread_id": key}, "recursion_limit": RECURSION_LIMIT}
