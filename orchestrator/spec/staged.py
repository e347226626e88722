"""The reasoner of SMES from a spec, in both forms: each of its stages can be replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from affectgraph.orchestrator.spec.workshop import Offers, Recipe
from affectgraph.perceivers.errors import BuildError
from affectgraph.reasoners.brevity import Brevity
from affectgraph.reasoners.contracts import (
    Backend,
    LabelHead,
    LabelStage,
    ResponseStage,
    Sampling,
)
from affectgraph.reasoners.history import HistoryCompressor, Notes
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.layout import LayoutName
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.replies.speaking import Replying
from affectgraph.reasoners.stages import (
    BackendResponse,
    SmesStaged,
    WeighedStage,
    default_stages,
)

LabelRecipe = Annotated[Recipe[LabelStage], Offers(Backend, Prompts)]
ResponseRecipe = Annotated[Recipe[ResponseStage], Offers(Backend, Prompts)]


def smes_staged(
    backend: Backend,
    *,
    order: Sequence[str] | None = None,
    strategies: str = "mesc-10",
    codec: str | None = None,
    layout: PromptLayout | LayoutName | None = None,
    heads: Sequence[LabelHead] = (),
    sampling: Sampling | None = None,
    brevity: Brevity | None = None,
    history: HistoryCompressor | None = None,
    replies: Replying | None = None,
    user_emotion: LabelRecipe | None = None,
    strategy: LabelRecipe | None = None,
    system_emotion: LabelRecipe | None = None,
    response: ResponseRecipe | None = None,
) -> SmesStaged:
    """The staged form over one backend.

    Args:
        backend: The language model; a stage that names none of its own is given this one.
        order: Order of the stages, the response last; by default the codec's own if one is
            named, else that of SMES.
        strategies: ``mesc-10`` or ``esconv-8``.
        codec: ``json``, ``smes``, ``lines`` or ``multimood``; by default the layout's.
        layout: Of the prompt, or its name; by default what fits the backend.
        heads: Trained heads, each an expert of the default stage whose label it reads.
        sampling: How words are chosen, by the default response stage.
        brevity: How much is said, by the default response stage.
        history: How much of the conversation is told; by default what fits the layout.
        replies: How sentences are checked and what is said where they fail, by the default
            response stage.
        user_emotion: In place of the default stage.
        strategy: In place of the default stage.
        system_emotion: In place of the default stage.
        response: In place of the default stage.

    Raises:
        BuildError: If order, strategies or codec are wrong, or a stage decides another label.
    """
    defaults, prompts = default_stages(
        backend, order=order, strategies=strategies, codec=codec, layout=layout, heads=heads
    )
    given = (user_emotion, strategy, system_emotion)
    stages = _replaced(defaults, given, backend, prompts)
    speaking: ResponseStage
    if response is None:
        speaking = BackendResponse(
            backend, prompts, sampling=sampling, brevity=brevity, replies=replies
        )
    else:
        speaking = response.make({Backend: backend, Prompts: prompts})
    return SmesStaged(tuple(stages), speaking, backend, Notes(prompts, history, backend))


def smes_joint(
    backend: Backend,
    *,
    order: Sequence[str] | None = None,
    strategies: str = "mesc-10",
    codec: str | None = None,
    layout: PromptLayout | LayoutName | None = None,
    heads: Sequence[LabelHead] = (),
    sampling: Sampling | None = None,
    brevity: Brevity | None = None,
    history: HistoryCompressor | None = None,
    replies: Replying | None = None,
    user_emotion: LabelRecipe | None = None,
    strategy: LabelRecipe | None = None,
    system_emotion: LabelRecipe | None = None,
) -> SmesJoint:
    """The joint form over one backend; its arguments are those of :func:`smes_staged`.

    Args:
        backend: The language model.
        order: Order of the stages, the response last.
        strategies: ``mesc-10`` or ``esconv-8``.
        codec: ``json``, ``smes``, ``lines`` or ``multimood``; by default the layout's.
        layout: Of the prompt, or its name; by default what fits the backend.
        heads: Trained heads, each an expert of the default stage whose label it reads.
        sampling: How words are chosen.
        brevity: How much is said.
        history: How much of the conversation is told; by default what fits the layout.
        replies: How sentences are checked, and what is said where they fail.
        user_emotion: In place of the default stage; it must tell its weights (``weigh``).
        strategy: In place of the default stage, alike.
        system_emotion: In place of the default stage, alike.

    Raises:
        BuildError: If order, strategies or codec are wrong, or a stage decides another label or
            cannot tell its weights before it decides.
    """
    defaults, prompts = default_stages(
        backend, order=order, strategies=strategies, codec=codec, layout=layout, heads=heads
    )
    given = (user_emotion, strategy, system_emotion)
    stages = [_weighing(s) for s in _replaced(defaults, given, backend, prompts)]
    return SmesJoint(
        backend,
        sampling=sampling,
        brevity=brevity,
        history=history,
        replies=replies,
        made=(stages, prompts),
    )


def _replaced(
    defaults: Sequence[WeighedStage],
    given: tuple[LabelRecipe | None, LabelRecipe | None, LabelRecipe | None],
    backend: Backend,
    prompts: Prompts,
) -> list[LabelStage]:
    recipes = dict(zip(("user_emotion", "strategy", "system_emotion"), given, strict=True))
    stages: list[LabelStage] = []
    for default in defaults:
        recipe = recipes[default.stage]
        stage = default if recipe is None else recipe.make({Backend: backend, Prompts: prompts})
        if stage.stage != default.stage:
            raise BuildError(f"the stage given as {default.stage} decides the {stage.stage}")
        stages.append(stage)
    return stages


def _weighing(stage: LabelStage) -> WeighedStage:
    if not isinstance(stage, WeighedStage):
        raise BuildError(
            f"the stage given as {stage.stage} has no weigh() and cannot stand in the joint form:"
            " use the staged form, smes.staged.v1"
        )
    return stage
