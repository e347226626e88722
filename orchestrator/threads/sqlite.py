"""Threads in one sqlite file: the default for an agent on one machine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol

from affectgraph.orchestrator.state import TurnState
from affectgraph.orchestrator.threads.contracts import OpenTurn, ThreadStoreError, user_prefix
from affectgraph.orchestrator.threads.grouping import GroupWriter, Write
from affectgraph.orchestrator.threads.keys import read_key
from affectgraph.orchestrator.threads.schema import allowed_types
from affectgraph.orchestrator.threads.serializer import make_outline_reader, make_serializer
from affectgraph.orchestrator.threads.upkeep import (
    check_keep,
    check_moment,
    check_turn,
    not_open,
    unkept,
)
from affectgraph.perceivers.blocking import BlockingPool

if TYPE_CHECKING:
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    from affectgraph.orchestrator.threads.sqlite_file import ThreadsConnection

T = TypeVar("T")

_BEGIN: Final = "INSERT OR IGNORE INTO affectgraph_journal VALUES (?, 0, ?, ?, ?, ?)"
_DELIVER: Final = """
    INSERT INTO affectgraph_journal
    SELECT turn, MAX(place) + 1, thread, ?, ?, begun_at
    FROM affectgraph_journal WHERE turn = ? GROUP BY turn
"""
_END: Final = "DELETE FROM affectgraph_journal WHERE turn = ?"
_OPEN: Final = """
    SELECT turn, thread, begun_at, type, body FROM affectgraph_journal
    WHERE ?1 IS NULL OR thread = ?1 ORDER BY turn, place
"""
# A key's prefix ends with a colon, so all that starts with it lies before the same with a
# semicolon: an exact comparison that the index serves, with no pattern in it.
_THREADS: Final = """
    SELECT thread_id FROM checkpoints WHERE thread_id >= ?1 AND thread_id < ?2
    UNION SELECT thread_id FROM writes WHERE thread_id >= ?1 AND thread_id < ?2
    UNION SELECT thread FROM affectgraph_journal WHERE thread >= ?1 AND thread < ?2
"""
_NEWEST: Final = """
    SELECT checkpoint_id, type, checkpoint FROM checkpoints
    WHERE thread_id = ? ORDER BY checkpoint_id DESC LIMIT 1
"""
_PRUNE: Final = (
    "DELETE FROM checkpoints WHERE (thread_id, checkpoint_ns, checkpoint_id) = (?, ?, ?)",
    "DELETE FROM writes WHERE (thread_id, checkpoint_ns, checkpoint_id) = (?, ?, ?)",
)
_ORPHAN: Final = """
    UPDATE checkpoints SET parent_checkpoint_id = NULL
    WHERE (thread_id, checkpoint_ns, parent_checkpoint_id) = (?, ?, ?)
