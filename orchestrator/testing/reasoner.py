"""A reasoner with a script, at the pace of a small language model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import MESC_10


class ScriptedReasoner:
    """Decides what it is told to decide and says what it is told to say, word by word.

    Args:
        says: The response.
        user_emotion: MESC-7 label.
        strategy: MESC-10 label.
        system_emotion: MESC-7 label.
        seconds_per_word: Pace; a small model on two cores makes some thirty tokens a second.
        fault: Fail or hang.
        after: How many words are said before the fault; -1 for before the first decision.

    Attributes:
        contexts: What it was asked with, oldest first.
        closed: How often a generation was stopped or ended.
    """

    def __init__(
        self,
        says: str = "That sounds hard. What is on your mind most?",
        *,
        user_emotion: str = "sadness",
        strategy: str = "Open questions",
        system_emotion: str = "neutral",
        seconds_per_word: float = 0.002,
        fault: Literal["fails", "hangs"] | None = None,
        after: int = -1,
    ) -> None:
        self.contexts: list[ReasoningContext] = []
        self.closed = 0
        self._says, self._pace = says, seconds_per_word
        self._fault, self._after = fault, after
        self._decisions: Sequence[Decision] = (
            Decision(
                stage="user_emotion",
                distribution=Distribution.certain(MESC_7, user_emotion),
                label=user_emotion,
                source="script",
            ),
            Decision(
                stage="strategy",
                distribution=Distribution.certain(MESC_10, strategy),
                label=strategy,
                source="script",
            ),
            Decision(
                stage="system_emotion",
                distribution=Distribution.certain(MESC_7, system_emotion),
                label=system_emotion,
                source="script",
            ),
        )

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to close."""

    async def reason(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """The decisions, then the words of the response."""
        self.contexts.append(context)
        try:
            if self._after < 0:
                await self._maybe_fault()
            for decision in self._decisions:
                yield decision
            for said, word in enumerate(self._says.split(" ")):
                if said == self._after:
                    await self._maybe_fault()
                await asyncio.sleep(self._pace)
                yield word if said == 0 else f" {word}"
        finally:
            self.closed += 1

    async def _maybe_fault(self) -> None:
        if self._fault == "hangs":
            await asyncio.Event().wait()
        if self._fault == "fails":
            raise BackendError("script", "made to fail")
