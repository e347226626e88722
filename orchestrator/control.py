"""One running turn as its agent holds it: what was delivered, and how it is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class TurnControl:
    """Handed to the graph as its runtime context; a graph that runs without one does not stop.

    A stopped turn is not torn down. Running bodies are cancelled, nodes that have not begun are
    passed over, and those that close a turn still run: the thread is left whole.

    Attributes:
        stopped: Whether the turn is to end as soon as it can.
        delivered: What the consumer has taken of what was said.
    """

    def __init__(self) -> None:
        self.stopped = False
        self.delivered = ""
        self._offered = 0
        self._scopes: set[asyncio.Timeout] = set()
        self._moved = asyncio.Event()

    def stop(self) -> None:
        """End the turn: cancel what runs, begin nothing more that can be left out."""
        self.stopped = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            scope.reschedule(now)
        self._moved.set()

    def resume_from(self, delivered: str) -> None:
        """Count what an earlier run of the same turn had delivered."""
        self.delivered = delivered
        self._offered = len(delivered)

    @contextmanager
    def watching(self, scope: asyncio.Timeout) -> Iterator[None]:
        """Cut the scope short if the turn is stopped inside."""
        self._scopes.add(scope)
        try:
            yield
        finally:
            self._scopes.discard(scope)

    def offer(self, spoken: str) -> None:
        """A node has said something that is on its way to the consumer."""
        self._offered += len(spoken)

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
