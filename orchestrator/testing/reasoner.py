"""Reasoners and stages with a script, at the pace of a small language model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

from affectgraph.orchestrator.testing.faults import SLOWER, Fault, WrongType, take
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Decision, LabelStageName
from affectgraph.reasoners.stages import SmesStaged
from affectgraph.reasoners.taxonomy import MESC_10

SAYS = "That sounds hard. What is on your mind most?"


class _Script:
    """Says words at a pace, with a fault after some of them."""

    def __init__(
        self, says: str, *, seconds_per_word: float, fault: Fault | None, after: int
    ) -> None:
        self.contexts: list[ReasoningContext] = []
        self.closed = 0
        self._says = says
        self._pace = seconds_per_word * (SLOWER if fault == "slow" else 1.0)
        self._fault, self._after = fault, after

    async def _words(self) -> AsyncIterator[str]:
        for said, word in enumerate(self._says.split(" ")):
            if said == self._after:
                await self._maybe_fault()
            await asyncio.sleep(self._pace)
            if self._fault == "wrong type" and said == max(0, self._after):
                yield cast("str", WrongType())
            yield word if said == 0 else f" {word}"

    async def _maybe_fault(self) -> None:
        if self._fault == "hangs":
            await asyncio.Event().wait()
        if self._fault == "fails":
            raise BackendError("script", "made to fail")


class ScriptedReasoner(_Script):
    """Decides what it is told to decide and says what it is told to say, word by word.

    Args:
        says: The response.
        user_emotion: MESC-7 label.
        strategy: MESC-10 label.
        system_emotion: MESC-7 label.
        seconds_per_word: Pace; a small model on two cores makes some thirty tokens a second.
        fault: What goes wrong.
        after: How many words are said before it fails, hangs or gives a wrong type; -1 for
            before the first decision.

    Attributes:
        contexts: What it was asked with, oldest first.
        closed: How often a generation was stopped or ended.
    """

    def __init__(
        self,
        says: str = SAYS,
        *,
        user_emotion: str = "sadness",
        strategy: str = "Open questions",
        system_emotion: str = "neutral",
        seconds_per_word: float = 0.002,
        fault: Fault | None = None,
        after: int = -1,
    ) -> None:
        super().__init__(says, seconds_per_word=seconds_per_word, fault=fault, after=after)
        self._decisions: Sequence[Decision] = (
            _decided("user_emotion", MESC_7, user_emotion),
            _decided("strategy", MESC_10, strategy),
            _decided("system_emotion", MESC_7, system_emotion),
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
            async for word in self._words():
                yield word
        finally:
            self.closed += 1


class ScriptedHead:
    """A trained head that reads what it is told to.

    Args:
        weights: Weight by label of the set; the others weigh nothing.
        labels: What it reads over; an emotion is the user's.
        seconds: Time for a reading.
        fault: What goes wrong.

    Attributes:
        contexts: What it was asked with, oldest first.
        warmed: How often it was warmed up.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        *,
        labels: LabelSet = MESC_10,
        seconds: float = 0.002,
        fault: Fault | None = None,
    ) -> None:
        self.stage: LabelStageName = "strategy" if labels.kind == "strategy" else "user_emotion"
        self.labels = labels
        self.contexts: list[ReasoningContext] = []
        self.warmed = 0
        self._told = Distribution.over(labels, weights or {labels.labels[0]: 1.0})
        self._seconds, self._fault = seconds, fault

    async def warm_up(self) -> None:
        """Nothing to load."""
        self.warmed += 1

    async def read(self, context: ReasoningContext) -> Distribution | None:
        """The distribution that it was told to give."""
        self.contexts.append(context)
        await take(self._seconds, self._fault, "head")
        return cast("Distribution", WrongType()) if self._fault == "wrong type" else self._told


class ScriptedStage:
    """Decides one label, the one that it is told to.

    Args:
        stage: Which label it decides.
        label: The label; MESC-7 for an emotion, MESC-10 for a strategy.
        seconds: Time for a decision.
        fault: What goes wrong.

    Attributes:
        contexts: What it was asked with, oldest first.
    """

    def __init__(
        self,
        stage: LabelStageName,
        label: str,
        *,
        seconds: float = 0.005,
        fault: Fault | None = None,
    ) -> None:
        self.stage: LabelStageName = stage
        self.contexts: list[ReasoningContext] = []
        labels = MESC_10 if stage == "strategy" else MESC_7
        self._decision = _decided(stage, labels, label)
        self._seconds, self._fault = seconds, fault

    async def decide(self, context: ReasoningContext) -> Decision:
        """The decision that it was told to make."""
        self.contexts.append(context)
        if self._fault == "hangs":
            await asyncio.Event().wait()
        await asyncio.sleep(self._seconds * (SLOWER if self._fault == "slow" else 1.0))
        if self._fault == "fails":
            raise BackendError("script", "made to fail")
        if self._fault == "wrong type":
            return cast("Decision", WrongType())
        return self._decision


class ScriptedResponse(_Script):
    """Says what it is told to say, word by word, whatever the plan.

    Args:
        says: The response.
        seconds_per_word: Pace.
        fault: What goes wrong.
        after: How many words are said before it fails, hangs or gives a wrong type; -1 for
            before anything.

    Attributes:
        contexts: What it was asked with, oldest first.
        closed: How often a generation was stopped or ended.
    """

    def __init__(
        self,
        says: str = SAYS,
        *,
        seconds_per_word: float = 0.002,
        fault: Fault | None = None,
        after: int = -1,
    ) -> None:
        super().__init__(says, seconds_per_word=seconds_per_word, fault=fault, after=after)

    async def respond(self, context: ReasoningContext) -> AsyncIterator[str]:
        """The words of the response."""
        self.contexts.append(context)
        try:
            if self._after < 0:
                await self._maybe_fault()
            async for word in self._words():
                yield word
        finally:
            self.closed += 1


def scripted_staged(
    says: str = SAYS,
    *,
    user_emotion: str = "sadness",
    strategy: str = "Open questions",
    system_emotion: str = "neutral",
) -> SmesStaged:
    """The staged form of :class:`ScriptedReasoner`: three stages and a response with a script."""
    return SmesStaged(
        (
            ScriptedStage("user_emotion", user_emotion),
            ScriptedStage("strategy", strategy),
            ScriptedStage("system_emotion", system_emotion),
        ),
        ScriptedResponse(says),
    )


def _decided(stage: LabelStageName, labels: LabelSet, label: str) -> Decision:
    belief = Distribution.certain(labels, label)
    return Decision(stage=stage, distribution=belief, label=label, source="script")
