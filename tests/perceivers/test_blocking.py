from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from affectgraph.perceivers.blocking import BlockingPool

mark: contextvars.ContextVar[str] = contextvars.ContextVar("mark", default="unset")


async def test_a_call_runs_on_a_thread_in_the_callers_context() -> None:
    mark.set("here")
    thread, seen = await BlockingPool().run(lambda: (threading.current_thread(), mark.get()))
    assert thread is not threading.current_thread()
    assert thread.daemon
    assert seen == "here"


async def test_an_error_reaches_the_awaiter() -> None:
    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        await BlockingPool().run(fail)


async def test_as_many_calls_run_as_there_are_places_and_no_more() -> None:
    pool, running, most = BlockingPool(size=2), 0, 0
    guard = threading.Lock()
    # Passed only by two calls at a time: with one place it would break after its time-out.
    pair = threading.Barrier(2, timeout=5)

    def work() -> None:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        pair.wait()
        with guard:
            running -= 1

    await asyncio.gather(*(pool.run(work) for _ in range(4)))
    assert most == 2


async def test_a_cancelled_awaiter_returns_while_the_call_goes_on() -> None:
    pool, gate, ended = BlockingPool(size=1), threading.Event(), threading.Event()

    def work() -> None:
        gate.wait(timeout=5)
        ended.set()

    call = asyncio.create_task(pool.run(work))
    await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not ended.is_set()
    gate.set()
    assert await pool.run(lambda: ended.wait(timeout=5))
