"""A node: what a graph is made of, before it is wrapped.

A body reads the state keys that its parameters name and returns a ``TypedDict`` of what it writes::

    class Told(TypedDict):
        summary: str

    async def summarise(utterance: str, affect: Affect | None, *, emit: Emit) -> Told:
        ...

    Node("summarise", summarise, timeout=5.0, degrade={"summary": ""})

Four parameter names are no keys; the wrapper fills them: ``emit`` sends an event to whoever watches
the turn, ``emitted`` holds what was sent before the body failed (for ``degrade``), ``delivered`` is
what the person has received of the reply so far, ``None`` where nobody counts, and ``stopped`` says
whether the turn was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from affectgraph.orchestrator.signature import Signature, signature_of
from affectgraph.perceivers.blocking import BlockingPool

Emit = Callable[[Any], None]


@dataclass(frozen=True)
class Retry:
    """Trying again after an error that may pass (see ``permanent`` of an error).

    Never after an event was emitted: what was said would be said twice. All attempts share the
    node's time limit.

    Attributes:
        attempts: How often at most, the first included.
        wait: Seconds before the second attempt; doubled for each further one, and varied by up
            to a half so that many turns do not return at once.
        longest: Seconds that a wait lasts at most.
    """

    attempts: int = 2
    wait: float = 0.05
    longest: float = 1.0


@dataclass(frozen=True)
class Node:
    """One step of a graph: a body, and what to do when it fails, hangs or is stopped.

    Attributes:
        name: Name in the graph, in spans, timings and faults.
        body: What it does. A coroutine function; or a plain function, which is run on ``pool``
            if it blocks, and in the event loop if it has neither pool nor time limit.
        timeout: Seconds after which the body is cancelled; ``None`` for no limit.
        degrade: What to go on with when the body fails: an update, or a plain function that
            makes one, declared as a body is.
        retry: When to try again.
        pool: Where a plain function runs. One that hangs keeps its place in the pool.
        always: Run even in a turn that was stopped, as what closes a turn must.
        refuses: Let an ``InputError`` of the body end the turn: for nodes at a graph's door. That
            of any other node is a failure like others, as the turn has begun.
        after_delivery: Wait until the person has received what was said, at most this many
            seconds, before starting; ``None`` for not waiting.
    """

    name: str
    body: Callable[..., Any]
    timeout: float | None = 10.0
    degrade: Callable[..., Any] | Mapping[str, Any] | None = None
    retry: Retry = Retry()
    pool: BlockingPool | None = None
    always: bool = False
    refuses: bool = False
    after_delivery: float | None = None

    @cached_property
    def signature(self) -> Signature:
        """What the body reads and writes.

        Raises:
            BuildError: If its annotations do not say.
        """
        return signature_of(self.body)

    @cached_property
    def degraded(self) -> Signature:
        """What ``degrade`` reads and writes; nothing if there is none.

        Raises:
            BuildError: If its annotations do not say.
        """
        if callable(self.degrade):
            return signature_of(self.degrade)
        writes = {key: type(value) for key, value in (self.degrade or {}).items()}
        return Signature(reads={}, writes=writes, sure=frozenset(writes))

    @property
    def reads(self) -> Mapping[str, Any]:
        """State key to the type that is expected of it, body and ``degrade`` together."""
        return {**self.degraded.reads, **self.signature.reads}

    @property
    def writes(self) -> Mapping[str, Any]:
        """State key to the type that is promised of it."""
        return {**self.degraded.writes, **self.signature.writes}

    @property
    def optional(self) -> frozenset[str]:
        """Reads that may be absent."""
        strict = {
            key
            for signature in (self.signature, self.degraded)
            for key in signature.reads
            if key not in signature.optional
        }
        return frozenset(self.reads) - strict

    @property
    def sure(self) -> frozenset[str]:
        """Keys that are written whatever happens to the body."""
        return self.signature.sure & self.degraded.sure
