"""The joint form: labels and response in one generation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.beliefs import product
from affectgraph.reasoners.brevity import Brevity, close
from affectgraph.reasoners.codecs import Codec
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import Backend, JointForm, LabelField, LabelHead, Sampling
from affectgraph.reasoners.history import HistoryCompressor, Notes
from affectgraph.reasoners.layout import LayoutName
from affectgraph.reasoners.plan import Decision, check_order
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.replies.library import WrittenReplies
from affectgraph.reasoners.replies.speaking import Replying
from affectgraph.reasoners.stages import (
    BackendResponse,
    Weighed,
    WeighedStage,
    close_backend,
    default_stages,
    warm_stages,
)
from affectgraph.reasoners.stages.labels import belief_of


class SmesJoint:
    """Decides the three labels in an order and responds, in one generation.

    What the stages' experts say goes with the request, so a backend that can weight its own
    probabilities (the one in process) decides as the staged form does. A stage says p^say times
    its prior; a field multiplies p with its prior. So the field's prior is the stage's to the
    power 1/say, and the decision is brought back by the power say. Where the model's choice has
    no say, the form allows one label, the experts' own. A backend that gives no probabilities
    (``weighs`` is false: a grammar holds it) may choose among the labels that its choice would
    make the likeliest, and no others.

    A backend that cannot hold a generation to a form (``constrains`` is false) is asked stage by
    stage instead, within the same :meth:`reason`.

    Args:
        backend: The language model.
        order: Order of the stages, the response last; by default the codec's own if one is
            named, else that of SMES.
        strategies: ``mesc-10`` or ``esconv-8``.
        codec: The codec or its name, ``json``, ``smes``, ``lines`` or ``multimood``; by default
            the layout's.
        layout: Of the prompt, or its name; by default what fits the backend.
        heads: Trained heads; each is an expert of the stage whose label it reads.
        sampling: How words are chosen.
        brevity: How much is said.
        history: How much of the conversation is told; by default what fits the layout.
        replies: How sentences are checked, and what is said where they fail.
        made: Stages that are made already, in their order, and the prompts that they share, in
            place of all that the arguments from ``order`` to ``heads`` say.

    Raises:
        BuildError: If the order is no permutation of the stages, strategies or codec are unknown,
            or a head does not fit.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        order: Sequence[str] | None = None,
        strategies: str = "mesc-10",
        codec: str | Codec | None = None,
        layout: PromptLayout | LayoutName | None = None,
        heads: Sequence[LabelHead] = (),
        sampling: Sampling | None = None,
        brevity: Brevity | None = None,
        history: HistoryCompressor | None = None,
        replies: Replying | None = None,
        made: tuple[Sequence[WeighedStage], Prompts] | None = None,
    ) -> None:
        self._backend = backend
        self._stages, self._prompts = made or default_stages(
            backend, order=order, strategies=strategies, codec=codec, layout=layout, heads=heads
        )
        check_order((*(stage.stage for stage in self._stages), "response"))
        self._sampling = sampling or Sampling()
        self._response = BackendResponse(
            backend, self._prompts, sampling=self._sampling, brevity=brevity, replies=replies
        )
        self._notes = Notes(self._prompts, history, backend)

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the backend and the stages use."""
        own = [use for stage in self._stages for use in models_of(stage)]
        return tuple(dict.fromkeys((*models_of(self._backend), *own)))

    @property
    def library(self) -> WrittenReplies:
        """The written replies, for whoever must answer when this reasoner cannot."""
        return self._response.library

    async def warm_up(self) -> None:
        """Load the model, and what the stages need."""
        # The written replies first: they are what is said where the model does not load.
        await self._response.warm_up()
        await self._backend.warm_up()
        await warm_stages(self._stages)

    async def close(self) -> None:
        """Close the backend's connections, if it holds any."""
        await close_backend(self._backend)

    async def note(
        self,
        context: ReasoningContext,
        exchange: Exchange,
        *,
        room: int | None = None,
        asked: bool = True,
    ) -> Exchange:
        """The exchange with what the next prompt must know of it, once the reply is out."""
        decided = exchange.plan.user_emotion
        belief = None if decided is None else decided.distribution
        return await self._notes.note(context, exchange, room=room, asked=asked, emotion=belief)

    async def reason(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """First the decisions, in the configured order, then the response in pieces.

        Raises:
            BackendError: If the backend cannot answer.
        """
        source = self._at_once(context) if self._backend.constrains else self._by_stages(context)
        try:
            async for item in source:
                yield item
        finally:
            await close(source)

    async def _at_once(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        weighed = await self._weighed(context)
        weighs = self._backend.weighs
        fields = [
            _field(stage, each, weighs=weighs)
            for stage, each in zip(self._stages, weighed, strict=True)
        ]
        messages = self._prompts.base(context, self._emotion(weighed, context))
        form = JointForm(tuple(fields), self._prompts.codec)
        source = self._backend.stream_joint(messages, form, self._sampling)
        try:
            for stage, each in zip(self._stages, weighed, strict=True):
                item = await anext(source, None)
                if not isinstance(item, Decision) or item.stage != stage.stage:
                    raise BackendError(self._backend.name, f"did not decide the {stage.stage}")
                decision = _brought_back(stage, each, item, self._backend.name)
                context = context.model_copy(update={"plan": context.plan.deciding(decision)})
                yield decision
            async for piece in self._response.speak(context, lambda: _words(source)):
                yield piece
        finally:
            await close(source)

    async def _by_stages(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        for stage in self._stages:
            decision = await stage.decide(context)
            context = context.model_copy(update={"plan": context.plan.deciding(decision)})
            yield decision
        pieces = self._response.respond(context)
        try:
            async for piece in pieces:
                yield piece
        finally:
            await close(pieces)

    def _emotion(
        self, weighed: Sequence[Weighed], context: ReasoningContext
    ) -> Distribution | None:
        """Belief over the user's emotion before the model is asked."""
        for stage, each in zip(self._stages, weighed, strict=True):
            if stage.stage == "user_emotion":
                return each.prior
        return belief_of(context)

    async def _weighed(self, context: ReasoningContext) -> list[Weighed]:
        """What each stage's experts say; those after the user's emotion go by what these say."""
        belief, found = belief_of(context), list[Weighed]()
        for stage in self._stages:
            found.append(await stage.weigh(context, belief))
            if stage.stage == "user_emotion":
                belief = found[-1].prior
        return found


def _field(stage: WeighedStage, weighed: Weighed, *, weighs: bool) -> LabelField:
    prior = weighed.prior
    if weighed.say == 0:
        prior = Distribution.certain(stage.labels, prior.top)
    elif weighs:
        prior = product(stage.labels, (prior, 1 / weighed.say))
    else:
        prior = weighed.winnable(stage.labels)
    return LabelField(stage=stage.stage, labels=stage.labels, prior=prior)


def _brought_back(stage: WeighedStage, weighed: Weighed, item: Decision, model: str) -> Decision:
    """A decision of the joint generation on the stage's own scale."""
    if weighed.say == 0:
        return weighed.decision(stage.stage, weighed.prior)
    if max(item.distribution.probs) == 1:
        belief = weighed.with_choice(stage.labels, item.distribution)
    else:
        belief = product(stage.labels, (item.distribution, weighed.say))
    return weighed.decision(stage.stage, belief, model)


async def _words(items: AsyncIterator[Decision | str]) -> AsyncIterator[str]:
    try:
        async for item in items:
            if isinstance(item, str):
                yield item
    finally:
        # A second try is another generation: this one must have left the model before.
        await close(items)
