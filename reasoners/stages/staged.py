"""The staged form: label stages in their order, then the response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.brevity import Brevity
from affectgraph.reasoners.codecs import Codec, codec_named
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import (
    Backend,
    LabelHead,
    LabelStage,
    ResponseStage,
    Sampling,
)
from affectgraph.reasoners.definitions import UNFIT_FOR_AN_AI
from affectgraph.reasoners.history import HistoryCompressor, Notes
from affectgraph.reasoners.layout import LayoutName
from affectgraph.reasoners.plan import SMES_ORDER, StageName, check_order
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.replies.speaking import Replying
from affectgraph.reasoners.stages.labels import (
    StrategyStage,
    SystemEmotionStage,
    UserEmotionStage,
    WeighedStage,
)
from affectgraph.reasoners.stages.response import BackendResponse
from affectgraph.reasoners.taxonomy import STRATEGIES


@dataclass(frozen=True)
class SmesStaged:
    """The staged form.

    Attributes:
        stages: The label stages, each once, in the order in which they decide.
        response: Speaks last.
        backend: Warmed up with the reasoner, if the stages share one.
        notes: Takes down what the next prompt must know of an exchange; ``None`` for nothing.

    Raises:
        BuildError: If a label stage is missing or stands twice.
    """

    stages: tuple[LabelStage, ...]
    response: ResponseStage
    backend: Backend | None = None
    notes: Notes | None = None

    def __post_init__(self) -> None:
        check_order((*(stage.stage for stage in self.stages), "response"))

    @classmethod
    def over(
        cls,
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
    ) -> Self:
        """The default stages over one backend; see :func:`default_stages`."""
        stages, prompts = default_stages(
            backend, order=order, strategies=strategies, codec=codec, layout=layout, heads=heads
        )
        response = BackendResponse(
            backend, prompts, sampling=sampling, brevity=brevity, replies=replies
        )
        return cls(tuple(stages), response, backend, Notes(prompts, history, backend))

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the stages say of their models, else what the shared backend uses."""
        own = [use for part in (*self.stages, self.response) for use in models_of(part)]
        return tuple(dict.fromkeys(own or models_of(self.backend)))

    async def warm_up(self) -> None:
        """Load the model, and what the stages need."""
        # The response first: what it says where the model does not load must be there.
        await warm_stages((self.response,))
        if self.backend is not None:
            await self.backend.warm_up()
        await warm_stages(self.stages)

    async def note(
        self,
        context: ReasoningContext,
        exchange: Exchange,
        *,
        room: int | None = None,
        asked: bool = True,
    ) -> Exchange:
        """The exchange with what the next prompt must know of it, once the reply is out."""
        if self.notes is None:
            return exchange
        # No belief: where nothing was perceived, no stage's prompt has one to choose exemplars by.
        return await self.notes.note(context, exchange, room=room, asked=asked)

    async def close(self) -> None:
        """Close the backend's connections, if it holds any."""
        if self.backend is not None:
            await close_backend(self.backend)


def prompts_for(
    backend: Backend,
    *,
    order: Sequence[str] | None = None,
    strategies: str = "mesc-10",
    codec: str | Codec | None = None,
    layout: PromptLayout | LayoutName | None = None,
) -> Prompts:
    """The prompts that the stages of one reasoner share.

    Args:
        backend: The language model.
        order: Order of the stages, the response last; by default the codec's own if one is
            named, else that of SMES.
        strategies: ``mesc-10`` or ``esconv-8``.
        codec: The codec or its name; by default the layout's.
        layout: Of the prompt, or its name; by default what fits the backend.

    Raises:
        BuildError: If the order is no permutation of the stages, or strategies or codec unknown.
    """
    if strategies not in STRATEGIES:
        raise BuildError(f"no strategies {strategies!r}; there are: {', '.join(STRATEGIES)}")
    named = codec_named(codec) if isinstance(codec, str) else codec
    wanted = order or (named.order if named else SMES_ORDER)
    checked = check_order(tuple(wanted))
    if isinstance(layout, str):
        told = PromptLayout.named(layout, order=checked, strategies=strategies)
    else:
        told = layout or PromptLayout.fitting(backend, order=checked, strategies=strategies)
    form = named or codec_named(told.codec)
    if form.order != checked:
        if not isinstance(codec, str | None):
            raise BuildError(f"codec {form.name!r} has the order {list(form.order)}")
        form = codec_named(form.name, checked)
    chosen = STRATEGIES[strategies]
    allowed = [s for s in chosen.labels if s not in UNFIT_FOR_AN_AI]
    return Prompts(replace(told, codec=form.name, order=checked), {"strategy": allowed}, form)


def default_stages(
    backend: Backend,
    *,
    order: Sequence[str] | None = None,
    strategies: str = "mesc-10",
    codec: str | Codec | None = None,
    layout: PromptLayout | LayoutName | None = None,
    heads: Sequence[LabelHead] = (),
) -> tuple[list[WeighedStage], Prompts]:
    """The three label stages in an order, and the prompts that they share.

    Args:
        backend: The language model.
        order: See :func:`prompts_for`.
        strategies: ``mesc-10`` or ``esconv-8``.
        codec: See :func:`prompts_for`.
        layout: Of the prompt, or its name; by default what fits the backend.
        heads: Trained heads; each is an expert of the stage whose label it reads.

    Raises:
        BuildError: If the order is no permutation of the stages, the strategies or the codec are
            unknown, or a head reads other labels.
    """
    prompts = prompts_for(backend, order=order, strategies=strategies, codec=codec, layout=layout)
    own = _by_stage(heads)
    by_name: Mapping[StageName, WeighedStage] = {
        "user_emotion": UserEmotionStage(backend, prompts, head=own.get("user_emotion")),
        "strategy": StrategyStage(
            backend, prompts, strategies=STRATEGIES[strategies], head=own.get("strategy")
        ),
        "system_emotion": SystemEmotionStage(backend, prompts, head=own.get("system_emotion")),
    }
    return [by_name[name] for name in prompts.codec.order if name != "response"], prompts


async def warm_stages(stages: Sequence[LabelStage | ResponseStage]) -> None:
    """Load what stages need; most need nothing and have no ``warm_up``."""
    for stage in stages:
        warm_up = getattr(stage, "warm_up", None)
        if warm_up is not None:
            await warm_up()


async def close_backend(backend: Backend) -> None:
    """Close what a backend holds open; most hold nothing."""
    close = getattr(backend, "close", None)
    if close is not None:
        await close()


def _by_stage(heads: Sequence[LabelHead]) -> dict[StageName, LabelHead]:
    found: dict[StageName, LabelHead] = {}
    for head in heads:
        if head.stage in found:
            raise BuildError(f"two heads read the {head.stage}: name one")
        found[head.stage] = head
    return found
