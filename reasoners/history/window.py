"""The latest exchanges only."""

from __future__ import annotations

from collections.abc import Sequence

from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.history.contracts import CompressedHistory, HistoryTools
from affectgraph.reasoners.history.full import compressed
from affectgraph.reasoners.history.stepping import Steps
from affectgraph.reasoners.telling import RISK_LEVEL


class WindowHistory:
    """Tells so many exchanges at most; one more, and the window moves on to a share of them.

    Args:
        exchanges: Exchanges at most.
        budget: Tokens at most.
        share: Of each limit, what is left when the window has moved.
        spare: So many of the latest exchanges are never left out.
        risk_level: Nor those of this level of risk and above, 2 at most, which are told
            beside the window. Of level 2 and above the
            person's words are told whole, where need be beyond the budget.
        ceiling: Tokens at most even then; by default 4,000, or the budget if that is more. Older
            messages at risk that pass it are told in single sentences.

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
        ceiling: int | None = None,
    ) -> None:
        self._steps = Steps(budget, exchanges, share, spare, risk_level, ceiling=ceiling)

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """Choose what is told."""
        step = await self._steps.take(history, tools)
        return await compressed(step, history, tools)
