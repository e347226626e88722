"""The four stages of SMES (Chu et al.): user emotion, strategy, system emotion, response.

Each label stage has a *prior* over its labels, from what was perceived and from a table, and
weighs the language model's own probabilities in as one expert of a product. The joint form uses
the same priors, so both forms decide alike.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, Self

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.beliefs import floored, product
from affectgraph.reasoners.brevity import Brevity
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, LabelStage, ResponseStage, Sampling
from affectgraph.reasoners.definitions import UNFIT_FOR_AN_AI
from affectgraph.reasoners.plan import SMES_ORDER, Decision, LabelStageName, StageName, check_order
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.tables import asks_for_advice, strategy_weights, tone_weights
from affectgraph.reasoners.taxonomy import MESC_10, STRATEGIES

SYSTEM_EMOTIONS: Final = ("neutral", "sadness", "joy")
"""Tones that the companion may take: calm, compassionate, glad. Anger, disgust, fear and
depression of an agent help nobody and are refused."""


class PriorStage(LabelStage, Protocol):
    """A label stage whose prior and weighting the joint form can use."""

    @property
    def labels(self) -> LabelSet:
        """The whole set; barred labels have no weight in the prior."""
        ...

    @property
    def say(self) -> float:
        """Exponent of the language model's probabilities, in (0, 1]."""
        ...

    async def prior(
        self, context: ReasoningContext, emotion: Distribution | None = None
    ) -> Distribution:
        """Weights before the model is asked, given a belief over MESC-7 of the user's emotion."""
        ...


Score = Callable[[str, Sequence[str]], Awaitable[list[float]]]


@dataclass(frozen=True)
class CompletionScore:
    """Reads an emotion off how well each label completes a sentence about a message.

    The log-probability of ``" sadness"`` after the message, minus the same after an empty
    message, is what the message says of the label (Zhao et al. 2021, contextual calibration).
    With models that are too small to answer a question this works far better than asking one.

    Attributes:
        template: Text with ``{message}``; the label follows it.
        temperature: Divides the differences; above 1, as sums of log-probabilities are too sure.
        clip: Characters at most of the message, the last ones.
    """

    template: str = '"{message}"\nThis is a message of'
    temperature: float = 1.0
    clip: int = 600

    async def empty(self, score: Score, labels: LabelSet) -> list[float]:
        """What the labels score after an empty message; always the same for one model."""
        return await score(self._filled(""), _words(labels))

    async def read(
        self, score: Score, message: str, labels: LabelSet, empty: Sequence[float]
    ) -> Distribution:
        """Score every label of a set for a message, against the ``empty`` one."""
        told = await score(self._filled(message), _words(labels))
        gains = [(a - b) / self.temperature for a, b in zip(told, empty, strict=True)]
        top = max(gains)
        weights = {
            label: math.exp(gain - top) for label, gain in zip(labels.labels, gains, strict=True)
        }
        return Distribution.over(labels, weights)

    def _filled(self, message: str) -> str:
        return self.template.replace("{message}", message.strip()[-self.clip :])


def _words(labels: LabelSet) -> list[str]:
    return [f" {label}" for label in labels.labels]


class _Backed:
    """What the stages over a backend have in common."""

    _backend: Backend

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the backend uses."""
        return models_of(self._backend)


class UserEmotionStage(_Backed):
    """What the person feels: the perceived affect times what the language model reads.

    The exponents are an assumption: a small model's reading is weak beside a trained perceiver.

    Args:
        backend: The language model; one that offers ``score`` is read by completion.
        prompts: Writes the prompt.
        trust_affect: Exponent of the perceived affect, told in MESC-7.
        trust_score: Exponent of the completion score.
        say: Exponent of the model's chosen label; where the model is read by completion, only
            the joint form asks for it, and ``say_scored`` holds.
        floor: Mass of each source that is spread evenly, so that none vetoes a label.
        enough: Confidence of the perceived affect from which the model is not read by completion.
        completion: How the model is read by completion.
    """

    stage: LabelStageName = "user_emotion"
    labels: LabelSet = MESC_7

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        trust_affect: float = 1.0,
        trust_score: float = 0.5,
        say: float = 0.5,
        say_scored: float = 0.1,
        floor: float = 0.05,
        enough: float = 0.9,
        completion: CompletionScore | None = None,
    ) -> None:
        self._backend, self._prompts = backend, prompts
        self._trust_affect, self._trust_score, self._floor = trust_affect, trust_score, floor
        self._enough = enough
        self._completion = completion or CompletionScore()
        # Looked up by name, not by protocol: a wrapping backend passes abilities on.
        self._score: Score | None = getattr(backend, "score", None)
        self._empty: list[float] | None = None
        self.say = say if self._score is None else say_scored

    async def prior(
        self, context: ReasoningContext, emotion: Distribution | None = None
    ) -> Distribution:
        """Product of the perceived affect and the completion score, as far as there are any."""
        del emotion  # this is the stage that says
        experts: list[tuple[Distribution, float]] = []
        if context.affect is not None:
            seen = floored(context.affect.distribution.to(MESC_7), MESC_7, self._floor)
            experts.append((seen, self._trust_affect))
        if self._score is not None and context.utterance.strip() and not self._sure(context):
            if self._empty is None:
                self._empty = await self._completion.empty(self._score, MESC_7)
            read = await self._completion.read(self._score, context.utterance, MESC_7, self._empty)
            experts.append((floored(read, MESC_7, self._floor), self._trust_score))
        return product(MESC_7, *experts)

    def _sure(self, context: ReasoningContext) -> bool:
        """Whether perception is so sure that a small model's reading could not change the top."""
        return context.affect is not None and context.affect.confidence >= self._enough

    async def decide(self, context: ReasoningContext) -> Decision:
        """Decide the user's emotion."""
        belief = await self.prior(context)
        if self._score is None:
            messages = self._prompts.label(context, self.stage)
            chosen = await self._backend.choose(messages, MESC_7)
            belief = product(
                MESC_7, (belief, 1.0), (floored(chosen, MESC_7, self._floor), self.say)
            )
        return _decision(self.stage, belief, self._backend)


