"""What a store of threads is: checkpoints, and a journal of the turns in flight."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol

from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from affectgraph.perceivers.errors import AffectGraphError


class ThreadStoreError(AffectGraphError):
    """A store of threads could not write or read: the disk is full, the server is gone."""


def storable(name: str) -> str:
    """Refuse what a database cannot keep as a text; it would fail other people's writes too."""
    if not name or "\x00" in name:
        raise ValueError("an identifier must not be empty or hold a zero character")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("an identifier must be valid UTF-8") from None
    return name


Identifier = Annotated[str, AfterValidator(storable)]


def user_prefix(user: str) -> str:
    """What the keys of all of a user's threads begin with, and no other user's key does.

    The length in front makes it so: whatever colons a name holds, it cannot look like another.
    """
    return f"{len(user)}:{user}:"


def thread_key(user: str, thread: str) -> str:
    """The key of a user's thread, under which it is checkpointed and journalled."""
    return user_prefix(user) + thread


class OpenTurn(BaseModel):
    """A turn that began and has not ended; after a crash, what is left of it.

    Attributes:
        id: Names the turn; never used twice.
        thread: Key of its thread (see :func:`thread_key`).
        payload: The turn as its agent wrote it; opaque to the store.
        delivered: What was released to the person so far, joined.
        begun_at: When it began (time zone aware).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Identifier
    thread: Identifier
    payload: str
    delivered: str = ""
    begun_at: AwareDatetime


class ThreadStore(Protocol):
    """Keeps every thread's checkpoints, and a journal of the turns in flight.

    An agent opens its store once, inside its event loop, and closes it once. All methods but
    ``open`` and ``close`` need an open store and raise ``SetupError`` without one. Calls from many
    tasks of one loop are safe. A write that the database refuses raises ``ThreadStoreError``.

    **The journal** makes up for ``durability="exit"``, which keeps nothing of a turn until it
    ends. The order for each turn is::

        await store.begin(turn)           # before the thread's state is read
        await store.delivered(id, piece)  # before the consumer gets the piece; any number of times
        ...                               # the graph ends: its checkpoint is written
        await store.end(id)

    When ``begin`` or ``delivered`` has returned, the loss of this process cannot undo it; the loss
    of power can. ``end`` is written behind: it returns at once, and a process that dies shortly
    after leaves the turn open. So does one that dies between the checkpoint and ``end``. Whoever
    recovers a turn must therefore see in the checkpoint whether it holds the turn already.

    A store does not know which open turns belong to a process that still lives. Recover a thread's
    turns when that thread is next used, under the lock that keeps its turns apart.

    **Serialisation** is strict (see :mod:`affectgraph.orchestrator.threads.serializer`): a store
    is made for one state schema, and neither writes nor reads any type that it does not name.
    """

    @property
    def saver(self) -> BaseCheckpointSaver[str]:
        """The checkpointer of this store; give it to ``StateGraph.compile``."""
        ...

    async def open(self) -> None:
        """Connect, and make what is absent; does nothing if open.

        Raises:
            SetupError: If the place, the key or the software for it is wrong or absent.
        """
        ...

    async def close(self) -> None:
        """Write what is pending and let go of files and connections; does nothing if closed."""
        ...

    async def begin(self, turn: OpenTurn) -> None:
        """Note that a turn is in flight; a turn that is open already stays as it is."""
        ...

    async def delivered(self, turn_id: str, text: str) -> None:
        """Append a released piece to an open turn.

        Raises:
            ThreadStoreError: If no such turn is open.
        """
        ...

    async def end(self, turn_id: str) -> None:
        """Forget a turn whose checkpoint is written; written behind. An unknown one is no error."""
        ...

    async def open_turns(self, thread: str | None = None) -> Sequence[OpenTurn]:
        """The turns in flight of one thread, or of all; the one that began first comes first."""
        ...

    async def prune(self, thread: str, keep: int) -> None:
        """Delete all but the newest ``keep`` checkpoints of a thread, and what only they used.

        Each namespace keeps its own newest; the namespaces of single calls of a subgraph go with
        the checkpoint that the call began from.

        Raises:
            ValueError: If ``keep`` is below 1.
        """
        ...

    async def delete(self, thread: str) -> None:
        """Erase a thread: checkpoints, writes, open turns. An unknown one is no error."""
        ...

    async def threads(self, user: str) -> Sequence[str]:
        """Keys of all threads of exactly this user, sorted."""
        ...

    async def expire(self, before: datetime) -> int:
        """Erase every thread that nothing has happened in since ``before``; returns how many.

        What counts is the time in a thread's newest checkpoint, and when its open turns began.

        Raises:
            ValueError: If ``before`` has no time zone.
        """
        ...
