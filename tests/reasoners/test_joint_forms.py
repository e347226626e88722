"""The staged and the joint form are one reasoner: the same types over the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.perceivers.affect import Affect, Distribution
from affectgraph.perceivers.errors import BackendError, SetupError
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.codecs import CODECS, codec_named
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import Backend, Message, Sampling
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.plan import MULTIMOOD_ORDER, SMES_ORDER, Decision, Plan
from affectgraph.reasoners.prompts import PromptLayout
from affectgraph.reasoners.stages import SmesStaged
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10

NOW = datetime(2026, 1, 2, tzinfo=UTC)
WORDS = Sampling(max_tokens=10)
SAYS = "That sounds hard. What is on your mind most?"


def context(turns: int = 0) -> ReasoningContext:
    felt = Distribution.over(EKMAN_7, {"sadness": 0.6, "fear": 0.3, "neutral": 0.1})
    strategy = Decision(
        stage="strategy",
        distribution=Distribution.certain(MESC_10, "Restatement"),
        label="Restatement",
        source="test",
    )
    past = Exchange(said="I am worn out.", replied="That is a lot.", plan=Plan(strategy=strategy))
    return ReasoningContext(
        utterance="I failed my exam again.",
        affect=Affect.read(felt, NOW),
        history=(past,) * turns,
    )


async def staged(reasoner: SmesStaged, given: ReasoningContext) -> tuple[list[Decision], str]:
    decisions = list[Decision]()
    for stage in reasoner.stages:
        decisions.append(await stage.decide(given))
        given = given.model_copy(update={"plan": given.plan.deciding(decisions[-1])})
    return decisions, "".join([piece async for piece in reasoner.response.respond(given)])


async def joint(reasoner: SmesJoint, given: ReasoningContext) -> tuple[list[Decision], str]:
    items = [item async for item in reasoner.reason(given)]
    decisions = [item for item in items if isinstance(item, Decision)]
    assert items[: len(decisions)] == decisions, "decisions come before words"
    return decisions, "".join(item for item in items if isinstance(item, str))


def alike(one: Sequence[Decision], other: Sequence[Decision]) -> None:
    """The same stages, label sets and support."""
    assert [d.stage for d in one] == [d.stage for d in other]
    for first, second in zip(one, other, strict=True):
        assert first.distribution.label_set == second.distribution.label_set
        assert first.distribution.labels == second.distribution.labels
        support = [
            {label for label, p in d.distribution.as_dict().items() if p > 0}
            for d in (first, second)
        ]
        assert support[0] == support[1]
        for decision in (first, second):
            assert decision.distribution[decision.label] > 0


class Formed(ScriptedBackend):
    """Speaks in the form that it was told to continue, as a model does."""

    async def stream(self, messages: Sequence[Message], sampling: Sampling):  # type: ignore[no-untyped-def]
        lead = messages[-1].content
        async for piece in super().stream(messages, sampling):
            yield piece
        if lead.startswith("{"):
            yield '"}'


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("strategies", ["mesc-10", "esconv-8"])
async def test_both_forms_give_the_same_over_a_script(codec: str, strategies: str) -> None:
    weights = {"sadness": 0.5, "Restatement": 0.6, "Question": 0.5}
    made = [
        build(Formed(SAYS, weights=weights), codec=codec, strategies=strategies)
        for build in (SmesStaged.over, SmesJoint)
    ]
    assert isinstance(made[0], SmesStaged)
    assert isinstance(made[1], SmesJoint)
    one, said = await staged(made[0], context())
    other, also_said = await joint(made[1], context())
    alike(one, other)
    assert [d.label for d in one] == [d.label for d in other]
    assert said == also_said == SAYS
    order = MULTIMOOD_ORDER if codec == "multimood" else SMES_ORDER
    assert [d.stage for d in one] == list(order[:3])


@pytest.mark.parametrize("codec", CODECS)
async def test_a_stage_continues_the_form_so_far(codec: str) -> None:
    backend = Formed(SAYS)
    decisions, _ = await staged(SmesStaged.over(backend, codec=codec), context(turns=1))
    form, plan = codec_named(codec), Plan()
    for prompt, stage in zip(backend.prompts, form.order, strict=True):
        assert prompt[-1].content == form.lead(plan, stage)
        plan = plan.deciding(decisions[min(len(plan.decided()), 2)])
    replied = backend.prompts[0][-3]
    assert replied.role == "assistant"
    assert replied.words == "That is a lot."
    assert replied.content != replied.words


@pytest.mark.parametrize("codec", CODECS)
async def test_a_backend_that_holds_no_form_is_asked_stage_by_stage(codec: str) -> None:
    backend = Formed(SAYS, constrains=False)
    decisions, said = await joint(SmesJoint(backend, codec=codec), context())
    held, _ = await joint(SmesJoint(Formed(SAYS), codec=codec), context())
    alike(decisions, held)
    assert said == SAYS
    assert backend.forms == [], "no joint generation was asked for"
    assert len(backend.prompts) == 4, "three choices and the words"


@pytest.mark.parametrize("constrains", [True, False])
async def test_leaving_early_stops_the_model_in_either_way(constrains: bool) -> None:
    backend = ScriptedBackend("Well then. " * 50, constrains=constrains)
    async with aclosing(SmesJoint(backend).reason(context())) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, str):
                break
    assert (backend.streams, backend.closed) == (1, 1)


@pytest.mark.parametrize("constrains", [True, False])
async def test_a_failing_backend_is_one_error_in_either_way(constrains: bool) -> None:
    backend = ScriptedBackend(fault="fails", constrains=constrains)
    with pytest.raises(BackendError):
        await joint(SmesJoint(backend), context())


async def test_an_order_of_ones_own_goes_with_any_codec() -> None:
    order = ("strategy", "system_emotion", "user_emotion", "response")
    for codec in CODECS:
        decisions, _ = await joint(SmesJoint(Formed(SAYS), codec=codec, order=order), context())
        assert [d.stage for d in decisions] == list(order[:3])


async def both_over(backend: Backend, codec: str) -> None:
    short = PromptLayout(system="Be kind.", define=False, tell_affect=False)
    one, said = await staged(
        SmesStaged.over(backend, codec=codec, layout=short, sampling=WORDS), context(turns=1)
    )
    reasoner = SmesJoint(backend, codec=codec, layout=short, sampling=WORDS)
    other, also_said = await joint(reasoner, context(turns=1))
    alike(one, other)
    # The first label depends on no other one, so both forms decide it by the same numbers.
    assert one[0].distribution.as_dict() == pytest.approx(other[0].distribution.as_dict(), abs=1e-3)
    assert isinstance(said, str)
    assert isinstance(also_said, str)


@pytest.mark.local_lm
@pytest.mark.parametrize("codec", CODECS)
async def test_both_forms_give_the_same_over_a_small_model(codec: str, tiny_llama: Path) -> None:
    await both_over(LocalBackend(folder=tiny_llama, threads=1), codec)


@pytest.mark.models
@pytest.mark.local_lm
@pytest.mark.parametrize("codec", CODECS)
async def test_both_forms_give_the_same_over_the_pulled_model(codec: str, smollm2: Path) -> None:
    await both_over(LocalBackend(folder=smollm2, threads=1), codec)


@pytest.mark.parametrize("form", ["joint", "staged"])
@pytest.mark.parametrize(("share", "label"), [(0.98, "joy"), (0.4, "anger")])
async def test_a_certain_choice_vetoes_nothing(form: str, share: float, label: str) -> None:
    """A server tells no probabilities: it decides where perception leaves it open."""
    felt = Distribution.over(EKMAN_7, {"joy": share, "anger": 0.98 - share, "neutral": 0.02})
    given = ReasoningContext(utterance="So that was that.", affect=Affect.read(felt, NOW))
    backend = ScriptedBackend(weights={"anger": 0.97}, weighs=False)
    if form == "joint":
        decisions, _ = await joint(SmesJoint(backend), given)
    else:
        decisions, _ = await staged(SmesStaged.over(backend), given)
    assert decisions[0].label == label
    assert 0 < decisions[0].distribution["anger"] < 1
    assert decisions[0].source == "perception+script"


class Lost:
    """A head whose weights are gone by the time that it is asked."""

    stage = "strategy"
    labels = ESCONV_8

    async def warm_up(self) -> None: ...

    async def read(self, context: ReasoningContext) -> Distribution | None:
        raise SetupError("the weights are gone")


@pytest.mark.parametrize("form", ["joint", "staged"])
async def test_an_expert_that_fails_costs_its_own_say_alone(form: str) -> None:
    backend = ScriptedBackend(SAYS)
    options: dict[str, Any] = {"strategies": "esconv-8", "heads": [Lost()]}
    if form == "joint":
        decisions, words = await joint(SmesJoint(backend, **options), context())
    else:
        decisions, words = await staged(SmesStaged.over(backend, **options), context())
    assert words == SAYS
    assert [each.stage for each in decisions] == ["user_emotion", "strategy", "system_emotion"]
    assert "head" not in decisions[1].source
