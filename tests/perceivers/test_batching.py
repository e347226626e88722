"""Items of many callers in one call, each with its own result."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.batching import MicroBatcher
from affectgraph.perceivers.errors import NodeError, SetupError


class Gate:
    """A batch function that waits to be let through, and remembers what it was given."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun = threading.Event()
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.set()
        assert self.open.wait(timeout=10)
        return [10 * item for item in items]

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, 10)


def tenfold(items: Sequence[int]) -> list[int]:
    return [10 * item for item in items]


async def test_concurrent_callers_share_one_call() -> None:
    batcher = MicroBatcher(tenfold, max_batch=8)
    assert await asyncio.gather(*(batcher.run(n) for n in range(5))) == [0, 10, 20, 30, 40]
    assert dict(batcher.stats.sizes) == {5: 1}


async def test_a_lone_caller_waits_for_nobody() -> None:
    batcher = MicroBatcher(tenfold)
    assert [await batcher.run(n) for n in range(3)] == [0, 10, 20]
    assert dict(batcher.stats.sizes) == {1: 3}


async def test_items_gather_while_a_batch_runs_and_keep_their_order() -> None:
    gate = Gate()
    batcher = MicroBatcher(gate, max_batch=3)
    calls = [asyncio.create_task(batcher.run(0))]
    await gate.has_begun()
    calls += [asyncio.create_task(batcher.run(n)) for n in range(1, 6)]
    await asyncio.sleep(0)
    gate.open.set()
    assert await asyncio.gather(*calls) == [0, 10, 20, 30, 40, 50]
    assert gate.batches == [[0], [1, 2, 3], [4, 5]]


async def test_with_a_wait_the_first_batch_is_full() -> None:
    batcher = MicroBatcher(tenfold, max_batch=3, max_wait=60)
    calls = []
    for n in range(3):
        calls.append(asyncio.create_task(batcher.run(n)))
        await asyncio.sleep(0.001)
    assert await asyncio.gather(*calls) == [0, 10, 20]
    assert dict(batcher.stats.sizes) == {3: 1}


async def test_a_wait_ends() -> None:
    batcher = MicroBatcher(tenfold, max_batch=3, max_wait=0.01)
    assert await batcher.run(7) == 70
    assert dict(batcher.stats.sizes) == {1: 1}


async def test_only_the_caller_with_the_bad_item_sees_its_error() -> None:
    def inverse(items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    batcher = MicroBatcher(inverse)
    results = await asyncio.gather(*map(batcher.run, [1, 0, 4]), return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], ZeroDivisionError)
    assert results[2] == 0.25
    assert batcher.stats.retried == 1


async def test_without_retry_a_batch_fails_as_a_whole() -> None:
    def fail(items: Sequence[int]) -> list[int]:
        raise ValueError("bad")

    batcher = MicroBatcher(fail, retry=False)
    results = await asyncio.gather(*map(batcher.run, [1, 2]), return_exceptions=True)
    assert all(isinstance(result, ValueError) for result in results)
    assert batcher.stats.batches == 1


async def test_a_missing_model_is_not_asked_for_again() -> None:
    def missing(items: Sequence[int]) -> list[int]:
        raise SetupError("no model")

    batcher = MicroBatcher(missing)
    results = await asyncio.gather(*map(batcher.run, [1, 2]), return_exceptions=True)
    assert all(isinstance(result, SetupError) for result in results)
    assert batcher.stats.batches == 1


