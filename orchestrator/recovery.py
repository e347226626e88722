"""What became of turns whose process died, and what is done about them."""

from __future__ import annotations

import logging
from typing import Any

from langgraph.types import Command, StateSnapshot

from affectgraph.orchestrator.closing import TIME_IS_UP
from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.running import App, Given, GraphRun, Outcome, taking, thread_config
from affectgraph.orchestrator.state import TurnState
from affectgraph.orchestrator.threads import OpenTurn, ThreadStore
from affectgraph.orchestrator.threads.contracts import user_prefix
from affectgraph.perceivers.turn import Turn

log = logging.getLogger(__name__)


class Recovery:
    """Settles open turns of the journal under their thread's lock.

    A lost turn is played once more as one that was stopped: no model runs and nothing is said, the
    words are assessed and the thread keeps them, with what was delivered of the reply.

    Args:
        app: The compiled graph.
        store: Keeps the journal.
    """

    def __init__(self, app: App, store: ThreadStore) -> None:
        self._app, self._store = app, store
        self._suspects: set[str] = set()

    async def begin(self) -> None:
        """Note which threads have open turns when the store is opened."""
        self._suspects.update(turn.thread for turn in await self._store.open_turns())

    def note(self, key: str) -> None:
        """A turn of this thread was left open."""
        self._suspects.add(key)

    async def lost(self, user: str) -> tuple[str, ...]:
        """A user's threads with a lost turn, by their own names."""
        prefix = user_prefix(user)
        suspects = sorted(key for key in self._suspects if key.startswith(prefix))
        return tuple([key[len(prefix) :] for key in suspects if await self._open(key)])

    async def waiting_for_person(self, key: str) -> OpenTurn | None:
        """The open turn of a thread that was handed off, if there is one."""
        for turn in await self._open(key):
            if self._paused(await self._snapshot(key), turn):
                return turn
        return None

    async def again(self, key: str) -> Turn | None:
        """A lost turn of which nothing was delivered, to be taken from its beginning."""
        for lost in await self._open(key):
            snapshot = await self._snapshot(key)
            if not (lost.delivered or self._paused(snapshot, lost) or _kept(snapshot, lost)):
                self._suspects.discard(key)
                return Turn.model_validate_json(lost.payload)
        return None

    async def settle(self, key: str) -> list[TurnState]:
        """Close all lost turns of a thread; gives the states that they closed with."""
        if key not in self._suspects:
            return []
        closed = []
        for lost in await self._open(key):
            snapshot = await self._snapshot(key)
            if _kept(snapshot, lost):
                # The process died between the checkpoint and the journal.
                state: Any = snapshot.values
            else:
                state = await self._close(key, lost, paused=self._paused(snapshot, lost))
            await self._store.end(lost.id)
            closed.append(state)
            log.info("a lost turn was settled")
        self._suspects.discard(key)
        return closed

    async def _close(self, key: str, lost: OpenTurn, *, paused: bool) -> TurnState:
        control = TurnControl()
        control.resume_from(lost.delivered)
        control.stop()
        outcome = Outcome()
        run = GraphRun(self._app, self._store, key, lost.id, control)
        turn = Turn.model_validate_json(lost.payload)
        # The files may be gone, and nobody would look at them.
        words = turn.model_copy(update={"images": (), "audio": None})
        given: Given = Command(resume=TIME_IS_UP) if paused else taking(words)
        async for _ in run.events(given, outcome):
            pass
        return outcome.state

    async def _open(self, key: str) -> list[OpenTurn]:
        return list(await self._store.open_turns(key)) if key in self._suspects else []

    async def _snapshot(self, key: str) -> StateSnapshot:
        return await self._app.aget_state(thread_config(key))

    @staticmethod
    def _paused(snapshot: StateSnapshot, lost: OpenTurn) -> bool:
        head = snapshot.values.get("head")
        return bool(snapshot.interrupts) and head is not None and head.id == lost.id


def _kept(snapshot: StateSnapshot, lost: OpenTurn) -> bool:
    """Whether the thread's history holds the turn already."""
    return any(exchange.turn == lost.id for exchange in snapshot.values.get("history", ()))
