"""The whole conversation, as far as a budget allows."""

from __future__ import annotations

from collections.abc import Sequence

from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.history.contracts import CompressedHistory, HistoryTools
from affectgraph.reasoners.history.stepping import Step, Steps
from affectgraph.reasoners.telling import RISK_LEVEL


class FullHistory:
    """Tells every exchange until they pass the budget; then the oldest are left out.

    Args:
        budget: Tokens at most.
        share: Of the budget, what is left after that.
        spare: So many of the latest exchanges are never left out.
        risk_level: Nor those of this level of risk and above, 2 at most. Of level 2 and above the
            person's words are told whole, where need be beyond the budget.
        ceiling: Tokens at most even then; by default 4,000, or the budget if that is more. Older
            messages at risk that pass it are told in single sentences.

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
        ceiling: int | None = None,
    ) -> None:
        self._steps = Steps(budget, None, share, spare, risk_level, ceiling=ceiling)

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """Choose what is told."""
        step = await self._steps.take(history, tools)
        return await compressed(step, history, tools)


async def compressed(
    step: Step,
    history: Sequence[Exchange],
    tools: HistoryTools,
    summary: str = "",
    source: str = "",
) -> CompressedHistory:
    """What a step leaves of a history.

    Args:
        step: What is told.
        history: Exchanges of the thread.
        tools: What the reasoner lends.
        summary: Of what the step and those before it dropped, where it was written anew.
        source: What wrote that.
    """
    changed = step.moved or bool(source)
    text = "\n".join(filter(None, (*step.lines, summary))) if changed else step.before
    tokens = sum(await tools.count([text])) if text else 0
    told = step.tokens_after + tokens
    return CompressedHistory(
        kept=tuple(history[i] for i in step.kept),
        summary=text,
        clip=step.clip,
        clipped=step.clipped,
        moved=changed,
        tokens_before=step.tokens_before,
        tokens_after=told,
        source=source,
        over=max(0, told - step.budget),
        apart=step.apart,
    )