async def test_a_wrong_number_of_results_is_told() -> None:
    def short(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    with pytest.raises(NodeError, match="'short': 0 results for 1 items"):
        await MicroBatcher(short, name="short").run(1)


async def test_a_cancelled_caller_s_item_is_not_run() -> None:
    gate = Gate()
    batcher = MicroBatcher(gate)
    first, gone, last = (asyncio.create_task(batcher.run(n)) for n in range(3))
    batcher_busy = asyncio.create_task(gate.has_begun())
    gone.cancel()  # before the loop has run anything of it
    await batcher_busy
    late = asyncio.create_task(batcher.run(3))
    await asyncio.sleep(0)
    late.cancel()
    gate.open.set()
    assert await first == 0
    assert await last == 20
    for call in (gone, late):
        with pytest.raises(asyncio.CancelledError):
            await call
    await batcher.close()
    assert gate.batches == [[0, 2]]


async def test_the_others_of_a_running_batch_go_on_when_one_leaves() -> None:
    gate = Gate()
    batcher = MicroBatcher(gate)
    leaves, stays = (asyncio.create_task(batcher.run(n)) for n in (1, 2))
    await gate.has_begun()
    leaves.cancel()
    gate.open.set()
    assert await stays == 20
    with pytest.raises(asyncio.CancelledError):
        await leaves


async def test_workers_run_side_by_side() -> None:
    # Passed only by two at a time.
    pair = threading.Barrier(2, timeout=10)

    def meet(items: Sequence[int]) -> Sequence[int]:
        pair.wait()
        return items

    batcher = MicroBatcher(meet, max_batch=1, workers=2)
    assert await batcher.run_all([1, 2]) == [1, 2]


async def test_closing_awaits_what_was_handed_in_and_takes_no_more() -> None:
    gate = Gate()
    batcher = MicroBatcher(gate, max_batch=1)
    calls = [asyncio.create_task(batcher.run(n)) for n in range(2)]
    await gate.has_begun()
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    assert not closing.done()
    gate.open.set()
    await closing
    assert [call.result() for call in calls] == [0, 10]
    with pytest.raises(NodeError, match="closed"):
        await batcher.run(2)


async def test_no_task_lives_on_when_nothing_is_to_do() -> None:
    batcher = MicroBatcher(tenfold)
    await batcher.run_all(range(10))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_several_items_of_one_caller_fail_together() -> None:
    def inverse(items: Sequence[int]) -> list[float]:
        return [1 / item for item in items]

    batcher = MicroBatcher(inverse)
    with pytest.raises(ZeroDivisionError):
        await batcher.run_all([1, 0, 4])
    assert await batcher.run_all([]) == []


async def test_a_batch_runs_in_no_callers_context() -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    def told(items: Sequence[int]) -> list[str]:
        return [who.get() for _ in items]

    who.set("the caller")
    assert await MicroBatcher(told).run(1) == "nobody"


def test_one_loop_after_another_may_use_it() -> None:
    gate = Gate()
    batcher = MicroBatcher(gate)

    async def leave_in_the_middle() -> None:
        asyncio.create_task(batcher.run(1))  # noqa: RUF006 - left with its loop
        await gate.has_begun()

    asyncio.run(leave_in_the_middle())
    gate.open.set()
    assert asyncio.run(batcher.run(2)) == 20


def test_two_loops_at_once_may_not() -> None:
    gate = Gate()
    batcher = MicroBatcher(gate)

    async def here() -> None:
        call = asyncio.create_task(batcher.run(1))
        await gate.has_begun()
        with pytest.raises(NodeError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(batcher.run(2)))
        gate.open.set()
        assert await call == 10

    asyncio.run(here())


@pytest.mark.parametrize(("batch", "workers", "wait"), [(0, 1, 0.0), (1, 0, 0.0), (1, 1, -1.0)])
def test_numbers_out_of_range_are_refused(batch: int, workers: int, wait: float) -> None:
    with pytest.raises(SetupError, match="at least"):
        MicroBatcher(tenfold, max_batch=batch, workers=workers, max_wait=wait)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 25),
    max_batch=st.integers(1, 7),
    workers=st.integers(1, 3),
    max_wait=st.sampled_from([0.0, 0.002]),
)
def test_everyone_gets_the_result_of_their_own_item(
    seed: int, count: int, max_batch: int, workers: int, max_wait: float
) -> None:
    """Under random arrivals, cancellations, failures and pace; nothing is run that never came."""
    choose = random.Random(seed)  # noqa: S311 - no secret
    bad = {n for n in range(count) if choose.random() < 0.1}
    largest = 0

    def work(items: Sequence[int]) -> list[int]:
        nonlocal largest
        largest = max(largest, len(items))
        if choose.random() < 0.3:
            threading.Event().wait(0.001)
        if bad.intersection(items):
            raise ValueError(str(sorted(bad.intersection(items))))
        return [10 * item for item in items]

    async def session(batcher: MicroBatcher[int, int], item: int) -> int | None:
        await asyncio.sleep(choose.choice([0, 0, 0.001, 0.003]))
        call = asyncio.create_task(batcher.run(item))
        if choose.random() < 0.3:
            await asyncio.sleep(choose.choice([0, 0.001]))
            call.cancel()
        with contextlib.suppress(asyncio.CancelledError, ValueError):
            return await call
        return None

    async def everyone() -> None:
        batcher = MicroBatcher(work, max_batch=max_batch, workers=workers, max_wait=max_wait)
        answers = await asyncio.gather(*(session(batcher, n) for n in range(count)))
        await batcher.close()
        for item, answer in enumerate(answers):
            assert answer is None or (answer == 10 * item and item not in bad)
        assert len(asyncio.all_tasks()) == 1
        assert largest <= max_batch

    asyncio.run(everyone())
