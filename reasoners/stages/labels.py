"""The three label stages of SMES (Chu et al.): user emotion, strategy, system emotion.

Each multiplies its experts, bars what may not be chosen, and asks the language model among what
is left, if the model's choice has a say. The joint form weighs alike, so both forms decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from opentelemetry import trace

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError, BuildError, SetupError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.beliefs import floored, product, within
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, LabelHead, LabelStage
from affectgraph.reasoners.definitions import UNFIT_FOR_AN_AI
from affectgraph.reasoners.plan import Decision, LabelStageName
from affectgraph.reasoners.prompts import Prompts
from affectgraph.reasoners.stages.completion import CompletionScore
from affectgraph.reasoners.stages.experts import (
    AffectExpert,
    Expert,
    HeadExpert,
    ScoreExpert,
    Source,
    StrategyTable,
    ToneTable,
)
from affectgraph.reasoners.stages.weights import UNFITTED_FLOOR, Weights, WeightsFile
from affectgraph.reasoners.taxonomy import MESC_10

SYSTEM_EMOTIONS: Final = ("neutral", "sadness", "joy")
"""Tones that the companion may take: calm, compassionate, glad. Anger, disgust, fear and
depression of an agent help nobody and are refused."""


@dataclass(frozen=True)
class Weighed:
    """What the experts say before the language model chooses.

    Attributes:
        prior: Their product; barred labels have no weight.
        say: Exponent of the model's choice; 0 where it has none and need not be asked.
        sources: What the prior comes from, for the decision's ``source``.
    """

    prior: Distribution
    say: float
    sources: tuple[str, ...]

    def decision(
        self, stage: LabelStageName, belief: Distribution, model: str | None = None
    ) -> Decision:
        """The decision for a belief, told with its sources."""
        told = dict.fromkeys((*self.sources, *([model] if model else [])))
        return Decision(
            stage=stage, distribution=belief, label=belief.top, source="+".join(told) or "even"
        )

    def with_choice(self, labels: LabelSet, chosen: Distribution) -> Distribution:
        """The product with what the model chose.

        A choice that comes without probabilities is no more than an expert that nothing was
        fitted for: some of its mass is spread, so that it vetoes nothing.
        """
        if max(chosen.probs) == 1:
            chosen = floored(chosen, labels, UNFITTED_FLOOR)
        return product(labels, (self.prior, 1.0), (chosen, self.say))

    def winnable(self, labels: LabelSet) -> Distribution:
        """The prior of the labels that would win if a model chose them without probabilities."""
        won = {
            label: p
            for label, p in self.prior.as_dict().items()
            if p > 0 and self.with_choice(labels, Distribution.certain(labels, label)).top == label
        }
        return within(labels, self.prior, won)


@runtime_checkable
class WeighedStage(LabelStage, Protocol):
    """A label stage that the joint form can use: it tells its weights before it decides."""

    @property
    def labels(self) -> LabelSet:
        """The whole set; barred labels have no weight in the prior."""
        ...

    async def weigh(
        self, context: ReasoningContext, emotion: Distribution | None = None
    ) -> Weighed:
        """What the experts say, given a belief over MESC-7 of what the person feels."""
        ...


class ExpertStage:
    """A label stage that multiplies experts.

    Args:
        backend: The language model.
        prompts: Writes the prompt in which it chooses.
        stage: Which label is decided.
        labels: The whole set.
        experts: What is gone by beside the model's choice.
        asks: Whether the model's choice is one of the sources.
        allowed: Labels that may be chosen.
        weights: Exponent by source, in place of the fitted ones; a source that is not named has
            exponent 1.
        file: Fitted weights of one's own.

    Raises:
        BuildError: If an exponent is below 0, or nothing is left to go by or to choose.
    """

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        stage: LabelStageName,
        labels: LabelSet,
        experts: Sequence[Expert],
        asks: bool,
        allowed: Sequence[str],
        weights: Mapping[str, float] | None = None,
        file: Path | None = None,
    ) -> None:
        self.stage, self.labels = stage, labels
        self.allowed = _allowed(stage, labels, allowed)
        self._backend, self._prompts = backend, prompts
        self._experts, self._asks = tuple(experts), asks
        wrong = [f"{name}={w}" for name, w in (weights or {}).items() if not 0 <= w < float("inf")]
        if wrong or not (experts or asks):
            raise BuildError(f"{stage}: give exponents of 0 or more, {wrong or 'and a source'}")
        self._given = None if weights is None else dict(weights)
        self._fitted = WeightsFile(file)

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the backend and the experts use."""
        own = [use for expert in self._experts for use in models_of(expert)]
        return tuple(dict.fromkeys((*models_of(self._backend), *own)))

    async def warm_up(self) -> None:
        """Read the fitted weights and load the experts."""
        await self._fitted.load()
        for expert in self._experts:
            await expert.warm_up()

    async def weigh(
        self, context: ReasoningContext, emotion: Distribution | None = None
    ) -> Weighed:
        """The product of the experts that have something to say, and the say of the choice."""
        heard: dict[str, Distribution] = {}
        for expert in self._experts:
            try:
                told = await expert.read(context, emotion)
            except (BackendError, SetupError) as error:
                # The others decide: exponents are kept for those that spoke.
                trace.get_current_span().set_attribute(
                    f"affectgraph.{self.stage}.without_{expert.source}", type(error).__name__
                )
                continue
            if told is not None:
                heard[expert.source] = told
        fitted = await self._fitted.load()
        model = str(getattr(self._backend, "model", ""))
        exponents = self._exponents(fitted, model, [*heard, *(["choice"] if self._asks else [])])
        product_ = product(
            self.labels,
            *(
                (self._calibrated(fitted, model, name, told), exponents[name])
                for name, told in heard.items()
            ),
        )
        # A rule's zero bars its label whatever the rule's exponent.
        rule = heard.get("rule")
        open_ = [label for label in self.allowed if rule is None or rule[label] > 0]
        sources = [
            self._backend.name if name == "score" else "perception" if name == "affect" else name
            for name in heard
            if exponents[name] > 0
        ]
        prior = within(self.labels, product_, open_ or self.allowed)
        return Weighed(prior, exponents.get("choice", 0.0), tuple(sources))

    async def decide(self, context: ReasoningContext) -> Decision:
        """Decide, by the experts and, if it has a say, the model's choice among what is left."""
        weighed = await self.weigh(context, belief_of(context))
        prior = weighed.prior
        left = tuple(label for label, p in prior.as_dict().items() if p > 0)
        if len(left) == 1 or weighed.say == 0:
            return weighed.decision(self.stage, prior)
        asked = self.labels.model_copy(update={"labels": left})
        chosen = await self._backend.choose(self._prompts.label(context, self.stage), asked)
        belief = weighed.with_choice(self.labels, chosen)
        return weighed.decision(self.stage, belief, self._backend.name)

    def _exponents(self, fitted: Weights, model: str, names: Sequence[str]) -> dict[str, float]:
        if self._given is not None:
            return {name: self._given.get(name, 1.0) for name in names}
        return fitted.exponents(self.stage, self.labels, model, names)

    def _calibrated(
        self, fitted: Weights, model: str, name: str, told: Distribution
    ) -> Distribution:
        calibration = fitted.calibration(self.stage, self.labels, model, name)
        return calibration.apply(told, self.labels)


