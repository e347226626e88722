"""What the suites share whose parts are called on the event loop."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Final, TypeVar

from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, run, want
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.orchestrator.testing.conformance.watch import (
    Heartbeat,
    blocking_calls_raise,
    lasting_tasks,
    lasting_threads,
)

P = TypeVar("P")
In = TypeVar("In")
Out = TypeVar("Out")

PROMPT: Final = 5.0
"""Seconds that a cancelled call may take to end."""

HELD: Final = 0.25
"""Seconds of processor time that one step may hold the event loop."""


class OnTheLoop(Suite[P, In, Out]):
    """For parts that are called on the event loop, asynchronous or not."""

    def test_the_event_loop_is_not_blocked(self) -> None:
        """One part that holds the loop holds every conversation of the process."""
        part = self.make()
        samples = self.samples()
        contract = f"{self.who} never blocks the event loop"

        async def watched() -> float:
            await self.prepare(part)
            try:
                async with Heartbeat() as heart:
                    for sample in samples:
                        await self.ask(part, sample)
            finally:
                await self.release(part)
            return heart.longest

        with blocking_calls_raise(part) as blocked:
            try:
                held = run(watched())
            except Exception as error:
                if blocked is None or not isinstance(error, blocked):
                    raise
                raise NonconformityError(
                    f"{contract}: send blocking calls through BlockingPool ({error})."
                ) from error
        want(
            held < HELD,
            f"{contract}: send computation through BlockingPool (one step took {held:.2f} s).",
        )


class AsyncSuite(OnTheLoop[P, In, Out]):
    """For parts whose one call is asynchronous."""

    async def first(self, part: P, sample: In) -> Out:
        """The one call, made on a part that nothing has prepared."""
        return await self.ask(part, sample)

    def test_warming_up_twice_or_at_once_is_harmless(self) -> None:
        """``warm_up`` is called by whoever needs the part; several may at the same time."""
        part, sample = self.make(), self.samples()[0]

        async def warmed() -> Out:
            try:
                await asyncio.gather(*(self.warm(part) for _ in range(3)))
                await self.warm(part)
            except Exception as error:
                raise NonconformityError(
                    f"warm_up of {self.who.lower()} may be called again, and by several at once"
                    f" ({type(error).__name__})."
                ) from error
            try:
                return await self.first(part, sample)
            finally:
                await self.release(part)

        want(
            self._as_ever(sample, run(warmed())),
            f"{self.who} that was warmed up twice answers as it does otherwise.",
        )

    def test_it_answers_while_it_is_warming_up(self) -> None:
        """The first turn does not wait for ``warm_up``: it runs beside it."""
        part, sample = self.make(), self.samples()[0]
        contract = (
            f"{self.who} that is asked before warm_up has ended loads what it needs, or"
            " waits for it"
        )

        async def beside() -> Out:
            warming = asyncio.create_task(self.warm(part))
            try:
                return await self.first(part, sample)
            except Exception as error:
                raise NonconformityError(f"{contract} ({type(error).__name__}).") from error
            finally:
                await asyncio.wait([warming])
                await self.release(part)

        want(self._as_ever(sample, run(beside())), f"{contract}: it answers as it does later.")

    def test_calls_side_by_side_do_not_mix(self) -> None:
        """One part serves all conversations of a process."""
        if not self.deterministic:
            return
        apart = [answer for _, answer in self._answers(self.samples())]
        part = self.make()
        samples = self.samples()

        async def together() -> list[Out]:
            await self.prepare(part)
            try:
                return await asyncio.gather(*(self.ask(part, sample) for sample in samples))
            finally:
                await self.release(part)

        for one, other in zip(apart, run(together()), strict=True):
            want(
                self._same(one, other),
                f"{self.who} keeps calls apart that run side by side: an answer depends"
                " on its own input alone.",
            )

    def test_cancelling_ends_a_call(self) -> None:
        """A time limit, a barge-in and a shutdown all come as a cancellation."""
        part, sample = self.make(), self.samples()[0]
        contract = f"{self.who} that is cancelled ends at once and lets the cancellation out"

        async def cancelled() -> None:
            await self.prepare(part)
            swallowed = 0
            try:
                for wait in (*_TICKS, 0.001, 0.004):
                    task = asyncio.ensure_future(self.ask(part, sample))
                    await _after(wait)
                    if task.done():
                        continue
                    task.cancel()
                    await asyncio.wait([task], timeout=PROMPT)
                    want(task.done(), f"{contract}: it still runs {PROMPT:g} s later.")
                    swallowed += not task.cancelled()
                    with suppress(asyncio.CancelledError, Exception):
                        task.result()
                # Once may be a race inside of asyncio itself (wait_for in Python 3.11).
                want(swallowed < 2, f"{contract}: it went on instead.")
                try:
                    await self.ask(part, sample)
                except Exception as error:
                    raise NonconformityError(
                        f"{self.who} answers again after a call was cancelled"
                        f" ({type(error).__name__})."
                    ) from error
            finally:
                await self.release(part)

        run(cancelled())

    def test_nothing_is_left_running(self) -> None:
        """No task and no thread outlives a call, whether it ended or was cancelled."""
        part = self.make()
        samples = self.samples()
        threads = set(threading.enumerate())

        async def left() -> list[str]:
            await self.prepare(part)
            before = asyncio.all_tasks()
            try:
                for sample in samples:
                    await self.ask(part, sample)
                task = asyncio.ensure_future(self.ask(part, samples[0]))
                await _after(3)
                task.cancel()
                await asyncio.wait([task], timeout=PROMPT)
                if not task.cancelled():
                    task.exception()
                return await lasting_tasks(before | {task})
            finally:
                await self.release(part)

        tasks = run(left())
        want(not tasks, f"{self.who} leaves no task behind when a call ends.")
        lasting = lasting_threads(threads)
        want(not lasting, f"{self.who} leaves no thread behind that keeps Python alive.")

    def _as_ever(self, sample: In, answer: Out) -> bool:
        """Whether an answer is what a part gives that was warmed up once."""
        if not self.deterministic:
            return True
        ((_, usual),) = self._answers([sample])
        return self._same(usual, answer)


_TICKS: Final = (1, 2, 3, 5, 8)


async def _after(wait: float) -> None:
    """Let so many turns of the loop pass, or a part of a second."""
    if wait < 1:
        await asyncio.sleep(wait)
        return
    for _ in range(int(wait)):
        await asyncio.sleep(0)
