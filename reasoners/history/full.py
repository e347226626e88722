"""The whole conversation, as far as a budget allows."""

from __future__ import annotations

from collections.abc import Sequence

from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.history.contracts import CompressedHistory, HistoryTools
from affectgraph.reasoners.history.stepping import RISK_LEVEL, Step, Steps


class FullHistory:
    """Tells every exchange until they pass the budget; then the oldest are left out.

    Args:
        budget: Tokens at most.
        share: Of the budget, what is left after that.
        spare: So many of the latest exchanges are never left out.
        risk_level: Nor those of this level of risk and above.

    Raises:
        BuildError: If a number makes no sense.
    """

    def __init__(
        self,
        budget: int = 3000,
        *,
        share: float = 0.5,
        spare: int = 2,
        risk_level: int = RISK_LEVEL,
    ) -> None:
        self._steps = Steps(budget, None, share, spare, risk_level)

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """Choose what is told."""
        return without_summary(await self._steps.take(history, tools), history)


def without_summary(step: Step, history: Sequence[Exchange]) -> CompressedHistory:
    """A step whose dropped exchanges leave nothing behind."""
    return CompressedHistory(
        kept=tuple(history[i] for i in step.kept),
        clip=step.clip,
        clipped=step.clipped,
        moved=step.moved,
        tokens_before=step.tokens_before,
        tokens_after=step.tokens_after,
    )
