"""A bounded place for blocking work, so that nothing blocks the event loop.

Model calls hold the processor in native code and cannot be interrupted. They run on daemon
threads: a call that hangs is abandoned by its awaiter and cannot keep the process alive.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class BlockingPool:
    """Runs blocking calls on daemon threads, at most ``size`` at a time.

    Args:
        size: Calls that may run side by side. An abandoned call keeps its place until it ends,
            so a part that hangs can starve only its own pool.
    """

    def __init__(self, size: int = 2) -> None:
        self._slots = asyncio.Semaphore(size)

    async def run(self, call: Callable[[], T]) -> T:
        """Run ``call`` on a thread, in the current context, and await its result.

        Cancelling the awaiter returns at once and leaves the thread to end by itself.
        """
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: T | None, error: BaseException | None) -> None:
            self._slots.release()
            if future.cancelled():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result: T | None = None
            failure: BaseException | None = None
            try:
                result = context.run(call)
            except BaseException as error:  # noqa: BLE001 - handed to the awaiter, whatever it is
                failure = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, failure)

        threading.Thread(target=work, name="affectgraph-blocking", daemon=True).start()
        return await future
