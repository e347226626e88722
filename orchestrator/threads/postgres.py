"""Threads in Postgres: for agents on several machines (extra ``postgres``)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.base import SerializerProtocol

from affectgraph.orchestrator.state import TurnState
from affectgraph.orchestrator.threads.contracts import OpenTurn, ThreadStoreError, user_prefix
from affectgraph.orchestrator.threads.grouping import GroupWriter, Write
from affectgraph.orchestrator.threads.keys import read_key
from affectgraph.orchestrator.threads.schema import allowed_types
from affectgraph.orchestrator.threads.serializer import make_serializer
from affectgraph.orchestrator.threads.upkeep import (
    check_keep,
    check_moment,
    check_turn,
    not_open,
    unkept,
)
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ExtraMissingError, SetupError

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow
    from psycopg_pool import AsyncConnectionPool

CONNECTIONS: Final = 8
"""Connections to the server at most. LangGraph's saver uses one at a time."""

CONNECT_SECONDS: Final = 10.0
"""How long opening waits for the server."""

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS affectgraph_journal (
        turn TEXT NOT NULL,
        place BIGINT NOT NULL,
        thread TEXT NOT NULL,
        type TEXT NOT NULL,
        body BYTEA NOT NULL,
        begun_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (turn, place)
    )
"""
_BEGIN: Final = """
    INSERT INTO affectgraph_journal VALUES (%s, 0, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_DELIVER: Final = """
    INSERT INTO affectgraph_journal
    SELECT turn, MAX(place) + 1, thread, %s::text, %s::bytea, begun_at
    FROM affectgraph_journal WHERE turn = %s GROUP BY turn, thread, begun_at
"""
_END: Final = "DELETE FROM affectgraph_journal WHERE turn = %s"
_OPEN: Final = """
    SELECT turn, thread, begun_at, type, body FROM affectgraph_journal
    WHERE %(thread)s::text IS NULL OR thread = %(thread)s ORDER BY turn, place
"""
_THREADS: Final = """
    SELECT thread_id AS thread FROM checkpoints WHERE starts_with(thread_id, %(prefix)s)
    UNION SELECT thread_id FROM checkpoint_writes WHERE starts_with(thread_id, %(prefix)s)
    UNION SELECT thread FROM affectgraph_journal WHERE starts_with(thread, %(prefix)s)
"""
_IDLE: Final = """
    SELECT thread FROM (
        SELECT thread_id AS thread, (
            array_agg((checkpoint ->> 'ts')::timestamptz ORDER BY checkpoint_id DESC)
        )[1] AS at FROM checkpoints GROUP BY thread_id
        UNION ALL SELECT thread, MAX(begun_at) FROM affectgraph_journal GROUP BY thread
    ) AS last GROUP BY thread HAVING MAX(at) < %s LIMIT 200
"""
_ERASE: Final = (
    "DELETE FROM checkpoints WHERE thread_id = ANY(%s)",
    "DELETE FROM checkpoint_blobs WHERE thread_id = ANY(%s)",
    "DELETE FROM checkpoint_writes WHERE thread_id = ANY(%s)",
    "DELETE FROM affectgraph_journal WHERE thread = ANY(%s)",
)
_PRUNE: Final = (
    "DELETE FROM checkpoints WHERE (thread_id, checkpoint_ns, checkpoint_id) = (%s, %s, %s)",
    "DELETE FROM checkpoint_writes WHERE (thread_id, checkpoint_ns, checkpoint_id) = (%s, %s, %s)",
)
_ORPHAN: Final = """
    UPDATE checkpoints SET parent_checkpoint_id = NULL
    WHERE (thread_id, checkpoint_ns, parent_checkpoint_id) = (%s, %s, %s)
"""
# In one statement and so on one snapshot: a checkpoint and its blobs are saved in one transaction,
# and either both or neither are seen here.
_PRUNE_BLOBS: Final = """
    DELETE FROM checkpoint_blobs AS blob WHERE thread_id = %(thread)s AND NOT EXISTS (
        SELECT 1 FROM checkpoints AS kept
        WHERE kept.thread_id = blob.thread_id AND kept.checkpoint_ns = blob.checkpoint_ns
        AND kept.checkpoint -> 'channel_versions' ->> blob.channel = blob.version
    )
"""


@dataclass(frozen=True)
class _Opened:
    pool: AsyncConnectionPool[AsyncConnection[DictRow]]
    saver: BaseCheckpointSaver[str]
    serializer: SerializerProtocol
    writer: GroupWriter


class PostgresThreads:
    """A :class:`~affectgraph.orchestrator.threads.ThreadStore` in a Postgres database.

    Checkpoints are committed to the disk. The journal is not waited for
    (``synchronous_commit = off``): the loss of a process takes nothing of it, the loss of the
    server its last half second. Erased rows leave the server's files with its next vacuum.

    Args:
        dsn_env: Environment variable that holds the connection string.
        key_env: Environment variable that holds the key to encrypt with; ``None`` for no
            encryption. Thread keys, times and graph steps stay readable.
        allowed: The state schema whose types it stores.
    """

    def __init__(
        self,
        dsn_env: str = "AFFECTGRAPH_POSTGRES",
        *,
        key_env: str | None = None,
        allowed: type = TurnState,
    ) -> None:
        self._dsn_env = dsn_env
        self._key_env = key_env
        self._allowed = allowed
        self._open: _Opened | None = None
        self._opening = asyncio.Lock()

    @property
    def saver(self) -> BaseCheckpointSaver[str]:
        """The checkpointer."""
        return self._opened().saver

    async def open(self) -> None:
        """Connect to the server and make the tables that are absent.

        Raises:
            ExtraMissingError: If the extra ``postgres`` is not installed.
            SetupError: If the connection string or the key is absent or malformed, or the server
                cannot be reached.
        """
        async with self._opening:
            if self._open is None:
                self._open = await self._connect()

    async def _connect(self) -> _Opened:
        # Off the loop: what is imported here for the first time reads files.
        dsn, serializer = await BlockingPool(size=1).run(self._prepare)
        import psycopg
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool, PoolTimeout

        from affectgraph.orchestrator.threads.postgres_saver import SealingPostgresSaver

        pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=CONNECTIONS,
            open=False,
            timeout=CONNECT_SECONDS,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        )
        saver = SealingPostgresSaver(pool, serde=serializer)
        try:
            # By itself first: a pool that cannot connect goes on trying.
            async with await psycopg.AsyncConnection.connect(
                dsn, connect_timeout=int(CONNECT_SECONDS)
            ) as connection:
                await connection.execute(_SCHEMA)
            await pool.open(wait=True, timeout=CONNECT_SECONDS)
            await saver.setup()
        except (psycopg.Error, PoolTimeout) as error:
            await pool.close()
            # The message of a failed connection may repeat the connection string.
            raise SetupError(
                f"the Postgres server of {self._dsn_env} does not answer or refuses"
                f" ({type(error).__name__}): check the connection string and the server"
            ) from None
        return _Opened(pool, saver, serializer, GroupWriter(self._commit))

    def _prepare(self) -> tuple[str, SerializerProtocol]:
        try:
            import psycopg_pool  # noqa: F401

            import affectgraph.orchestrator.threads.postgres_saver  # noqa: F401
        except ImportError as error:
            raise ExtraMissingError("PostgresThreads", "postgres") from error
        dsn = os.environ.get(self._dsn_env, "").strip()
        if not dsn:
            raise SetupError(
                f"threads are to be kept in Postgres, but {self._dsn_env} is not set:"
                " give it a connection string, such as postgresql://user@host/database"
            )
        return dsn, make_serializer(allowed_types(self._allowed), read_key(self._key_env))

    async def close(self) -> None:
        """Write what is pending and disconnect."""
        if self._open is not None:
            opened = self._open
            await opened.writer.drain()
            self._open = None
            await opened.pool.close()

    async def begin(self, turn: OpenTurn) -> None:
        """Note that a turn is in flight."""
        opened = self._opened()
        packed = opened.serializer.dumps_typed(turn.payload)
        parameters = (turn.id, turn.thread, *packed, turn.begun_at)
        if await opened.writer.add(_BEGIN, parameters) and turn.delivered:
            await self.delivered(turn.id, turn.delivered)

    async def delivered(self, turn_id: str, text: str) -> None:
        """Append a released piece to an open turn."""
        opened = self._opened()
        check_turn(turn_id)
        packed = opened.serializer.dumps_typed(text)
        if not await opened.writer.add(_DELIVER, (*packed, turn_id)):
            raise ThreadStoreError(f"turn {turn_id!r} is not open: begin it first")

    async def end(self, turn_id: str) -> None:
        """Forget a turn; written behind."""
        check_turn(turn_id)
        self._opened().writer.add_behind(_END, (turn_id,))

    async def open_turns(self, thread: str | None = None) -> Sequence[OpenTurn]:
        """The turns in flight of one thread, or of all."""
        async with self._transaction() as connection:
            cursor = await connection.execute(_OPEN, {"thread": thread})
            rows = await cursor.fetchall()
        loads = self._opened().serializer.loads_typed
        turns = []
        for turn, bodies in groupby(rows, key=lambda row: row["turn"]):
            held = list(bodies)
            payload, *pieces = (loads((row["type"], row["body"])) for row in held)
            turns.append(
                OpenTurn(
                    id=turn,
                    thread=held[0]["thread"],
                    payload=payload,
                    delivered="".join(pieces),
                    begun_at=held[0]["begun_at"],
                )
            )
        return sorted(turns, key=lambda turn: turn.begun_at)

    async def prune(self, thread: str, keep: int) -> None:
        """Delete all but the newest ``keep`` checkpoints of a thread.

        Not LangGraph's own ``aprune``, which keeps exactly one.
        """
        check_keep(keep)
        async with self._transaction() as connection:
            cursor = await connection.execute(
                "SELECT checkpoint_ns, checkpoint_id FROM checkpoints WHERE thread_id = %s",
                (thread,),
            )
            held = [(row["checkpoint_ns"], row["checkpoint_id"]) for row in await cursor.fetchall()]
            gone = [(thread, *checkpoint) for checkpoint in unkept(held, keep)]
            if not gone:
                return
            for statement in (*_PRUNE, _ORPHAN):
                await connection.cursor().executemany(statement, gone)
            await connection.execute(_PRUNE_BLOBS, {"thread": thread})

    async def delete(self, thread: str) -> None:
        """Erase a thread."""
        async with self._transaction() as connection:
            await _erase(connection, [thread])

    async def threads(self, user: str) -> Sequence[str]:
        """Keys of all threads of exactly this user."""
        async with self._transaction() as connection:
            cursor = await connection.execute(_THREADS, {"prefix": user_prefix(user)})
            return sorted(row["thread"] for row in await cursor.fetchall())

    async def expire(self, before: datetime) -> int:
        """Erase every thread that nothing has happened in since ``before``."""
        check_moment(before)
        erased = 0
        while True:
            async with self._transaction() as connection:
                # A turn begins before it reads its thread: held up here for a moment, it reads
                # what is left. Without this it could go on from what is being erased.
                await connection.execute(
                    "LOCK TABLE affectgraph_journal IN SHARE ROW EXCLUSIVE MODE"
                )
                cursor = await connection.execute(_IDLE, (before,))
                idle = [row["thread"] for row in await cursor.fetchall()]
                await _erase(connection, idle)
            erased += len(idle)
            if not idle:
                return erased

    def _opened(self) -> _Opened:
        if self._open is None:
            raise not_open(self)
        return self._open

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[DictRow]]:
        """A transaction after all writes that were added before it."""
        opened = self._opened()
        await opened.writer.drain()
        async with (
            _our_errors(),
            opened.pool.connection() as connection,
            connection.transaction(),
        ):
            yield connection

    async def _commit(self, writes: Sequence[Write]) -> list[int]:
        pool = self._opened().pool
        async with _our_errors(), pool.connection() as connection:
            # One trip to the server for the whole group.
            async with connection.pipeline(), connection.transaction():
                await connection.execute("SET LOCAL synchronous_commit = off")
                cursors = [
                    await connection.execute(statement, parameters)
                    for statement, parameters in writes
                ]
            return [cursor.rowcount for cursor in cursors]


async def _erase(connection: AsyncConnection[Any], threads: list[str]) -> None:
    for statement in _ERASE:
        await connection.execute(statement, (threads,))


@asynccontextmanager
async def _our_errors() -> AsyncIterator[None]:
    import psycopg
    from psycopg_pool import PoolTimeout

    try:
        yield
    except (psycopg.Error, PoolTimeout) as error:
        # Not its message: Postgres quotes the values of the row that it refuses.
        raise ThreadStoreError(
            f"the Postgres server of the threads failed: {type(error).__name__}"
        ) from None
