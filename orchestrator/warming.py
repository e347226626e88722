"""Loading all models side by side, once."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Final

from affectgraph.orchestrator.parts import Parts
from affectgraph.perceivers.blocking import BlockingPool

log = logging.getLogger(__name__)

CLOSING_SECONDS: Final = 10.0
"""How long closing waits for models that are still loading."""


class Warming:
    """The one task that warms an agent's parts up; begun at the first call.

    Args:
        parts: What to warm up.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._task: asyncio.Task[list[Exception]] | None = None

    def begin(self) -> asyncio.Task[list[Exception]]:
        """The task; its result are the failures."""
        if self._task is None:
            self._task = asyncio.create_task(self._warm_up())
        return self._task

    async def end(self) -> None:
        """Wait for what is loading: a process that ends in an import of torch ends noisily."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=CLOSING_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _warm_up(self) -> list[Exception]:
        parts = self._parts
        # The reasoner first: it loads longest.
        reasoner = asyncio.ensure_future(parts.reasoner.warm_up())
        perceivers = [asyncio.ensure_future(p.warm_up()) for p in parts.perceivers]

        async def in_time_for_recall() -> None:
            # Imports cannot run side by side: those of the memory would hold up the reasoner's.
            await asyncio.gather(*perceivers, return_exceptions=True)
            await BlockingPool(size=1).run(parts.safety.triage.warm_up)
            if parts.memory is not None:
                await parts.memory.warm_up()

        # Imports and models make many objects and no garbage: looking for some costs a tenth.
        collecting = gc.isenabled()
        gc.disable()
        try:
            results = await asyncio.gather(
                reasoner, *perceivers, in_time_for_recall(), return_exceptions=True
            )
        finally:
            if collecting:
                gc.enable()
        failures = [result for result in results if isinstance(result, Exception)]
        for failure in failures:
            log.warning("a part did not warm up: %s", type(failure).__name__)
        return failures
