"""What became of turns whose process died, and what is done about them."""

from __future__ import annotations

import logging
from typing import cast

from langgraph.types import Command, StateSnapshot
from pydantic import ValidationError

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

    async def lost(self, user: str) -> tuple[str, ...]:
        """A user's threads with a lost turn, by their own names."""
        prefix = user_prefix(user)
        mine = [turn for turn in await self._store.open_turns() if turn.thread.startswith(prefix)]
        lost = [t for t in mine if not self._paused(await self._snapshot(t.thread), t)]
        return tuple(sorted({turn.thread[len(prefix) :] for turn in lost}))

    async def waiting_for_person(self, key: str) -> OpenTurn | None:
        """The open turn of a thread that was handed off, if there is one."""
        for turn in await self._store.open_turns(key):
            if self._paused(await self._snapshot(key), turn):
                return turn
        return None

    async def again(self, key: str) -> Turn | None:
        """A lost turn of which nothing was delivered, to be taken from its beginning."""
        for lost in await self._store.open_turns(key):
            snapshot = await self._snapshot(key)
            if not (lost.delivered or self._paused(snapshot, lost) or _kept(snapshot, lost)):
                return _turn_of(lost)
        return None

    async def settle(self, key: str, *, waiting: bool = True) -> list[TurnState]:
        """Close all lost turns of a thread; gives the states that they closed with.

        Args:
            key: Key of the thread.
            waiting: Whether to close turns that wait for a person, too.
        """
        closed = []
        for lost in await self._store.open_turns(key):
            snapshot = await self._snapshot(key)
            paused = self._paused(snapshot, lost)
            if paused and not waiting:
                continue
            if _kept(snapshot, lost):
                # The process died between the checkpoint and the journal.
                closed.append(cast("TurnState", snapshot.values))
            elif paused:
                closed.append(await self._close(key, lost, Command(resume=TIME_IS_UP)))
            elif (turn := _turn_of(lost)) is not None:
                closed.append(await self._close(key, lost, taking(_words(turn))))
            await self._store.end(lost.id)
            log.info("a lost turn was settled")
        return closed

    async def _close(self, key: str, lost: OpenTurn, given: Given) -> TurnState:
        control = TurnControl()
        control.resume_from(lost.delivered)
        control.stop()
        outcome = Outcome()
        async for _ in GraphRun(self._app, self._store, key, lost.id, control).events(
            given, outcome
        ):
            pass
        return outcome.state

    async def _snapshot(self, key: str) -> StateSnapshot:
        return await self._app.aget_state(thread_config(key))

    @staticmethod
    def _paused(snapshot: StateSnapshot, lost: OpenTurn) -> bool:
        head = snapshot.values.get("head")
        return bool(snapshot.interrupts) and head is not None and head.id == lost.id


def _turn_of(lost: OpenTurn) -> Turn | None:
    """The turn as it was taken; ``None`` if an earlier version wrote what this one cannot read."""
    try:
        return Turn.model_validate_json(lost.payload)
    except ValidationError:
        log.error("a lost turn cannot be read, and is given up")
        return None


def _words(turn: Turn) -> Turn:
    """Without its media: the files may be gone, and nobody would look at them."""
    return turn.model_copy(update={"images": (), "audio": None, "video": None})


def _kept(snapshot: StateSnapshot, lost: OpenTurn) -> bool:
    """Whether the thread's history holds the turn already."""
    return any(exchange.turn == lost.id for exchange in snapshot.values.get("history", ()))
