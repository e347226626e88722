"""Memory in a Chroma collection on this machine's disk."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from affectgraph.memory.contracts import Embedder
from affectgraph.memory.recall import ByMeaning, RecallStrategy
from affectgraph.memory.record import Cue, MemoryRecord, Recollection
from affectgraph.memory.scope import UserScope
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.models import ModelUse, models_of

if TYPE_CHECKING:
    from chromadb import Collection
    from chromadb.api.client import Client

T = TypeVar("T")

_COLLECTION: Final = "exchanges.v1"
_DATABASE: Final = "chroma.sqlite3"
_DELETE: Final = 3
"""Chroma's code of a deletion in its log (``chromadb.types.Operation``, as it is stored)."""
_INDEX_VERSION: Final = 1
"""Of the header of hnswlib's index files whose layout is known here."""

_LENGTH: Final = 4
"""Bytes of a vector's length, a float, in the file of lengths."""
_FORGET: Final = """
    WITH gone AS (
        SELECT id, max(seq_id) AS last FROM embeddings_queue WHERE operation = :delete GROUP BY id
    )
    DELETE FROM embeddings_queue WHERE seq_id IN (
        SELECT said.seq_id FROM gone JOIN embeddings_queue AS said USING (id)
        WHERE said.operation <> :delete AND said.seq_id < gone.last
    )
"""


class ChromaMemory:
    """Keeps exchanges in a folder and recalls them by our own embeddings.

    All users share one collection; :class:`~affectgraph.memory.scope.UserScope` is the only code
    that touches it, and binds every access to one user. Chroma's telemetry is off and its own
    embedding function, which would download a model, is never set.

    One process at a time should hold a folder. Calls are served one after another on a thread.

    Args:
        path: Folder of the store; made, for its owner alone, if it is not there.
        embedder: Turns words into unit vectors; always the same one for a folder.
        recall: How candidates are ranked; by default by meaning.
    """

    def __init__(
        self, path: Path, embedder: Embedder, recall: RecallStrategy | None = None
    ) -> None:
        self._path = Path(path)
        self._embedder = embedder
        self._recall = recall or ByMeaning()
        self._pool = BlockingPool(1)
        self._client: Client | None = None
        self._collection: Collection | None = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the embedder uses."""
        return models_of(self._embedder)

    async def warm_up(self) -> None:
        """Open the store and load the embedder.

        Raises:
            SetupError: If the folder cannot be used; the message names it.
        """
        await self._embedder.warm_up()
        await self._run(lambda: None)

    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        """The records of the cue's user that the strategy puts first, nearest first.

        Records from risk level 3 on are left out.

        Raises:
            SetupError: If the store cannot be read, or was written with another embedder.
        """
        (vector,) = await self._embedder.embed([cue.text])
        wanted = self._recall.candidates(cue.limit)
        candidates = await self._run(lambda: self._scope(cue.user).nearest(vector, wanted))
        return self._recall.rank(cue, candidates)

    async def remember(self, record: MemoryRecord) -> None:
        """Write a record; one with the same user and id is replaced, so once is as good as twice.

        Raises:
            SetupError: If the store cannot be written, or was written with another embedder.
        """
        (vector,) = await self._embedder.embed([record.text])
        await self._run(lambda: self._scope(record.user).write(record, vector))

    async def export(self, user: str) -> Sequence[MemoryRecord]:
        """Every record of a user, oldest first, whatever its risk level.

        Raises:
            SetupError: If the store cannot be read.
        """
        return await self._run(lambda: self._scope(user).records())

    async def erase(self, user: str) -> int:
        """Delete every record of a user, and overwrite the words that the database still holds.

        The vectors, which are no words but were made of some, leave every answer at once; in the
        index file Chroma marks them deleted and does not overwrite them.

        Returns:
            How many records there were.

        Raises:
            SetupError: If the store cannot be written.
        """

        def work() -> int:
            count = self._scope(user).erase()
            # Even if nothing was found: an earlier erasure may have been cut off before this.
            self._compact()
            return count

        return await self._run(work)

    async def close(self) -> None:
        """Let go of the files; the next call opens them again."""

        def work() -> None:
            client, self._client, self._collection = self._client, None, None
            if client is not None:
                client.close()

        await self._pool.run(work)

    def _scope(self, user: str) -> UserScope:
        assert self._collection is not None, "opened by _run"
        return UserScope(self._collection, user)

    async def _run(self, work: Callable[[], T]) -> T:
        """Do blocking work on the opened store, in a thread, with its errors told as ours."""

        def guarded() -> T:
            # The first import takes a second: it belongs in the thread as well.
            from chromadb.errors import ChromaError

            try:
                self._open()
                return work()
            except (ChromaError, OSError, sqlite3.Error) as error:
                raise SetupError(f"memory at {self._path}: {error}") from error

        return await self._pool.run(guarded)

    def _open(self) -> None:
        if self._collection is not None:
            return
        import chromadb
        from chromadb.config import Settings

        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._client is None:
            client = chromadb.PersistentClient(
                self._path, settings=Settings(anonymized_telemetry=False)
            )
            # Declared as an interface without close(), which the class has.
            self._client = cast("Client", client)
        self._collection = self._client.get_or_create_collection(
            _COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
        )

    def _compact(self) -> None:
        """Take the words of deleted records out of the database file.

        Chroma keeps written rows in a log until its index is next saved, and SQLite leaves deleted
        rows readable in the file until it is rewritten. The deletions stay in the log, since an
        index saved before them needs them.
        """
        with closing(sqlite3.connect(self._path / _DATABASE)) as database:
            with database:
                database.execute(_FORGET, {"delete": _DELETE})
            database.execute("VACUUM")
        for header in self._path.glob("*/header.bin"):
            _blank_unused(header)


def _blank_unused(header: Path) -> None:
    """Blank the places of an index's files that hold no vector yet.

    hnswlib saves them as it was given them by the allocator: with whatever the process had there
    before, which may be words of a person. They are read by nobody before they are written.
    """
    version, _, _, used, size = struct.unpack("<iQQQQ", header.read_bytes()[:36])
    if version != _INDEX_VERSION:
        return
    for name, each in (("data_level0.bin", size), ("length.bin", _LENGTH)):
        held = header.with_name(name)
        if held.is_file():
            _blank_from(held, used * each)


def _blank_from(path: Path, start: int) -> None:
    with path.open("r+b") as file:
        left = file.seek(0, 2) - start
        if left > 0:
            file.seek(start)
            file.write(bytes(left))
