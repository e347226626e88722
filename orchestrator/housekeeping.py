"""Keeps what threads leave behind bounded, beside the turns and never in their way."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from affectgraph.orchestrator.threads import ThreadStore

log = logging.getLogger(__name__)

MOST_COUNTED: Final = 10_000
"""Threads whose turns are counted at a time; beyond that the oldest is pruned early."""


@dataclass(frozen=True)
class Retention:
    """How much of each thread is kept on disk.

    Attributes:
        checkpoints: The newest ones of a thread, which time travel can go back to.
        days: Threads that nothing has happened in for so long are erased when the agent opens its
            store; ``None`` keeps them for ever.
    """

    checkpoints: int = 10
    days: float | None = None


class Housekeeping:
    """Prunes threads that had a turn, one after the other, in one task of its own.

    Args:
        store: The store to keep in order.
        retention: What to keep.
        slack: Turns of a thread between two prunings; each touches all of its checkpoints.
    """

    def __init__(self, store: ThreadStore, retention: Retention, *, slack: int = 10) -> None:
        self._store, self._retention, self._slack = store, retention, slack
        self._turns: dict[str, int] = {}
        self._due: asyncio.Queue[str] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Erase what has grown too old, then watch for threads to prune."""
        if self._retention.days is not None:
            before = datetime.now(UTC) - timedelta(days=self._retention.days)
            gone = await self._store.expire(before)
            log.info("%d threads were older than %g days", gone, self._retention.days)
        self._task = asyncio.create_task(self._work())

    def after_turn(self, key: str) -> None:
        """Count a turn of a thread."""
        turns = self._turns.get(key, 0) + 1
        if turns >= self._slack:
            self._turns.pop(key, None)
            self._due.put_nowait(key)
        else:
            self._turns[key] = turns
            if len(self._turns) > MOST_COUNTED:
                oldest = next(iter(self._turns))
                del self._turns[oldest]
                self._due.put_nowait(oldest)

    async def end(self) -> None:
        """Finish what was begun and prune what is left."""
        if self._task is None:
            return
        for key in self._turns:
            self._due.put_nowait(key)
        self._turns = {}
        await self._due.join()
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = None

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            try:
                await self._store.prune(key, self._retention.checkpoints)
            except Exception as error:  # noqa: BLE001 - the next thread is to be pruned all the same
                log.warning("a thread was not pruned: %s", type(error).__name__)
            finally:
                self._due.task_done()
