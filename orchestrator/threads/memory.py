"""Threads in this process's memory: for tests, and for conversations that nobody keeps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from affectgraph.orchestrator.state import TurnState
from affectgraph.orchestrator.threads.contracts import OpenTurn, ThreadStoreError, user_prefix
from affectgraph.orchestrator.threads.schema import allowed_types
from affectgraph.orchestrator.threads.serializer import make_serializer
from affectgraph.orchestrator.threads.upkeep import (
    check_keep,
    check_moment,
    check_turn,
    not_open,
    unkept,
)


class MemoryThreads:
    """A :class:`~affectgraph.orchestrator.threads.ThreadStore` that dies with its process.

    Closing it keeps what it holds, so that it can be opened again.

    Args:
        allowed: The state schema whose types it stores.
    """

    def __init__(self, *, allowed: type = TurnState) -> None:
        self._saver = InMemorySaver(serde=make_serializer(allowed_types(allowed)))
        self._turns: dict[str, OpenTurn] = {}
        self._is_open = False

    @property
    def saver(self) -> BaseCheckpointSaver[str]:
        """The checkpointer."""
        return self._opened()

    async def open(self) -> None:
        """Make the store usable."""
        self._is_open = True

    async def close(self) -> None:
        """Make the store unusable until it is opened again."""
        self._is_open = False

    async def begin(self, turn: OpenTurn) -> None:
        """Note that a turn is in flight."""
        self._opened()
        self._turns.setdefault(turn.id, turn)

    async def delivered(self, turn_id: str, text: str) -> None:
        """Append a released piece to an open turn."""
        self._opened()
        check_turn(turn_id)
        turn = self._turns.get(turn_id)
        if turn is None:
            raise ThreadStoreError(f"turn {turn_id!r} is not open: begin it first")
        self._turns[turn_id] = turn.model_copy(update={"delivered": turn.delivered + text})

    async def end(self, turn_id: str) -> None:
        """Forget a turn."""
        self._opened()
        check_turn(turn_id)
        self._turns.pop(turn_id, None)

    async def open_turns(self, thread: str | None = None) -> Sequence[OpenTurn]:
        """The turns in flight of one thread, or of all."""
        self._opened()
        turns = [turn for turn in self._turns.values() if thread in (None, turn.thread)]
        return sorted(turns, key=lambda turn: turn.begun_at)

    async def prune(self, thread: str, keep: int) -> None:
        """Delete all but the newest ``keep`` checkpoints of a thread."""
        check_keep(keep)
        saver = self._opened()
        spaces = saver.storage.get(thread, {})
        gone = unkept([(space, id_) for space, held in spaces.items() for id_ in held], keep)
        for space, checkpoint in gone:
            del spaces[space][checkpoint]
            saver.writes.pop((thread, space, checkpoint), None)
        for space, held in spaces.items():
            for id_, (packed, metadata, parent) in held.items():
                if (space, parent) in gone:
                    held[id_] = (packed, metadata, None)
        used = {
            (thread, space, channel, version)
            for space, held in spaces.items()
            for packed, _, _ in held.values()
            for channel, version in saver.serde.loads_typed(packed)["channel_versions"].items()
        }
        for blob in [blob for blob in saver.blobs if blob[0] == thread and blob not in used]:
            del saver.blobs[blob]

    async def delete(self, thread: str) -> None:
        """Erase a thread."""
        saver = self._opened()
        saver.delete_thread(thread)
        self._turns = {id_: turn for id_, turn in self._turns.items() if turn.thread != thread}

    async def threads(self, user: str) -> Sequence[str]:
        """Keys of all threads of exactly this user."""
        self._opened()
        return sorted(key for key in self._keys() if key.startswith(user_prefix(user)))

    async def expire(self, before: datetime) -> int:
        """Erase every thread that nothing has happened in since ``before``."""
        check_moment(before)
        self._opened()
        idle = [key for key in self._keys() if self._last(key) < before]
        for thread in idle:
            await self.delete(thread)
        return len(idle)

    def _opened(self) -> InMemorySaver:
        if not self._is_open:
            raise not_open(self)
        return self._saver

    def _keys(self) -> set[str]:
        kept = {thread for thread, spaces in self._saver.storage.items() if any(spaces.values())}
        return kept | {turn.thread for turn in self._turns.values()}

    def _last(self, thread: str) -> datetime:
        held = [
            (id_, packed)
            for space in self._saver.storage.get(thread, {}).values()
            for id_, (packed, _, _) in space.items()
        ]
        times = [turn.begun_at for turn in self._turns.values() if turn.thread == thread]
        if held:
            newest = self._saver.serde.loads_typed(max(held)[1])
            times.append(datetime.fromisoformat(newest["ts"]))
        return max(times)
