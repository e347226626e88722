"""Experts: what a label stage goes by, beside the language model's own choice."""

from __future__ import annotations

from typing import Literal, Protocol

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, LabelHead
from affectgraph.reasoners.stages.completion import CompletionScore, Score
from affectgraph.reasoners.tables import asks_for_advice, strategy_weights, tone_weights

Source = Literal["affect", "score", "choice", "head", "rule"]
"""Where an opinion on a label comes from: the perceived affect; the label's log-probability
after the message; the model's choice under a constraint; a trained head; a table."""


class Expert(Protocol):
    """One opinion on a label."""

    source: Source

    async def warm_up(self) -> None:
        """Load what it needs."""
        ...

    async def read(
        self, context: ReasoningContext, emotion: Distribution | None
    ) -> Distribution | None:
        """Probabilities over the stage's labels; ``None`` where it has nothing to go by.

        Args:
            context: What is known.
            emotion: Belief over MESC-7 of what the person feels, where a stage before it or
                perception has one.
        """
        ...


class AffectExpert:
    """The perceived affect, told in MESC-7."""

    source: Source = "affect"

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def read(
        self, context: ReasoningContext, emotion: Distribution | None
    ) -> Distribution | None:
        """What was perceived; ``None`` if nothing was."""
        del emotion
        return None if context.affect is None else context.affect.distribution.to(MESC_7)


class ScoreExpert:
    """Completion scores of a backend that has ``score``.

    Args:
        backend: The language model.
        labels: What is scored.
        completion: How.
        enough: Confidence of the perceived affect from which the model is not read: its reading
            costs a pass and would hardly change the top.
    """

    source: Source = "score"

    def __init__(
        self,
        backend: Backend,
        labels: LabelSet,
        *,
        completion: CompletionScore | None = None,
        enough: float = 0.9,
    ) -> None:
        self._labels, self._completion = labels, completion or CompletionScore()
        self._enough = enough
        # Looked up by name, not by protocol: a wrapping backend passes abilities on.
        self._score: Score | None = getattr(backend, "score", None)
        self._empty: list[float] | None = None

    async def warm_up(self) -> None:
        """Nothing: the empty message is scored with the first one."""

    async def read(
        self, context: ReasoningContext, emotion: Distribution | None
    ) -> Distribution | None:
        """Scores of the message; ``None`` without the ability, words, or any need."""
        del emotion
        sure = context.affect is not None and context.affect.confidence >= self._enough
        if self._score is None or sure or not context.utterance.strip():
            return None
        if self._empty is None:
            self._empty = await self._completion.empty(self._score, self._labels)
        return await self._completion.read(
            self._score, context.utterance, self._labels, self._empty
        )


class HeadExpert:
    """A trained head.

    Args:
        head: The head.
    """

    source: Source = "head"

    def __init__(self, head: LabelHead) -> None:
        self._head = head

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the head uses."""
        return models_of(self._head)

    async def warm_up(self) -> None:
        """Load the head's weights."""
        await self._head.warm_up()

    async def read(
        self, context: ReasoningContext, emotion: Distribution | None
    ) -> Distribution | None:
        """What the head reads."""
        del emotion
        return await self._head.read(context)


class StrategyTable:
    """What is usual now, by a table (see :func:`~affectgraph.reasoners.tables.strategy_weights`).

    Args:
        strategies: The label set.
    """

    source: Source = "rule"

    def __init__(self, strategies: LabelSet) -> None:
        self._strategies = strategies

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def read(self, context: ReasoningContext, emotion: Distribution | None) -> Distribution:
        """The table's weights for this turn."""
        decided = [e.plan.strategy.label for e in context.history[-2:] if e.plan.strategy]
        weights = strategy_weights(
            self._strategies,
            emotion,
            first=not context.history,
            advice=asks_for_advice(context.utterance),
            avoid=tuple(label for label in decided if label in self._strategies),
        )
        return Distribution.over(self._strategies, weights)


class ToneTable:
    """Which tone fits what the person feels, by a table."""

    source: Source = "rule"

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def read(self, context: ReasoningContext, emotion: Distribution | None) -> Distribution:
        """The table's weights."""
        del context
        return Distribution.over(MESC_7, tone_weights(emotion))