class StrategyStage(_Backed):
    """How to support: a table of what is usual now, shifted by the language model.

    Args:
        backend: The language model.
        prompts: Writes the prompt.
        strategies: MESC's ten (SMES's own) or ESConv's eight, or a set of one's own.
        allowed: Strategies that may be chosen; by default all but those unfit for an AI.
        say: Exponent of the model's probabilities against the table's; an assumption. A server
            without log-probabilities gives certainty, so its choice stands at any exponent.
    """

    stage: LabelStageName = "strategy"

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        strategies: LabelSet = MESC_10,
        allowed: Sequence[str] | None = None,
        say: float = 0.3,
    ) -> None:
        self._backend, self._prompts, self.say = backend, prompts, say
        self.labels = strategies
        chosen = [s for s in strategies.labels if s not in UNFIT_FOR_AN_AI]
        self.allowed = _allowed("strategy", strategies, chosen if allowed is None else allowed)

    async def prior(
        self, context: ReasoningContext, emotion: Distribution | None = None
    ) -> Distribution:
        """The table's weights for the turn; barred strategies have none."""
        decided = [e.plan.strategy.label for e in context.history[-2:] if e.plan.strategy]
        weights = strategy_weights(
            self.labels,
            emotion,
            first=not context.history,
            advice=asks_for_advice(context.utterance),
            avoid=tuple(label for label in decided if label in self.labels),
        )
        return _within(self.labels, weights, self.allowed)

    async def decide(self, context: ReasoningContext) -> Decision:
        """Decide the strategy."""
        prior = await self.prior(context, _emotion(context))
        return await _weighed(self, self._backend, self._prompts, context, prior)


class SystemEmotionStage(_Backed):
    """The tone that the companion takes: a table by the user's emotion, shifted by the model.

    Args:
        backend: The language model.
        prompts: Writes the prompt.
        allowed: MESC-7 labels that may be chosen, out of :data:`SYSTEM_EMOTIONS`.
        say: Exponent of the model's probabilities; an assumption.

    Raises:
        BuildError: If a label is allowed that no companion may show.
    """

    stage: LabelStageName = "system_emotion"
    labels: LabelSet = MESC_7

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        allowed: Sequence[str] = SYSTEM_EMOTIONS,
        say: float = 0.3,
    ) -> None:
        barred = [label for label in allowed if label not in SYSTEM_EMOTIONS]
        if barred:
            raise BuildError(
                f"system emotion: {', '.join(barred)} may not be shown;"
                f" allowed are {', '.join(SYSTEM_EMOTIONS)}"
            )
        self._backend, self._prompts, self.say = backend, prompts, say
        self.allowed = _allowed("system emotion", MESC_7, allowed)

    async def prior(
        self, context: ReasoningContext, emotion: Distribution | None = None
    ) -> Distribution:
        """The table's weights; barred tones have none."""
        del context
        return _within(MESC_7, tone_weights(emotion), self.allowed)

    async def decide(self, context: ReasoningContext) -> Decision:
        """Decide the tone."""
        prior = await self.prior(context, _emotion(context))
        return await _weighed(self, self._backend, self._prompts, context, prior)


class BackendResponse(_Backed):
    """Speaks by the language model, in whole sentences and few of them.

    Args:
        backend: The language model.
        prompts: Writes the prompt.
        sampling: How words are chosen.
        brevity: How much is said.
    """

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        sampling: Sampling | None = None,
        brevity: Brevity | None = None,
    ) -> None:
        self._backend, self._prompts = backend, prompts
        self._sampling, self._brevity = sampling or Sampling(), brevity or Brevity()

    def respond(self, context: ReasoningContext) -> AsyncIterator[str]:
        """Stream the response; closing the iterator stops the model."""
        messages = self._prompts.response(context)
        return self._brevity.trim(self._backend.stream(messages, self._sampling))


