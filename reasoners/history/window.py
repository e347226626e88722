"""The latest exchanges only."""

from __future__ import annotations

from collections.abc import Sequence

from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.history.contracts import CompressedHistory, HistoryTools
from affectgraph.reasoners.history.full import without_summary
from affectgraph.reasoners.history.stepping import RISK_LEVEL, Steps


class WindowHistory:
    """Tells so many exchanges at most; one more, and the window moves on to a share of them.

    Args:
        exchanges: Exchanges at most.
        budget: Tokens at most.
        share: Of each limit, what is left when the window has moved.
        spare: So many of the latest exchanges are never left out.
        risk_level: Nor those of this level of risk and above, which are told beside the window.

    Raises:
        BuildError: If a number makes no sense.
    """

    def __init__(
        self,
        exchanges: int = 8,
        *,
        budget: int = 3000,
        share: float = 0.5,
        spare: int = 2,
        risk_level: int = RISK_LEVEL,
    ) -> None:
        self._steps = Steps(budget, exchanges, share, spare, risk_level)

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """Choose what is told."""
        return without_summary(await self._steps.take(history, tools), history)