class UserEmotionStage(ExpertStage):
    """What the person feels: the perceived affect, and what the language model reads.

    Args:
        backend: The language model; one that offers ``score`` is read by completion.
        prompts: Writes the prompt.
        sources: What is gone by, of ``affect``, ``score``, ``choice``, ``head``; by default all
            that there are.
        head: A trained head over MESC-7.
        weights: Exponent by source, in place of the fitted ones.
        file: Fitted weights of one's own.
        enough: Confidence of the perceived affect from which the model is not read by completion.
        completion: How the model is read by completion.
    """

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        sources: Sequence[Source] | None = None,
        head: LabelHead | None = None,
        weights: Mapping[str, float] | None = None,
        file: Path | None = None,
        enough: float = 0.9,
        completion: CompletionScore | None = None,
    ) -> None:
        known: dict[str, Expert | None] = {
            "affect": AffectExpert(),
            "score": ScoreExpert(backend, MESC_7, completion=completion, enough=enough),
            "head": _head("user_emotion", MESC_7, head),
        }
        experts, asks = _chosen("user_emotion", known, sources)
        super().__init__(
            backend, prompts, stage="user_emotion", labels=MESC_7, experts=experts, asks=asks,
            allowed=MESC_7.labels, weights=weights, file=file,
        )  # fmt: skip


