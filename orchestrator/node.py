"""The one wrapper around every node: time limit, span, timing, degraded result.

A node's body may fail or hang as it likes: the wrapper turns that into a :class:`LeftOut` that
names the node, asks the node's ``degrade`` for what to go on with, and the turn continues. Only
an :class:`~affectgraph.perceivers.errors.InputError` passes through, for a turn that should never
have begun, and cancellation, which is the caller's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from langgraph.runtime import Runtime

from affectgraph.orchestrator.events import Event, Omitted
from affectgraph.orchestrator.state import LeftOut, StateUpdate, TurnState
from affectgraph.perceivers.errors import AffectGraphError, InputError
from affectgraph.perceivers.tracing import span

log = logging.getLogger(__name__)

Emit = Callable[[Event], None]
Body = Callable[[TurnState, Emit], Awaitable[StateUpdate]]
Degrade = Callable[[TurnState, Emit, Sequence[Event]], StateUpdate]


class GraphNode(Protocol):
    """What LangGraph runs as a node."""

    async def __call__(self, state: TurnState, *, runtime: Runtime[None]) -> StateUpdate:
        """Run the node on a state; LangGraph hands in the runtime."""
        ...


def _nothing(_state: TurnState, _emit: Emit, _emitted: Sequence[Event]) -> StateUpdate:
    return {}


@dataclass(frozen=True)
class Node:
    """A node of the support graph, before it is wrapped.

    Attributes:
        name: Name in the graph, in spans, timings and faults.
        body: What it does: reads the state, may emit events, returns an update.
        timeout: Seconds after which its body is cancelled and ``degrade`` takes over.
        degrade: What to go on with when the body fails; is given the events that the body had
            already emitted, so that nothing delivered is lost.
    """

    name: str
    body: Body
    timeout: float
    degrade: Degrade = _nothing

    def wrapped(self) -> GraphNode:
        """The function that LangGraph runs."""

        async def run(state: TurnState, *, runtime: Runtime[None]) -> StateUpdate:
            emitted: list[Event] = []

            def emit(event: Event) -> None:
                emitted.append(event)
                runtime.stream_writer(event)

            started = time.perf_counter()
            update = await self._guarded(state, emit, emitted)
            elapsed = (time.perf_counter() - started) * 1000
            return {**update, "timings_ms": {self.name: round(elapsed, 3)}}

        run.__name__ = self.name
        return run

    async def _guarded(self, state: TurnState, emit: Emit, emitted: list[Event]) -> StateUpdate:
        limit = asyncio.timeout(self.timeout)
        with span(f"node {self.name}", {"affectgraph.node": self.name}) as opened:
            try:
                async with limit:
                    return await self.body(state, emit)
            except InputError:
                raise
            except Exception as error:  # noqa: BLE001 - no part may take the whole turn with it
                left_out = self._left_out(error, late=limit.expired())
            opened.set_attribute("affectgraph.left_out", left_out.reason)
            log.warning("left out: node %s (%s: %s)", self.name, left_out.reason, left_out.detail)
            emit(Omitted(left_out=left_out))
            update = self.degrade(state, emit, emitted)
            return {**update, "left_out": (left_out,)}

    def _left_out(self, error: Exception, *, late: bool) -> LeftOut:
        if late:
            return LeftOut(
                node=self.name, reason="timeout", detail=f"not done after {self.timeout:g} s"
            )
        # Only our own messages are known to be free of user content.
        detail = str(error) if isinstance(error, AffectGraphError) else type(error).__name__
        return LeftOut(node=self.name, reason="failed", detail=detail)
