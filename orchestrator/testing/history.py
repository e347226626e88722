"""A fake compressor of histories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from affectgraph.orchestrator.testing.faults import Fault, WrongType, take
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.history import CompressedHistory, FullHistory, HistoryTools


class FakeHistory:
    """Tells up to 500 tokens, after the time that it was told to take.

    Args:
        seconds: Time that it takes.
        fault: What goes wrong when it is asked.

    Attributes:
        seen: Histories that it was asked with, oldest first.
    """

    def __init__(self, *, seconds: float = 0.001, fault: Fault | None = None) -> None:
        self.seen: list[tuple[Exchange, ...]] = []
        self._seconds, self._fault = seconds, fault
        self._all = FullHistory(500)

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """As much as fits."""
        self.seen.append(tuple(history))
        await take(self._seconds, self._fault, "history")
        if self._fault == "wrong type":
            return cast("CompressedHistory", WrongType())
        return await self._all.compress(history, tools)
