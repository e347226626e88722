"""Time travel: what a thread was, going back to it, and going on from it elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from affectgraph.orchestrator.running import App, thread_config
from affectgraph.orchestrator.threads import ThreadStore, thread_key
from affectgraph.perceivers.errors import InputError
from affectgraph.reasoners.context import Exchange

_OF_THE_THREAD = ("history", "risk_level", "noticed_at", "noticed_senses", "shown_resources")
"""What a thread keeps from turn to turn; the rest belongs to the turn that wrote it."""


class Moment(BaseModel):
    """A thread as it was after a turn.

    Attributes:
        checkpoint: Names it.
        at: When it was kept.
        history: The exchanges that the thread had, oldest first.
        risk_level: Risk that the thread carried.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: str
    at: AwareDatetime
    history: tuple[Exchange, ...]
    risk_level: int


class Timeline:
    """Past states of threads, as far as retention keeps them.

    Args:
        app: The compiled graph.
        store: Keeps the checkpoints.
    """

    def __init__(self, app: App, store: ThreadStore) -> None:
        self._app, self._store = app, store

    async def moments(self, user: str, thread: str) -> tuple[Moment, ...]:
        """What can be gone back to, newest first."""
        config = await self._config(user, thread)
        return tuple(
            [
                Moment(
                    checkpoint=snapshot.config["configurable"]["checkpoint_id"],
                    at=datetime.fromisoformat(snapshot.created_at or ""),
                    history=snapshot.values.get("history", ()),
                    risk_level=snapshot.values.get("risk_level", 0),
                )
                async for snapshot in self._app.aget_state_history(config)
                if not snapshot.next
            ]
        )

    async def rewind(self, user: str, thread: str, checkpoint: str) -> None:
        """Let a thread go on from an earlier moment; the later ones stay until they are pruned.

        Raises:
            InputError: If the thread has no such checkpoint.
        """
        await self.fork(user, thread, checkpoint, into=thread)

    async def fork(self, user: str, thread: str, checkpoint: str, *, into: str) -> None:
        """Begin another thread of the same person with what this one was at a moment.

        Raises:
            InputError: If the thread has no such checkpoint, or ``into`` is another thread that
                has begun already.
        """
        past = await self._config(user, thread, checkpoint)
        values = (await self._app.aget_state(past)).values
        if not values:
            raise InputError(f"thread {thread!r} has no checkpoint {checkpoint!r}")
        target = await self._config(user, into)
        if into != thread and (await self._app.aget_state(target)).values:
            raise InputError(f"thread {into!r} has begun already: fork into a new one")
        kept = {key: values[key] for key in _OF_THE_THREAD if key in values}
        await self._app.aupdate_state(target, kept, as_node="remember")

    async def _config(self, user: str, thread: str, checkpoint: str | None = None) -> Any:
        await self._store.open()
        self._app.checkpointer = self._store.saver
        config = thread_config(thread_key(user, thread))
        if checkpoint is not None:
            config["configurable"]["checkpoint_id"] = checkpoint
        return config