@dataclass(frozen=True)
class SmesStaged:
    """The staged form: label stages in their order, then the response.

    Attributes:
        stages: The label stages, each once, in the order in which they decide.
        response: Speaks last.
        backend: Warmed up with the reasoner, if the stages share one.

    Raises:
        BuildError: If a label stage is missing or stands twice.
    """

    stages: tuple[LabelStage, ...]
    response: ResponseStage
    backend: Backend | None = None

    def __post_init__(self) -> None:
        check_order((*(stage.stage for stage in self.stages), "response"))

    @classmethod
    def over(
        cls,
        backend: Backend,
        *,
        order: Sequence[str] = SMES_ORDER,
        strategies: str = "mesc-10",
        layout: PromptLayout | None = None,
        sampling: Sampling | None = None,
        brevity: Brevity | None = None,
    ) -> Self:
        """The default stages over one backend.

        Raises:
            BuildError: If the order is no permutation of the stages or the strategies unknown.
        """
        stages, prompts = default_stages(backend, order=order, strategies=strategies, layout=layout)
        response = BackendResponse(backend, prompts, sampling=sampling, brevity=brevity)
        return cls(tuple(stages), response, backend)

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the stages say of their models, else what the shared backend uses."""
        own = [use for part in (*self.stages, self.response) for use in models_of(part)]
        return tuple(dict.fromkeys(own or models_of(self.backend)))

    async def warm_up(self) -> None:
        """Load the model."""
        if self.backend is not None:
            await self.backend.warm_up()

    async def close(self) -> None:
        """Close the backend's connections, if it holds any."""
        if self.backend is not None:
            await close_backend(self.backend)


def default_stages(
    backend: Backend,
    *,
    order: Sequence[str] = SMES_ORDER,
    strategies: str = "mesc-10",
    layout: PromptLayout | None = None,
) -> tuple[list[PriorStage], Prompts]:
    """The three label stages in an order, and the prompts that they share.

    Raises:
        BuildError: If the order is no permutation of the stages or the strategies unknown.
    """
    checked = check_order(tuple(order))
    if strategies not in STRATEGIES:
        raise BuildError(f"no strategies {strategies!r}; there are: {', '.join(STRATEGIES)}")
    chosen = STRATEGIES[strategies]
    told = layout or PromptLayout.fitting(backend, order=checked, strategies=strategies)
    allowed = [s for s in chosen.labels if s not in UNFIT_FOR_AN_AI]
    prompts = Prompts(told, {"strategy": allowed})
    by_name: dict[StageName, PriorStage] = {
        "user_emotion": UserEmotionStage(backend, prompts),
        "strategy": StrategyStage(backend, prompts, strategies=chosen),
        "system_emotion": SystemEmotionStage(backend, prompts),
    }
    return [by_name[name] for name in checked if name != "response"], prompts


async def close_backend(backend: Backend) -> None:
    """Close what a backend holds open; most hold nothing."""
    close = getattr(backend, "close", None)
    if close is not None:
        await close()


def _emotion(context: ReasoningContext) -> Distribution | None:
    """Belief over the user's emotion: the decision if there is one, else the perceived affect."""
    decided = context.plan.user_emotion
    if decided is not None:
        return decided.distribution
    return None if context.affect is None else context.affect.distribution.to(MESC_7)


async def _weighed(
    stage: PriorStage,
    backend: Backend,
    prompts: Prompts,
    context: ReasoningContext,
    prior: Distribution,
) -> Decision:
    """Ask the model among the labels that the prior leaves, and multiply."""
    left = tuple(label for label, p in prior.as_dict().items() if p > 0)
    if len(left) == 1:
        return _decision(stage.stage, prior, backend)
    asked = stage.labels.model_copy(update={"labels": left})
    chosen = await backend.choose(prompts.label(context, stage.stage), asked)
    belief = product(stage.labels, (prior, 1.0), (chosen, stage.say))
    return _decision(stage.stage, belief, backend)


def _decision(stage: LabelStageName, belief: Distribution, backend: Backend) -> Decision:
    return Decision(stage=stage, distribution=belief, label=belief.top, source=backend.name)


def _allowed(what: str, labels: LabelSet, allowed: Sequence[str]) -> tuple[str, ...]:
    unknown = [label for label in allowed if label not in labels]
    if unknown or not allowed:
        raise BuildError(f"{what}: allow labels of {labels.name}, not {unknown or 'none'}")
    return tuple(label for label in labels.labels if label in allowed)


def _within(labels: LabelSet, weights: dict[str, float], allowed: Sequence[str]) -> Distribution:
    kept = {label: weights.get(label, 0.0) for label in allowed}
    if not any(kept.values()):
        kept = dict.fromkeys(allowed, 1.0)  # the table knows none of them: all alike
    return Distribution.over(labels, kept)
