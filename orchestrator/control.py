"""One running turn as its agent holds it: what was delivered, and how it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from affectgraph.orchestrator.events import Event, TurnEvent


class TurnControl:
    """Handed to the graph as its runtime context.

    A graph that runs without one cannot be stopped, sends its events through LangGraph's ``custom``
    stream, and keeps timings in its state. With one, both go the straight way, which takes a
    fifth of LangGraph's own time off a turn.

    A stopped turn is not torn down. Running bodies are cancelled, nodes that have not begun are
    passed over, and those that close a turn still run: the thread is left whole.

    Attributes:
        stopped: Whether the turn is to end as soon as it can.
        delivered: What the consumer has taken of what was said.
        timings_ms: Wall time of each node in milliseconds.
        events: What happened in the turn, unless ``send`` takes it; whoever runs the turn ends
            it with ``None``.

    Args:
        send: Takes each event as it happens, in place of ``events``.
    """

    def __init__(self, send: Callable[[Event], None] | None = None) -> None:
        self.stopped = False
        self.delivered = ""
        self.timings_ms: dict[str, float] = {}
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._send = send or self.events.put_nowait
        self._offered = 0
        self._scopes: set[asyncio.Timeout] = set()
        self._moved = asyncio.Event()

    def stop(self) -> None:
        """End the turn: cancel what runs, begin nothing more that can be left out."""
        self.stopped = True
        now = asyncio.get_running_loop().time()
        scopes, self._scopes = self._scopes, set()
        for scope in scopes:
            # One that has just expired by itself cannot be cut short, and need not be.
            with suppress(RuntimeError):
                scope.reschedule(now)
        self._moved.set()

    def resume_from(self, delivered: str) -> None:
        """Count what an earlier run of the same turn had delivered."""
        self.delivered = delivered
        self._offered = len(delivered)

    def begin(self, scope: asyncio.Timeout) -> None:
        """Cut a scope short if the turn is stopped before it ends."""
        self._scopes.add(scope)

    def end(self, scope: asyncio.Timeout) -> None:
        """A scope has ended."""
        self._scopes.discard(scope)

    def offer(self, event: Event) -> None:
        """A node sends an event on its way to the consumer.

        Raises:
            TypeError: If it is none: the consumer's stream is a typed one.
        """
        if not isinstance(event, TurnEvent):
            raise TypeError(f"emit takes events of affectgraph, not {type(event).__qualname__}")
        self._offered += len(event.spoken)
        self._send(event)

    def take(self, spoken: str) -> None:
        """The consumer has received something."""
        self.delivered += spoken
        self._moved.set()

    async def handed_over(self, seconds: float) -> None:
        """Wait until the consumer has taken all that was said, or the turn is stopped.

        A consumer that takes longer has stopped listening: the turn is stopped.
        """
        try:
            async with asyncio.timeout(seconds):
                while not self.stopped and len(self.delivered) < self._offered:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            self.stop()
