"""Small writes of many tasks, committed together.

A commit costs about as much as ten statements. While one group is being committed the next one
gathers, so a lone write waits for nothing and two hundred at once share a few commits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

log = logging.getLogger(__name__)

Write = tuple[str, tuple[Any, ...]]
"""A statement and its parameters."""

Commit = Callable[[Sequence[Write]], Awaitable[Sequence[int]]]
"""Runs statements in their order in one transaction; gives the number of rows of each."""

LARGEST_GROUP: Final = 256
"""Writes in one transaction, so that others get their turn at the database."""


class GroupWriter:
    """Applies writes in the order in which they were added.

    Args:
        commit: Applies a group as a whole or raises.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._waiting: list[tuple[Write, asyncio.Future[int]]] = []
        self._task: asyncio.Task[None] | None = None
        self._added = 0
        self._settled = 0
        self._progress = asyncio.Event()

    def add(self, statement: str, parameters: tuple[Any, ...]) -> asyncio.Future[int]:
        """Add a write; the future gives its number of rows once it is committed."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(((statement, parameters), future))
        self._added += 1
        # A task of its own: the turn that adds a write may be cancelled at any time, its
        # neighbours' writes must not be.
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return future

    def add_behind(self, statement: str, parameters: tuple[Any, ...]) -> None:
        """Add a write that nobody waits for; a failure is logged."""
        self.add(statement, parameters).add_done_callback(_log_failure)

    async def drain(self) -> None:
        """Wait until all that was added so far is committed or has failed.

        Counted, not awaited one by one: the future of a cancelled turn is done before its write.
        """
        target = self._added
        while self._settled < target:
            await self._progress.wait()

    async def _work(self) -> None:
        try:
            while self._waiting:
                group = self._waiting[:LARGEST_GROUP]
                del self._waiting[:LARGEST_GROUP]
                await self._apply(group)
                self._settled += len(group)
                self._progress.set()
                self._progress = asyncio.Event()
        finally:
            self._task = None

    async def _apply(self, group: Sequence[tuple[Write, asyncio.Future[int]]]) -> None:
        try:
            counts = await self._commit([write for write, _ in group])
        except Exception as error:  # noqa: BLE001 - handed to those who wait for it
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), count in zip(group, counts, strict=True):
            if not future.done():
                future.set_result(count)


def _log_failure(future: asyncio.Future[int]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        log.warning("the end of a turn was not written: %s", type(error).__name__)
