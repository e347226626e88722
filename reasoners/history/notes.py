"""What is kept with an exchange so that the next prompt begins as the last one did."""

from __future__ import annotations

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.tracing import span
from affectgraph.reasoners.context import Exchange, ReasoningContext, Recap
from affectgraph.reasoners.contracts import Backend
from affectgraph.reasoners.history.contracts import HistoryCompressor, HistoryTools
from affectgraph.reasoners.history.counting import counter
from affectgraph.reasoners.history.full import FullHistory
from affectgraph.reasoners.history.summary import SummaryHistory
from affectgraph.reasoners.layout import PromptLayout
from affectgraph.reasoners.prompts import Prompts
from affectgraph.reasoners.telling import RISK_LEVEL
from affectgraph.reasoners.telling import told as whole_told


class Notes:
    """Takes down, after a reply, what was told in the turn and what the next prompt will tell.

    Args:
        prompts: Writes the prompts.
        compressor: Chooses what is told; by default what fits the prompts' layout.
        backend: Counts tokens and, if the compressor wants it, sums up.
    """

    def __init__(
        self,
        prompts: Prompts,
        compressor: HistoryCompressor | None = None,
        backend: Backend | None = None,
    ) -> None:
        self._prompts = prompts
        self._compressor = compressor or fitting_history(prompts.layout)
        self._backend = backend
        self._count = counter(backend)

    async def note(
        self,
        context: ReasoningContext,
        exchange: Exchange,
        *,
        room: int | None = None,
        asked: bool = True,
        emotion: Distribution | None = None,
    ) -> Exchange:
        """The exchange with what was told in its turn and a recap for the next one.

        Leaves a span ``history`` with the tokens before and after, their ratio, whether the window
        moved, by how much the budget yielded to what was said at risk, and how much of that the
        context has no room for. A message at risk that was too long for its own turn's prompt is
        told whole from now on.

        Args:
            context: What the turn's prompts were written from.
            exchange: The exchange that came of it.
            room: Exchanges at most that the thread keeps.
            asked: Whether a language model was asked in the turn; crisis words need none.
            emotion: What was believed where nothing was perceived, if it chose the exemplars.
        """
        told = live = self._prompts.told(context) if asked else ""
        if asked and exchange.risk_level >= RISK_LEVEL:
            # The level was not known to who wrote the prompt: its words may have been cut.
            told = whole_told(context, self._prompts.layout, at_risk=True)
        said = exchange.model_copy(update={"told": told})
        tools = HistoryTools(self._printed, self._count, self._backend, room)
        opening = self._prompts.opening_of(context, emotion)
        with span("history", {"affectgraph.history": type(self._compressor).__name__}) as opened:
            found = await self._compressor.compress((*context.history, said), tools)
            opened.set_attributes(
                {
                    "affectgraph.history.tokens_before": found.tokens_before,
                    "affectgraph.history.tokens_after": found.tokens_after,
                    "affectgraph.history.ratio": found.ratio,
                    "affectgraph.history.exchanges": len(found.kept),
                    "affectgraph.history.moved": found.moved or told != live,
                    "affectgraph.history.over_budget": found.over,
                    "affectgraph.history.at_risk_in_sentences": found.apart,
                    "affectgraph.history.summary": found.source,
                }
            )
        recap = Recap(
            kept=tuple(kept.key for kept in found.kept),
            summary=found.summary,
            clip=found.clip,
            clipped=found.clipped,
            opening=opening,
            tokens=found.tokens_before,
        )
        return said.model_copy(update={"recap": recap})

    def _printed(self, exchange: Exchange, clip: int) -> str:
        return "\n".join(self._prompts.printed(exchange, clip))


def fitting_history(layout: PromptLayout) -> HistoryCompressor:
    """The compressor for a layout: small models repeat a summary, large ones use it."""
    if layout.define:
        return SummaryHistory(layout.history)
    return FullHistory(layout.history)
