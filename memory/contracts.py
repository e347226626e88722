"""What a memory is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from affectgraph.memory.record import Cue, MemoryRecord, Recollection


@runtime_checkable
class Memory(Protocol):
    """Keeps exchanges per user and finds those that matter now."""

    async def warm_up(self) -> None:
        """Open the store; called once, before the first turn."""
        ...

    async def recall(self, cue: Cue) -> Sequence[Recollection]:
        """The nearest records of the cue's user, nearest first."""
        ...

    async def remember(self, record: MemoryRecord) -> None:
        """Write a record; writing it again changes nothing."""
        ...

    async def export(self, user: str) -> Sequence[MemoryRecord]:
        """Every record of a user, oldest first."""
        ...

    async def erase(self, user: str) -> int:
        """Delete every record of a user; returns how many there were."""
        ...

    async def close(self) -> None:
        """Let go of files and threads; the memory is not used afterwards."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into unit vectors."""

    async def warm_up(self) -> None:
        """Load the model."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One unit vector a text."""
        ...
