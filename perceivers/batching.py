"""One call of a model for the requests of many sessions."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import NodeError, SetupError

In = TypeVar("In")
Out = TypeVar("Out")


@dataclass(frozen=True)
class BatchStats:
    """What a batcher has done.

    Attributes:
        sizes: How many batches there were of each size.
        retried: Batches that failed as a whole and were run item by item.
    """

    sizes: Mapping[int, int]
    retried: int

    @property
    def batches(self) -> int:
        """Calls of the batch function."""
        return sum(self.sizes.values())

    @property
    def items(self) -> int:
        """Items that were run."""
        return sum(size * count for size, count in self.sizes.items())

    @property
    def mean(self) -> float:
        """Mean size of a batch; 0 before the first."""
        return self.items / self.batches if self.sizes else 0.0


@dataclass(eq=False)
class _Waiting(Generic[In, Out]):
    """One caller: what it handed in, when, and where it waits."""

    item: In
    since: float
    answer: asyncio.Future[Out] = field(repr=False)


class MicroBatcher(Generic[In, Out]):
    """Gathers items of concurrent callers into one call of a blocking function.

    A batch is what has been handed in when a worker is free: a lone caller waits for nobody, and
    while a batch runs the next one gathers by itself. With ``max_wait`` a batch that is not full
    also waits for more, which pays where a larger batch is much cheaper than two small ones.

    Items keep their order, and every caller gets the result of its own item. If a batch fails, its
    items are run again one by one, so that only the caller whose item is at fault sees the error;
    a ``SetupError`` (a model that is missing) would be the same for each and goes to all at once.
    A cancelled caller's item is taken out, unless it runs already; then its result is dropped.

    No task lives while there is nothing to do. A batcher may be used from one event loop after
    another, not from two at once.

    Args:
        call: Runs a batch on a thread and gives one result an item, in order.
        name: Names it in errors.
        max_batch: Items of one call at most.
        max_wait: Seconds that the oldest item of a batch waits for more; 0 for none.
        workers: Batches that run side by side. One is right for a GPU.
        retry: Whether a batch that failed is run again item by item.

    Raises:
        SetupError: If a number is out of its range.
    """

    def __init__(
        self,
        call: Callable[[Sequence[In]], Sequence[Out]],
        *,
        name: str = "batch",
        max_batch: int = 32,
        max_wait: float = 0.0,
        workers: int = 1,
        retry: bool = True,
    ) -> None:
        if max_batch < 1 or workers < 1 or not 0 <= max_wait < float("inf"):
            raise SetupError(
                f"{name}: max_batch and workers must be at least 1 (are {max_batch} and {workers}),"
                f" max_wait at least 0 seconds (is {max_wait})"
            )
        self._call, self._name, self._retry = call, name, retry
        self._max_batch, self._max_wait, self._workers = max_batch, max_wait, workers
        self._queue: deque[_Waiting[In, Out]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sizes: Counter[int] = Counter()
        self._retried = 0
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool = BlockingPool(workers)
        self._full = asyncio.Event()

    @property
    def stats(self) -> BatchStats:
        """What has been done so far."""
        return BatchStats(MappingProxyType(dict(self._sizes)), self._retried)

    async def run(self, item: In) -> Out:
        """Run one item in some batch.

        Raises:
            NodeError: If the batcher is closed, is in use on another event loop, or the function
                gave another number of results than it was given items.
            Exception: What the function raises for this item.
        """
        if self._closed:
            raise NodeError(self._name, "it is closed and takes no more")
        loop = self._bound()
        waiting: _Waiting[In, Out] = _Waiting(item, loop.time(), loop.create_future())
        self._queue.append(waiting)
        if len(self._queue) >= self._max_batch:
            self._full.set()
        if len(self._tasks) < self._workers:
            # In an empty context: a batch belongs to no single caller's span.
            task = loop.create_task(self._work(), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            with contextlib.suppress(ValueError):
                self._queue.remove(waiting)
            raise

    async def run_all(self, items: Iterable[In]) -> list[Out]:
        """Run several items, in batches with those of others; if one fails the rest are let go.

        Raises:
            Exception: What :meth:`run` raises for the first item that fails.
        """
        several = list(items)
        if len(several) == 1:
            return [await self.run(several[0])]
        tasks = [asyncio.ensure_future(self.run(item)) for item in several]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Take no more, and wait until what was handed in is done."""
        self._closed = True
        self._full.set()
        if self._tasks and self._loop is asyncio.get_running_loop():
            await asyncio.wait(set(self._tasks))

    def _bound(self) -> asyncio.AbstractEventLoop:
        """The running loop, with everything that belongs to a loop made anew for it."""
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return loop
        if self._loop is not None and not self._loop.is_closed() and self._tasks:
            raise NodeError(self._name, "it is in use on another event loop: make one for each")
        self._loop, self._pool, self._full = loop, BlockingPool(self._workers), asyncio.Event()
        # Whoever waited on a loop that is closed waits no more.
        self._queue.clear()
        self._tasks.clear()
        return loop

    async def _work(self) -> None:
        """Run batches until nobody waits."""
        try:
            while self._queue:
                if self._max_wait:
                    await self._gather()
                count = min(len(self._queue), self._max_batch)
                batch = [self._queue.popleft() for _ in range(count)]
                if len(self._queue) < self._max_batch:
                    self._full.clear()
                if batch:
                    await self._serve(batch)
        except asyncio.CancelledError:
            # The loop is ending; nobody else would ever answer those who wait.
            while self._queue:
                self._queue.popleft().answer.cancel()
            raise
        finally:
            # At once, not in a callback: who comes next must see that nobody is at work.
            task = asyncio.current_task()
            assert task is not None
            self._tasks.discard(task)

    async def _gather(self) -> None:
        """Wait until a batch is full, or its oldest item has waited long enough."""
        assert self._loop is not None
        until = self._queue[0].since + self._max_wait
        while self._queue and len(self._queue) < self._max_batch and not self._closed:
            self._full.clear()
            try:
                async with asyncio.timeout_at(until):
                    await self._full.wait()
            except TimeoutError:
                return

    async def _serve(self, batch: Sequence[_Waiting[In, Out]]) -> None:
        try:
            try:
                answers = await self._results(batch)
            except SetupError as error:
                _fail(batch, error)
            except Exception as error:  # noqa: BLE001 - goes to the callers, whatever it is
                if len(batch) == 1 or not self._retry:
                    _fail(batch, error)
                    return
                self._retried += 1
                await self._one_by_one(batch)
            else:
                for waiting, answer in zip(batch, answers, strict=True):
                    if not waiting.answer.done():
                        waiting.answer.set_result(answer)
        finally:
            # Only where the loop is ending, or a call ended the way that processes do.
            for waiting in batch:
                waiting.answer.cancel()

    async def _one_by_one(self, batch: Sequence[_Waiting[In, Out]]) -> None:
        for waiting in batch:
            if waiting.answer.done():
                continue
            try:
                (answer,) = await self._results([waiting])
            except Exception as error:  # noqa: BLE001 - goes to the caller
                _fail([waiting], error)
            else:
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)

    async def _results(self, batch: Sequence[_Waiting[In, Out]]) -> Sequence[Out]:
        items = [waiting.item for waiting in batch]
        self._sizes[len(items)] += 1
        answers = await self._pool.run(lambda: self._call(items))
        if len(answers) != len(items):
            raise NodeError(self._name, f"{len(answers)} results for {len(items)} items")
        return answers


def _fail(batch: Sequence[_Waiting[In, Out]], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
