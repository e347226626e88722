"""The database file of sqlite threads: found, checked, protected, and written atomically."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from errno import EISDIR
from pathlib import Path
from typing import Final, TypeVar, cast

import aiosqlite

from affectgraph.orchestrator.threads.grouping import Write
from affectgraph.perceivers.errors import SetupError

T = TypeVar("T")

BUSY_MILLISECONDS: Final = 10_000
"""How long a write waits for another process's."""

# One table, one row a begun turn (place 0) and one a delivered piece, so that begin, delivered and
# end are one statement each. It holds turns in flight and nothing else, and stays tiny.
_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS affectgraph_journal (
        turn TEXT NOT NULL,
        place INTEGER NOT NULL,
        thread TEXT NOT NULL,
        type TEXT NOT NULL,
        body BLOB NOT NULL,
        begun_at TEXT NOT NULL,
        PRIMARY KEY (turn, place)
    ) WITHOUT ROWID;
"""

# NORMAL: a commit reaches the operating system, so a killed process loses nothing; it is not
# forced onto the disk. A WAL that has grown is cut back to a megabyte.
_PRAGMAS: Final = f"""
    PRAGMA busy_timeout = {BUSY_MILLISECONDS};
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA wal_autocheckpoint = 500;
    PRAGMA secure_delete = ON;
    PRAGMA journal_size_limit = 1048576;
"""


class ThreadsConnection(aiosqlite.Connection):
    """A connection on a thread of its own that LangGraph's saver and the journal share.

    Sharing spares them the wait for each other's lock on the file, which sqlite sleeps through in
    milliseconds.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        super().__init__(lambda: database, iter_chunk_size=64)
        # An agent that nobody closed must not keep the process alive.
        self._thread.daemon = True

    async def atomically(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` in one transaction, in one trip to the connection's thread."""

        def transact() -> T:
            try:
                result = work(self._conn)
                self._conn.commit()
            except BaseException:
                self._conn.rollback()
                raise
            return result

        return cast("T", await self._execute(transact))  # type: ignore[no-untyped-call]

    async def apply(self, writes: Sequence[Write]) -> list[int]:
        """Run statements in one transaction; gives each one's number of rows."""

        def work(database: sqlite3.Connection) -> list[int]:
            return [database.execute(*write).rowcount for write in writes]

        return await self.atomically(work)

    async def shred(self) -> bool:
        """Move everything from the write-ahead log into the file and cut the log to nothing.

        What was deleted lives on in the log until then. False if another process is in the way.
        """

        def work() -> bool:
            with closing(self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")) as cursor:
                return not cursor.fetchone()[0]

        return cast("bool", await self._execute(work))  # type: ignore[no-untyped-call]


def open_file(path: Path) -> sqlite3.Connection:
    """Open a database of threads; make it, and its folder, if it is absent. Blocking.

    Raises:
        SetupError: If the file is no database or another program's, or cannot be written.
    """
    _hush_statements()
    try:
        return _connect(path)
    except OSError as error:
        fault = error.strerror or type(error).__name__
        raise SetupError(
            f"threads cannot be kept in {path}: {fault}; name a file in a folder that this user"
            " may write"
        ) from error
    except sqlite3.Error as error:
        raise SetupError(_fault(path, error)) from error


def _connect(path: Path) -> sqlite3.Connection:
    if path.is_dir():
        raise IsADirectoryError(EISDIR, "it is a folder")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Made before sqlite does, so that no one else can open it even for a moment; sqlite gives
    # its log files the same mode.
    path.touch(mode=0o600)
    database = sqlite3.connect(path, check_same_thread=False)
    try:
        _refuse_foreign(path, database)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
        database.executescript(_PRAGMAS + _SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _refuse_foreign(path: Path, database: sqlite3.Connection) -> None:
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    if rows and ("checkpoints",) not in rows and ("affectgraph_journal",) not in rows:
        raise SetupError(f"{path} is another program's database: name a file of its own")


def _fault(path: Path, error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return f"{path} is not a database: name another file, or move this one away"
    if code == sqlite3.SQLITE_CORRUPT:
        return f"{path} is damaged: restore it from a backup, or move it away"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"threads cannot be kept in {path}: this user may not write there"
    return f"threads cannot be kept in {path}: sqlite says {error}"


def _hush_statements() -> None:
    """Keep statements out of the log: aiosqlite logs each at DEBUG level with what it stores."""
    logger = logging.getLogger("aiosqlite")
    if logger.level < logging.INFO:
        logger.setLevel(logging.INFO)
