"""The one wrapper around every node: checks, time limit, retry, span, metrics, degraded result.

A body may fail or hang as it likes: the wrapper turns that into a :class:`LeftOut` that names the
node, asks the node's ``degrade`` what to go on with, and the turn continues. Only LangGraph's
interrupts and cancellation pass through, which are the caller's, and at a graph's door an
:class:`~affectgraph.perceivers.errors.InputError`, for a turn that should never have begun.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime
from opentelemetry import metrics
from opentelemetry.metrics import Histogram
from pydantic import ConfigDict, TypeAdapter, ValidationError

from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.events import Omitted
from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.signature import Signature, record
from affectgraph.orchestrator.state import LeftOut
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import AffectGraphError, InputError, NodeError, is_permanent
from affectgraph.perceivers.tracing import span

log = logging.getLogger(__name__)

Update = dict[str, Any]


class _Stopped(Exception):  # noqa: N818 - not an error: somebody wanted it
    """The turn was stopped before the node began."""


class Runner:
    """What LangGraph runs for a node.

    Args:
        node: The node.
        outer: Keys that it reads from outside of the run: the caller's input, or a thread's past
            that was read from disk. Only these are checked again, and brought into their types.
        reports: Whether the state keeps ``left_out`` and ``timings_ms``.
    """

    def __init__(
        self, node: Node, *, outer: frozenset[str] = frozenset(), reports: bool = True
    ) -> None:
        self.node = node
        self.__name__ = node.name
        self._reports = reports
        self._outer = _adapter({key: node.reads[key] for key in outer}) if outer else None
        self._outer_keys = outer
        self._written = _adapter(node.signature.writes, strict=True)
        self._degraded = _adapter(node.degraded.writes, strict=True)
        self._attributes: dict[str, str | int | float | bool] = {"affectgraph.node": node.name}

    async def __call__(self, state: Mapping[str, Any], runtime: Runtime[Any]) -> Update:
        """Run the node on a state; LangGraph hands in the runtime."""
        context = runtime.context
        control = context if isinstance(context, TurnControl) else None
        watch = _Watch(control.offer if control else runtime.stream_writer, control)
        if control is not None and self.node.after_delivery is not None:
            await control.handed_over(self.node.after_delivery)
        started = time.perf_counter()
        with span(f"node {self.node.name}", self._attributes) as opened:
            update, left_out = await self._guarded(state, watch)
            if left_out is not None:
                opened.set_attribute("affectgraph.left_out", left_out.reason)
        elapsed = time.perf_counter() - started
        outcome = left_out.reason if left_out else "done"
        _duration().record(elapsed, {**self._attributes, "affectgraph.outcome": outcome})
        if self._reports and left_out is not None:
            update["left_out"] = (left_out,)
        timing = {self.node.name: int(elapsed * 1_000_000) / 1000}
        if control is not None:
            control.timings_ms |= timing
        elif self._reports:
            update["timings_ms"] = timing
        return update

    async def _guarded(
        self, state: Mapping[str, Any], watch: _Watch
    ) -> tuple[Update, LeftOut | None]:
        limit = asyncio.timeout(self.node.timeout)
        error: BaseException
        state = self._checked(state)
        try:
            if watch.stopped and not self.node.always:
                raise _Stopped
            async with limit:
                watch.begin(limit, always=self.node.always)
                try:
                    return await self._attempts(state, watch), None
                finally:
                    watch.end(limit)
        except GraphBubbleUp:
            raise
        except InputError as refused:
            if self.node.refuses:
                raise
            error = refused
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody cancelled this task: something inside the body was cancelled and let it out.
            error = cancelled
        except Exception as failed:  # noqa: BLE001 - no part may take the whole turn with it
            error = failed
        left_out = self._left_out(error, late=limit.expired(), stopped=watch.stopped)
        log.log(
            logging.INFO if left_out.reason == "stopped" else logging.WARNING,
            "left out: node %s (%s: %s)",
            left_out.node,
            left_out.reason,
            left_out.detail,
        )
        watch.emit(Omitted(left_out=left_out))
        return self._fallback(state, watch), left_out

    async def _attempts(self, state: Mapping[str, Any], watch: _Watch) -> Update:
        node, retry = self.node, self.node.retry
        for attempt in range(1, retry.attempts + 1):
            try:
                keywords = _keywords(node.signature, state, watch, node.name)
                if node.signature.asynchronous:
                    update = await node.body(**keywords)
                elif node.pool is None:
                    update = node.body(**keywords)
                else:
                    update = await self._off_the_loop(node.pool, keywords)
                return _validated(self._written, update, node.name)
            except Exception as error:
                if attempt == retry.attempts or watch.emitted or is_permanent(error):
                    raise
                log.info("node %s: %s, trying again", node.name, type(error).__name__)
            wait = min(retry.longest, retry.wait * 2 ** (attempt - 1))
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        raise AssertionError("the last attempt returns or raises")

    async def _off_the_loop(self, pool: BlockingPool, keywords: dict[str, Any]) -> object:
        loop, emit, awaited = asyncio.get_running_loop(), keywords.get("emit"), True

        def while_awaited(event: Any) -> None:
            # A thread that was given up runs on; nobody wants to hear of it.
            if awaited and emit is not None:
                emit(event)

        if emit is not None:
            keywords["emit"] = lambda event: loop.call_soon_threadsafe(while_awaited, event)
        try:
            return await pool.run(lambda: self.node.body(**keywords))
        finally:
            awaited = False

    def _checked(self, state: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._outer is None:
            return state
        outer = {key: state[key] for key in self._outer_keys if key in state}
        try:
            return {**state, **self._outer.validate_python(outer)}
        except ValidationError as error:
            raise InputError(f"node {self.node.name!r} cannot read {_faults(error)}") from None

    def _fallback(self, state: Mapping[str, Any], watch: _Watch) -> Update:
        degrade = self.node.degrade
        try:
            if callable(degrade):
                keywords = _keywords(self.node.degraded, state, watch, self.node.name)
                return _validated(self._degraded, degrade(**keywords), self.node.name)
            return dict(degrade or {})
        except Exception as error:  # noqa: BLE001 - nothing is left to fall back on
            log.error("node %s: no degraded result (%s)", self.node.name, type(error).__name__)
            return {}

    def _left_out(self, error: BaseException, *, late: bool, stopped: bool) -> LeftOut:
        name = self.node.name
        if stopped and (late or isinstance(error, _Stopped)):
            return LeftOut(node=name, reason="stopped", detail="the turn was stopped")
        if late:
            return LeftOut(
                node=name, reason="timeout", detail=f"not done after {self.node.timeout:g} s"
            )
        # Only our own messages are known to be free of user content.
        detail = str(error) if isinstance(error, AffectGraphError) else type(error).__name__
        return LeftOut(node=name, reason="failed", detail=detail)


class _Watch:
    """What one run of a node emits, and whether its turn was stopped."""

    def __init__(self, write: Callable[[Any], None], control: TurnControl | None) -> None:
        self.emitted: list[Any] = []
        self._write = write
        self._control = control
        self.emit: Emit = self._emit

    @property
    def stopped(self) -> bool:
        return self._control is not None and self._control.stopped

    @property
    def delivered(self) -> str | None:
        return None if self._control is None else self._control.delivered

    def begin(self, limit: asyncio.Timeout, *, always: bool) -> None:
        """Let a stop of the turn cut the limit short, unless the node runs in any case."""
        if self._control is not None and not always:
            self._control.begin(limit)

    def end(self, limit: asyncio.Timeout) -> None:
        if self._control is not None:
            self._control.end(limit)

    def _emit(self, event: Any) -> None:
        self.emitted.append(event)
        self._write(event)


def _keywords(
    signature: Signature, state: Mapping[str, Any], watch: _Watch, name: str
) -> dict[str, Any]:
    keywords: dict[str, Any] = {}
    for key in signature.reads:
        if key in state:
            keywords[key] = state[key]
        elif key not in signature.optional:
            raise NodeError(name, f"reads {key!r}, which nobody has written")
    for given in signature.given:
        keywords[given] = getattr(watch, given)
    return keywords


def _adapter(hints: Mapping[str, Any], *, strict: bool = False) -> TypeAdapter[Any]:
    update = record("update", hints)
    update.__pydantic_config__ = ConfigDict(
        extra="forbid", strict=strict, arbitrary_types_allowed=True
    )
    return TypeAdapter(update)


def _validated(adapter: TypeAdapter[Any], update: object, name: str) -> Update:
    if update is None:
        return {}
    try:
        return dict(adapter.validate_python(update))
    except ValidationError as error:
        raise NodeError(name, f"returned {_faults(error)}") from None


def _faults(error: ValidationError) -> str:
    """Where and how a value is wrong, without the value: it may be what a person said."""
    told = []
    for fault in error.errors(include_input=False, include_context=False, include_url=False):
        # The key alone: what lies deeper may be named by a person's words.
        key = fault["loc"][0] if fault["loc"] else "something"
        told.append(f"{key!r}: {fault['type'].replace('_', ' ')}")
    return "; ".join(told)


@cache
def _duration() -> Histogram:
    return metrics.get_meter("affectgraph").create_histogram(
        "affectgraph.node.duration", unit="s", description="Time that a node took, by outcome."
    )
