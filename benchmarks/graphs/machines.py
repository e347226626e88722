"""What takes the turns: the agent, and the same graph in bare LangGraph, with the same store."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal, Protocol

from affectgraph.orchestrator import Agent, Parts
from affectgraph.orchestrator.state import TurnState
from affectgraph.orchestrator.threads import (
    MemoryThreads,
    SqliteThreads,
    ThreadStore,
    allowed_types,
    make_serializer,
    thread_key,
)
from affectgraph.perceivers.turn import Turn
from affectgraph.reasoners.context import Exchange
from benchmarks.graphs.bare import bare_turn, compiled

Store = Literal["memory", "sqlite"]


class Machine(Protocol):
    """Takes turns."""

    async def open(self) -> None:
        """Make it ready."""
        ...

    async def take(self, turn: Turn) -> str:
        """Take one turn to its end, as a caller who reads the stream; the reply."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


class Keeping(Machine, Protocol):
    """Takes turns and keeps their threads."""

    async def history(self, user: str, thread: str) -> tuple[Exchange, ...]:
        """What the thread keeps."""
        ...


class Ours:
    """The agent: with its lock, its journal of what was delivered, and numbered events."""

    def __init__(self, parts: Parts, store: Store, folder: Path) -> None:
        self._store: ThreadStore = (
            MemoryThreads() if store == "memory" else SqliteThreads(folder / "ours.sqlite")
        )
        self._agent = Agent(parts, threads=self._store)

    async def open(self) -> None:
        """Open the store."""
        await self._agent.open()

    async def take(self, turn: Turn) -> str:
        """Read the events to the last."""
        said = ""
        async with aclosing(self._agent.stream(turn)) as events:
            async for event in events:
                said += event.spoken
        return said

    async def history(self, user: str, thread: str) -> tuple[Exchange, ...]:
        """What the thread's checkpoint holds."""
        app = self._agent.graph.compile(checkpointer=self._store.saver)
        return await _history(app, thread_key(user, thread))

    async def close(self) -> None:
        """Close the agent."""
        await self._agent.close()


class Bare:
    """LangGraph alone, with the savers that it brings and the same serializer."""

    def __init__(self, parts: Parts, store: Store, folder: Path) -> None:
        self._parts, self._store, self._folder = parts, store, folder
        self._serde = make_serializer(allowed_types(TurnState))
        self._connection: Any = None
        self._app: Any = None

    async def open(self) -> None:
        """Compile the graph with its saver."""
        if self._store == "memory":
            from langgraph.checkpoint.memory import InMemorySaver

            self._app = compiled(self._parts, InMemorySaver(serde=self._serde))
            return
        import aiosqlite
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        self._connection = await aiosqlite.connect(self._folder / "bare.sqlite")
        saver = AsyncSqliteSaver(self._connection, serde=self._serde)
        await saver.setup()
        self._app = compiled(self._parts, saver)

    async def take(self, turn: Turn) -> str:
        """Read the stream to its end."""
        _, said = await bare_turn(self._app, thread_key(turn.user, turn.thread), turn)
        return said

    async def history(self, user: str, thread: str) -> tuple[Exchange, ...]:
        """What the thread's checkpoint holds."""
        return await _history(self._app, thread_key(user, thread))

    async def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            await self._connection.close()


async def _history(app: Any, key: str) -> tuple[Exchange, ...]:
    snapshot = await app.aget_state({"configurable": {"thread_id": key}})
    return tuple(snapshot.values.get("history", ()))