class StrategyStage(ExpertStage):
    """How to support: a table of what is usual now, a trained head, the language model.

    Args:
        backend: The language model.
        prompts: Writes the prompt.
        strategies: MESC's ten (SMES's own) or ESConv's eight, or a set of one's own.
        allowed: Strategies that may be chosen; by default all but those unfit for an AI.
        sources: What is gone by, of ``rule``, ``head``, ``choice``; by default all that there are.
        head: A trained head over the strategies.
        weights: Exponent by source, in place of the fitted ones.
        file: Fitted weights of one's own.
    """

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        strategies: LabelSet = MESC_10,
        allowed: Sequence[str] | None = None,
        sources: Sequence[Source] | None = None,
        head: LabelHead | None = None,
        weights: Mapping[str, float] | None = None,
        file: Path | None = None,
    ) -> None:
        known: dict[str, Expert | None] = {
            "rule": StrategyTable(strategies),
            "head": _head("strategy", strategies, head),
        }
        experts, asks = _chosen("strategy", known, sources)
        fit = [s for s in strategies.labels if s not in UNFIT_FOR_AN_AI]
        super().__init__(
            backend, prompts, stage="strategy", labels=strategies, experts=experts, asks=asks,
            allowed=fit if allowed is None else allowed, weights=weights, file=file,
        )  # fmt: skip


class SystemEmotionStage(ExpertStage):
    """The tone that the companion takes: a table by the user's emotion, the language model.

    Args:
        backend: The language model.
        prompts: Writes the prompt.
        allowed: MESC-7 labels that may be chosen, out of :data:`SYSTEM_EMOTIONS`.
        sources: What is gone by, of ``rule``, ``head``, ``choice``; by default all that there are.
        head: A trained head over MESC-7.
        weights: Exponent by source, in place of the fitted ones.
        file: Fitted weights of one's own.

    Raises:
        BuildError: If a label is allowed that no companion may show.
    """

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        allowed: Sequence[str] = SYSTEM_EMOTIONS,
        sources: Sequence[Source] | None = None,
        head: LabelHead | None = None,
        weights: Mapping[str, float] | None = None,
        file: Path | None = None,
    ) -> None:
        barred = [label for label in allowed if label not in SYSTEM_EMOTIONS]
        if barred:
            raise BuildError(
                f"system emotion: {', '.join(barred)} may not be shown;"
                f" allowed are {', '.join(SYSTEM_EMOTIONS)}"
            )
        known: dict[str, Expert | None] = {
            "rule": ToneTable(),
            "head": _head("system_emotion", MESC_7, head),
        }
        experts, asks = _chosen("system_emotion", known, sources)
        super().__init__(
            backend, prompts, stage="system_emotion", labels=MESC_7, experts=experts, asks=asks,
            allowed=allowed, weights=weights, file=file,
        )  # fmt: skip


def belief_of(context: ReasoningContext) -> Distribution | None:
    """Belief over the user's emotion: the decision if there is one, else the perceived affect."""
    decided = context.plan.user_emotion
    if decided is not None:
        return decided.distribution
    return None if context.affect is None else context.affect.distribution.to(MESC_7)


def _head(stage: LabelStageName, labels: LabelSet, head: LabelHead | None) -> Expert | None:
    if head is None:
        return None
    if head.stage != stage or head.labels.name != labels.name:
        raise BuildError(
            f"{stage} over {labels.name}: the head reads the {head.stage} over {head.labels.name}"
        )
    return HeadExpert(head)


def _chosen(
    stage: LabelStageName, known: Mapping[str, Expert | None], sources: Sequence[Source] | None
) -> tuple[list[Expert], bool]:
    """The experts that are gone by, and whether the model's choice is."""
    there = {name: expert for name, expert in known.items() if expert is not None}
    wanted = (*there, "choice") if sources is None else tuple(sources)
    unknown = [name for name in wanted if name not in (*there, "choice")]
    if unknown or not wanted:
        raise BuildError(
            f"{stage}: no source {', '.join(unknown) or 'is named'};"
            f" there are {', '.join((*there, 'choice'))}"
        )
    return [expert for name, expert in there.items() if name in wanted], "choice" in wanted


def _allowed(what: str, labels: LabelSet, allowed: Sequence[str]) -> tuple[str, ...]:
    unknown = [label for label in allowed if label not in labels]
    if unknown or not allowed:
        raise BuildError(f"{what}: allow labels of {labels.name}, not {unknown or 'none'}")
    return tuple(label for label in labels.labels if label in allowed)
