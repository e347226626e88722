"""The one door to stored records: every access is bound to a user."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from affectgraph.memory.recall import Candidate
from affectgraph.memory.record import MemoryRecord
from affectgraph.perceivers.errors import SetupError

if TYPE_CHECKING:
    from chromadb import Collection

PROTECTED_LEVEL: Final = 3
"""Risk level from which a record is left out of ordinary recall."""

_ORDINARY: Final[dict[str, Any]] = {"risk_level": {"$lt": PROTECTED_LEVEL}}


class UserScope:
    """One user's part of a collection; nothing else of it can be reached from here.

    Every method blocks: call them on a worker thread. Reading raises ``SetupError`` if a record
    was written by a version whose records were different. A user is stored as a digest of the name,
    so that no character of a name can mean anything to the database.

    Args:
        collection: Where the records of all users lie.
        user: Whose part.
    """

    def __init__(self, collection: Collection, user: str) -> None:
        self._collection = collection
        self._user = user
        self._owner = hashlib.sha256(user.encode()).hexdigest()

    def write(self, record: MemoryRecord, vector: list[float]) -> None:
        """Keep a record; the one with the same id, if any, is replaced.

        Raises:
            ValueError: If the record is another user's.
        """
        if record.user != self._user:
            raise ValueError("the record belongs to another user")
        # The stored key holds the owner too: an id that two users share names two records.
        key = hashlib.sha256(f"{self._owner}{record.id}".encode()).hexdigest()
        self._collection.upsert(
            ids=[key],
            embeddings=_row(vector),
            metadatas=[
                {
                    "user": self._owner,
                    "risk_level": record.risk_level,
                    "record": record.model_dump_json(),
                }
            ],
        )

    def nearest(self, vector: list[float], limit: int) -> list[Candidate]:
        """The nearest records below the protected risk level, by cosine distance."""
        found = self._collection.query(
            query_embeddings=_row(vector),
            n_results=limit,
            where={"$and": [self._where, _ORDINARY]},
            include=["metadatas", "distances"],
        )
        metadatas, distances = found["metadatas"], found["distances"]
        if not metadatas or not distances:
            return []
        return [
            # Rounding may leave the distance of equal vectors a hair below 0.
            Candidate(record=record, semantic=max(0.0, float(distance)))
            for record, distance in zip(self._records(metadatas[0]), distances[0], strict=True)
        ]

    def records(self) -> list[MemoryRecord]:
        """All records, oldest first, those above the protected level too."""
        found = self._collection.get(where=self._where, include=["metadatas"])
        return sorted(
            self._records(found["metadatas"] or []), key=lambda record: (record.at, record.id)
        )

    def erase(self) -> int:
        """Delete all records; returns how many there were."""
        count = len(self._collection.get(where=self._where, include=[])["ids"])
        if count:
            self._collection.delete(where=self._where)
        return count

    @property
    def _where(self) -> dict[str, Any]:
        return {"user": self._owner}

    def _records(self, metadatas: Any) -> Iterator[MemoryRecord]:
        for metadata in metadatas:
            try:
                yield MemoryRecord.model_validate_json(metadata["record"])
            except ValidationError as error:
                # Without the cause: its text quotes what the person said.
                fields = {".".join(map(str, fault["loc"])) for fault in error.errors()}
                raise SetupError(
                    f"a stored record does not fit this version: {', '.join(sorted(fields))}"
                ) from None


def _row(vector: list[float]) -> NDArray[np.float32]:
    return np.asarray([vector], dtype=np.float32)