"""
_ERASE: Final = (
    "DELETE FROM checkpoints WHERE thread_id = ?",
    "DELETE FROM writes WHERE thread_id = ?",
    "DELETE FROM affectgraph_journal WHERE thread = ?",
)


@dataclass(frozen=True)
class _Opened:
    connection: ThreadsConnection
    saver: AsyncSqliteSaver
    serializer: SerializerProtocol
    outline: SerializerProtocol
    writer: GroupWriter


class SqliteThreads:
    """A :class:`~affectgraph.orchestrator.threads.ThreadStore` in one sqlite file.

    Write-ahead log, readable by its owner only, deleted words overwritten. Survives the loss of
    the process at any moment; the loss of power may take the last commits.

    Args:
        path: The file; it and its folder are made at the first opening.
        key_env: Environment variable that holds the key to encrypt with (16, 24 or 32 bytes as
            hexadecimal digits or base64); ``None`` for no encryption. Thread keys, times and
            graph steps stay readable.
        allowed: The state schema whose types it stores.
    """

    def __init__(
        self, path: str | Path, *, key_env: str | None = None, allowed: type = TurnState
    ) -> None:
        self.path = Path(path)
        self._key_env = key_env
        self._allowed = allowed
        self._open: _Opened | None = None
        self._opening = asyncio.Lock()

    @property
    def saver(self) -> BaseCheckpointSaver[str]:
        """The checkpointer."""
        return self._opened().saver

    async def open(self) -> None:
        """Open the file.

        Raises:
            SetupError: If the file is no database or another program's, cannot be written, or the
                key is absent or malformed.
        """
        async with self._opening:
            if self._open is None:
                self._open = await self._connect()

    async def _connect(self) -> _Opened:
        # Off the loop: what is imported here for the first time reads files.
        database, serializer, outline = await BlockingPool(size=1).run(self._prepare)
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        from affectgraph.orchestrator.threads.sqlite_file import ThreadsConnection

        connection = ThreadsConnection(database)
        await connection
        saver = AsyncSqliteSaver(connection, serde=serializer)
        await saver.setup()

        async def commit(writes: Sequence[Write]) -> list[int]:
            async with saver.lock:
                return await connection.apply(writes)

        return _Opened(connection, saver, serializer, outline, GroupWriter(commit))

    def _prepare(self) -> tuple[sqlite3.Connection, SerializerProtocol, SerializerProtocol]:
        import langgraph.checkpoint.sqlite.aio  # noqa: F401

        from affectgraph.orchestrator.threads.sqlite_file import open_file

        key = read_key(self._key_env)
        serializer = make_serializer(allowed_types(self._allowed), key)
        return open_file(self.path), serializer, make_outline_reader(key)

    async def close(self) -> None:
        """Write what is pending and close the file."""
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.writer.drain()
            await opened.connection.close()

    async def begin(self, turn: OpenTurn) -> None:
        """Note that a turn is in flight."""
        opened = self._opened()
        packed = opened.serializer.dumps_typed(turn.payload)
        parameters = (turn.id, turn.thread, *packed, turn.begun_at.isoformat())
        is_new = await _committed(opened.writer.add(_BEGIN, parameters))
        if is_new and turn.delivered:
            await self.delivered(turn.id, turn.delivered)

    async def delivered(self, turn_id: str, text: str) -> None:
        """Append a released piece to an open turn."""
        opened = self._opened()
        check_turn(turn_id)
        packed = opened.serializer.dumps_typed(text)
        if not await _committed(opened.writer.add(_DELIVER, (*packed, turn_id))):
            raise ThreadStoreError(f"turn {turn_id!r} is not open: begin it first")

    async def end(self, turn_id: str) -> None:
        """Forget a turn; written behind."""
        check_turn(turn_id)
        self._opened().writer.add_behind(_END, (turn_id,))

    async def open_turns(self, thread: str | None = None) -> Sequence[OpenTurn]:
        """The turns in flight of one thread, or of all."""
        rows = await self._read(_OPEN, (thread,))
        loads = self._opened().serializer.loads_typed
        turns = []
        for (turn, of, begun_at), bodies in groupby(rows, key=lambda row: row[:3]):
            payload, *pieces = (loads(body[3:]) for body in bodies)
            turns.append(
                OpenTurn(
                    id=turn,
                    thread=of,
                    payload=payload,
                    delivered="".join(pieces),
                    begun_at=datetime.fromisoformat(begun_at),
                )
            )
        return sorted(turns, key=lambda turn: turn.begun_at)

    async def prune(self, thread: str, keep: int) -> None:
        """Delete all but the newest ``keep`` checkpoints of a thread."""
        check_keep(keep)

        def work(database: sqlite3.Connection) -> None:
            held = database.execute(
                "SELECT checkpoint_ns, checkpoint_id FROM checkpoints WHERE thread_id = ?",
                (thread,),
            ).fetchall()
            gone = [(thread, *checkpoint) for checkpoint in unkept(held, keep)]
            for statement in (*_PRUNE, _ORPHAN):
                database.executemany(statement, gone)

        await self._change(work)

    async def delete(self, thread: str) -> None:
        """Erase a thread, from the file's bytes too.

        Raises:
            ThreadStoreError: If another process reads the file all the while: the thread is gone,
                its bytes are not. Delete it once more when that process is done.
        """
        await self._change(lambda database: _erase(database, thread))
        await self._shred()

    async def threads(self, user: str) -> Sequence[str]:
        """Keys of all threads of exactly this user."""
        prefix = user_prefix(user)
        rows = await self._read(_THREADS, (prefix, prefix[:-1] + ";"))
        return sorted(thread for (thread,) in rows)

    async def expire(self, before: datetime) -> int:
        """Erase every thread that nothing has happened in since ``before``.

        Raises:
            ThreadStoreError: As :meth:`delete` does.
        """
        check_moment(before)
        rows = await self._read(
            "SELECT thread_id FROM checkpoints UNION SELECT thread FROM affectgraph_journal", ()
        )
        # One at a time: a turn waits for no more than one thread's erasure.
        erased = 0
        for (thread,) in rows:
            erased += await self._expire(thread, before)
        if erased:
            await self._shred()
        return erased

    async def _expire(self, thread: str, before: datetime) -> bool:
        newest = await self._read(_NEWEST, (thread,))
        for _, *packed in newest:
            outline = self._opened().outline.loads_typed((packed[0], packed[1]))
            if datetime.fromisoformat(outline["ts"]) >= before:
                return False

        def work(database: sqlite3.Connection) -> bool:
            # Looked at again inside the transaction: a turn may have begun, or ended, since.
            begun = database.execute(
                "SELECT begun_at FROM affectgraph_journal WHERE thread = ?", (thread,)
            ).fetchall()
            now_newest = database.execute(_NEWEST, (thread,)).fetchall()
            changed = [row[0] for row in now_newest] != [row[0] for row in newest]
            if changed or any(datetime.fromisoformat(at) >= before for (at,) in begun):
                return False
            _erase(database, thread)
            return True

        return await self._change(work)

    def _opened(self) -> _Opened:
        if self._open is None:
            raise not_open(self)
        return self._open

    async def _read(self, query: str, parameters: tuple[Any, ...]) -> list[Any]:
        return await self._change(lambda database: database.execute(query, parameters).fetchall())

    async def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one transaction, after all writes that were added before it."""
        opened = self._opened()
        await opened.writer.drain()
        try:
            async with opened.saver.lock:
                return await opened.connection.atomically(work)
        except sqlite3.Error as error:
            raise _failed(error) from error

    async def _shred(self) -> None:
        opened = self._opened()
        async with opened.saver.lock:
            if await opened.connection.shred():
                return
        raise ThreadStoreError(
            f"{self.path}: what was erased is still in the file's log, because another process"
            " reads the file; erase it once more when that is done"
        )


def _erase(database: sqlite3.Connection, thread: str) -> None:
    for statement in _ERASE:
        database.execute(statement, (thread,))


async def _committed(write: Any) -> int:
    try:
        return int(await write)
    except sqlite3.Error as error:
        raise _failed(error) from error


def _failed(error: sqlite3.Error) -> ThreadStoreError:
    # sqlite's messages name the obstacle ("database or disk is full"), no values.
    return ThreadStoreError(f"the database of threads failed: {error}")
