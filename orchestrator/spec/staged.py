"""The staged reasoner from a spec: each of its four stages can be replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from affectgraph.orchestrator.spec.workshop import Offers, Recipe
from affectgraph.perceivers.errors import BuildError
from affectgraph.reasoners.brevity import Brevity
from affectgraph.reasoners.contracts import Backend, LabelStage, ResponseStage, Sampling
from affectgraph.reasoners.plan import SMES_ORDER
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.stages import BackendResponse, SmesStaged, default_stages

LabelRecipe = Annotated[Recipe[LabelStage], Offers(Backend, Prompts)]
ResponseRecipe = Annotated[Recipe[ResponseStage], Offers(Backend, Prompts)]


def smes_staged(
    backend: Backend,
    *,
    order: Sequence[str] = SMES_ORDER,
    strategies: str = "mesc-10",
    layout: PromptLayout | None = None,
    sampling: Sampling | None = None,
    brevity: Brevity | None = None,
    user_emotion: LabelRecipe | None = None,
    strategy: LabelRecipe | None = None,
    system_emotion: LabelRecipe | None = None,
    response: ResponseRecipe | None = None,
) -> SmesStaged:
    """The staged form over one backend.

    Args:
        backend: The language model; a stage that names none of its own is given this one.
        order: Order of the stages, the response last.
        strategies: ``mesc-10`` or ``esconv-8``.
        layout: Of the prompts; by default what fits the backend.
        sampling: How words are chosen, by the default response stage.
        brevity: How much is said, by the default response stage.
        user_emotion: In place of the default stage.
        strategy: In place of the default stage.
        system_emotion: In place of the default stage.
        response: In place of the default stage.

    Raises:
        BuildError: If the order or the strategies are wrong, or a stage decides another label.
    """
    defaults, prompts = default_stages(backend, order=order, strategies=strategies, layout=layout)
    offered: dict[type, object] = {Backend: backend, Prompts: prompts}
    replaced = {
        "user_emotion": user_emotion, "strategy": strategy, "system_emotion": system_emotion,
    }  # fmt: skip
    stages: list[LabelStage] = []
    for default in defaults:
        recipe = replaced[default.stage]
        stage = default if recipe is None else recipe.make(offered)
        if stage.stage != default.stage:
            raise BuildError(f"the stage given as {default.stage} decides the {stage.stage}")
        stages.append(stage)
    speaking: ResponseStage
    if response is None:
        speaking = BackendResponse(backend, prompts, sampling=sampling, brevity=brevity)
    else:
        speaking = response.make(offered)
    return SmesStaged(tuple(stages), speaking, backend)
