"""The joint form: labels and response in one generation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.beliefs import product
from affectgraph.reasoners.brevity import Brevity, close
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, LabelField, Sampling
from affectgraph.reasoners.plan import SMES_ORDER, Decision
from affectgraph.reasoners.prompts import PromptLayout
from affectgraph.reasoners.stages import close_backend, default_stages


class SmesJoint:
    """Decides the three labels in an order and responds, in one generation.

    The stages' priors go with the request, so a backend that can weight its own probabilities
    (the one in process) decides as the staged form does. A stage says p^say times its prior; a
    field multiplies p with its prior. So the field's prior is the stage's to the power 1/say,
    and the decision is brought back by the power say.

    Args:
        backend: The language model.
        order: Order of the stages, the response last.
        strategies: ``mesc-10`` or ``esconv-8``.
        layout: Of the prompt; by default what fits the backend.
        sampling: How words are chosen.
        brevity: How much is said.

    Raises:
        BuildError: If the order is no permutation of the stages or the strategies unknown.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        order: Sequence[str] = SMES_ORDER,
        strategies: str = "mesc-10",
        layout: PromptLayout | None = None,
        sampling: Sampling | None = None,
        brevity: Brevity | None = None,
    ) -> None:
        self._backend = backend
        self._stages, self._prompts = default_stages(
            backend, order=order, strategies=strategies, layout=layout
        )
        self._sampling, self._brevity = sampling or Sampling(), brevity or Brevity()

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the backend uses."""
        return models_of(self._backend)

    async def warm_up(self) -> None:
        """Load the model."""
        await self._backend.warm_up()

    async def close(self) -> None:
        """Close the backend's connections, if it holds any."""
        await close_backend(self._backend)

    async def reason(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """First the decisions, in the configured order, then the response in pieces.

        Raises:
            BackendError: If the backend cannot answer.
        """
        fields, belief = await self._fields(context)
        messages = self._prompts.base(context, belief)
        source = self._backend.stream_joint(messages, fields, self._sampling)
        try:
            for stage in self._stages:
                item = await anext(source, None)
                if not isinstance(item, Decision) or item.stage != stage.stage:
                    raise BackendError(self._backend.name, f"did not decide the {stage.stage}")
                belief = product(stage.labels, (item.distribution, stage.say))
                yield item.model_copy(update={"distribution": belief})
            async for piece in self._brevity.trim(_words(source)):
                yield piece
        finally:
            await close(source)

    async def _fields(
        self, context: ReasoningContext
    ) -> tuple[list[LabelField], Distribution | None]:
        belief = None if context.affect is None else context.affect.distribution.to(MESC_7)
        fields = []
        for stage in self._stages:
            prior = await stage.prior(context, belief)
            if stage.stage == "user_emotion":
                belief = prior
            weights = product(stage.labels, (prior, 1 / stage.say))
            fields.append(LabelField(stage=stage.stage, labels=stage.labels, prior=weights))
        return fields, belief


async def _words(items: AsyncIterator[Decision | str]) -> AsyncIterator[str]:
    async for item in items:
        if isinstance(item, str):
            yield item
