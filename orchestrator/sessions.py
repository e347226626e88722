"""One turn at a time in each thread, and what becomes of a message that comes while one runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from weakref import WeakValueDictionary

from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.handoff import HumanAnswer
from affectgraph.perceivers.errors import InputError

OnBusy = Literal["enqueue", "interrupt", "reject"]
"""For a second message while a turn runs: take it afterwards, stop the running turn (barge-in), or
refuse it."""


class BusyError(InputError):
    """A turn of this thread is still running, and the agent was told to refuse another."""

    permanent = False

    def __init__(self, thread: str) -> None:
        super().__init__(
            f"thread {thread!r} is still busy with a turn: wait for it, or make the agent with"
            " on_busy='enqueue' or 'interrupt'"
        )


class Session:
    """A thread in use.

    Attributes:
        lock: Held by the turn that runs.
        controls: The running turn's and those of the turns that wait.
        answer: Set while the running turn waits for a person; resolved by who answers, or with
            ``None`` when something else comes first.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.controls: list[TurnControl] = []
        self.answer: asyncio.Future[HumanAnswer | None] | None = None

    def stop_waiting(self) -> bool:
        """Let a turn that waits for a person go on without one; whether there was one."""
        if self.answer is None or self.answer.done():
            return False
        self.answer.set_result(None)
        return True


class Sessions:
    """All threads in use; a thread that nobody uses takes no room.

    Args:
        on_busy: What becomes of a message that comes while a turn of its thread runs.
    """

    def __init__(self, on_busy: OnBusy) -> None:
        self._on_busy = on_busy
        self._open: WeakValueDictionary[str, Session] = WeakValueDictionary()

    def of(self, key: str) -> Session:
        """The session of a thread."""
        session = self._open.get(key)
        if session is None:
            session = self._open[key] = Session()
        return session

    @asynccontextmanager
    async def hold(self, key: str) -> AsyncIterator[tuple[Session, TurnControl]]:
        """Hold a thread for what belongs to an earlier turn: behind others, and stopping none."""
        session, control = self.of(key), TurnControl()
        session.controls.append(control)
        try:
            async with session.lock:
                yield session, control
        finally:
            session.controls.remove(control)

    @asynccontextmanager
    async def turn(self, key: str, thread: str) -> AsyncIterator[tuple[Session, TurnControl]]:
        """Hold a thread for one turn.

        Args:
            key: Key of the thread.
            thread: Its name, for messages.

        Raises:
            BusyError: If another turn holds it and the policy is ``reject``.
        """
        session = self.of(key)
        # Who writes again no longer waits for somebody else's answer, whatever the policy.
        ends_at_once = session.stop_waiting()
        if self._on_busy == "reject" and session.controls and not ends_at_once:
            raise BusyError(thread)
        if self._on_busy == "interrupt":
            for earlier in session.controls:
                earlier.stop()
        async with self.hold(key) as held:
            yield held
