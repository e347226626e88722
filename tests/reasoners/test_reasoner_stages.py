from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.perceivers.affect import Affect, Distribution
from affectgraph.perceivers.errors import BackendError, BuildError
from affectgraph.perceivers.labels import EKMAN_7, MESC_7
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import (
    Backend,
    JointReasoner,
    LabelStage,
    ResponseStage,
    Sampling,
)
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.plan import SMES_ORDER, Decision, Plan, StageName
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.replies.speaking import Replying
from affectgraph.reasoners.stages import (
    BackendResponse,
    CompletionScore,
    SmesStaged,
    StrategyStage,
    SystemEmotionStage,
    UserEmotionStage,
)
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ORDERS = [(*labels, "response") for labels in permutations(SMES_ORDER[:3])]


def seeming(label: str, p: float = 0.7) -> Affect:
    rest = (1 - p) / (len(EKMAN_7) - 1)
    weights = dict.fromkeys(EKMAN_7.labels, rest) | {label: p}
    return Affect.read(Distribution.over(EKMAN_7, weights), NOW)


def context(
    said: str = "I failed my exam again.",
    *,
    feels: str | None = "sadness",
    history: Sequence[Exchange] = (),
) -> ReasoningContext:
    return ReasoningContext(
        utterance=said,
        affect=None if feels is None else seeming(feels),
        history=tuple(history),
    )


class ScoringBackend(ScriptedBackend):
    """A scripted backend that can also score continuations, evenly but for one label."""

    def __init__(self, favours: str) -> None:
        super().__init__()
        self.scored: list[str] = []
        self._favours = favours

    async def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        self.scored.append(prompt)
        gain = 0.0 if prompt.startswith('""') else 3.0
        return [-5 + gain * (c.strip() == self._favours) for c in continuations]


def prompts() -> Prompts:
    return Prompts(PromptLayout())


async def staged(reasoner: SmesStaged, given_: ReasoningContext) -> tuple[list[Decision], str]:
    plan, decisions = Plan(), list[Decision]()
    for stage in reasoner.stages:
        decision = await stage.decide(given_.model_copy(update={"plan": plan}))
        plan = plan.deciding(decision)
        decisions.append(decision)
    planned = given_.model_copy(update={"plan": plan})
    return decisions, "".join([piece async for piece in reasoner.response.respond(planned)])


async def joint(reasoner: SmesJoint, given_: ReasoningContext) -> tuple[list[Decision], str]:
    items = [item async for item in reasoner.reason(given_)]
    decisions = [item for item in items if isinstance(item, Decision)]
    assert items[: len(decisions)] == decisions, "decisions come before words"
    return decisions, "".join(item for item in items if isinstance(item, str))


def test_the_parts_keep_their_contracts() -> None:
    backend = ScriptedBackend()
    assert isinstance(backend, Backend)
    for stage in SmesStaged.over(backend).stages:
        assert isinstance(stage, LabelStage)
    assert isinstance(BackendResponse(backend, prompts()), ResponseStage)
    assert isinstance(SmesJoint(backend), JointReasoner)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("strategies", ["mesc-10", "esconv-8"])
async def test_both_forms_decide_alike_in_the_configured_order(
    order: tuple[StageName, ...], strategies: str
) -> None:
    weights = {"sadness": 0.4, "neutral": 0.3, "Restatement": 0.5, "Question": 0.4}
    one = SmesStaged.over(ScriptedBackend(weights=weights), order=order, strategies=strategies)
    two = SmesJoint(ScriptedBackend(weights=weights), order=order, strategies=strategies)
    by_stages, said = await staged(one, context())
    at_once, also_said = await joint(two, context())
    assert [d.stage for d in by_stages] == list(order[:3])
    assert [(d.stage, d.label) for d in by_stages] == [(d.stage, d.label) for d in at_once]
    assert said == also_said == "That sounds hard. What is on your mind most?"
    # The system emotion is last to depend on another decision, the user's emotion.
    for first, second in zip(by_stages, at_once, strict=True):
        assert first.distribution.label_set == second.distribution.label_set
        assert first.distribution.as_dict() == pytest.approx(
            second.distribution.as_dict(), abs=0.15
        )


@pytest.mark.parametrize(
    "order",
    [("user_emotion", "strategy", "response"), ("response", *SMES_ORDER[:3]), (*SMES_ORDER, "x")],
)
def test_an_order_that_is_no_permutation_is_refused(order: tuple[str, ...]) -> None:
    for build in (SmesStaged.over, SmesJoint):
        with pytest.raises(BuildError, match="order of stages"):
            build(ScriptedBackend(), order=order)


def test_unknown_strategies_are_refused() -> None:
    with pytest.raises(BuildError, match="esconv-8"):
        SmesJoint(ScriptedBackend(), strategies="mesc-11")


def test_a_stage_that_stands_twice_is_refused() -> None:
    backend = ScriptedBackend()
    stage = UserEmotionStage(backend, prompts())
    with pytest.raises(BuildError, match="stands twice"):
        SmesStaged((stage, stage), BackendResponse(backend, prompts()))


async def test_perception_and_model_are_multiplied() -> None:
    stage = UserEmotionStage(ScriptedBackend(weights={"fear": 0.6, "sadness": 0.3}), prompts())
    alone = await stage.decide(context(feels=None))
    both = await stage.decide(context(feels="sadness"))
    assert alone.label == "fear"
    assert both.label == "sadness"
    assert both.distribution["fear"] > both.distribution["joy"]
    assert both.source == "perception+script"


async def test_without_any_source_all_emotions_are_alike() -> None:
    weighed = await UserEmotionStage(ScriptedBackend(), prompts()).weigh(context(feels=None))
    assert weighed.prior.probs == pytest.approx([1 / 7] * 7)
    assert weighed.sources == ()


async def test_a_backend_that_scores_is_read_by_completion_and_not_asked() -> None:
    backend = ScoringBackend("anger")
    stage = UserEmotionStage(backend, prompts(), sources=["affect", "score"])
    for _ in range(2):
        assert (await stage.decide(context(feels=None))).label == "anger"
    assert backend.prompts == []
    told = '"I failed my exam again."\nThis is a message of'
    assert backend.scored == ['""\nThis is a message of', told, told]


async def test_a_score_tells_what_the_message_adds_to_the_empty_one() -> None:
    backend = ScoringBackend("anger")
    completion = CompletionScore()
    empty = await completion.empty(backend.score, MESC_7)
    read = await completion.read(backend.score, "Grr", MESC_7, empty)
    assert read["anger"] / read["joy"] == pytest.approx(math.exp(3), rel=1e-6)


async def test_errors_of_the_backend_are_raised() -> None:
    backend = ScriptedBackend(fault="fails")
    for stage in SmesStaged.over(backend).stages:
        with pytest.raises(BackendError):
            await stage.decide(context())
    with pytest.raises(BackendError):
        await joint(SmesJoint(backend), context())


async def test_advice_waits_unless_it_is_asked_for() -> None:
    stage = StrategyStage(ScriptedBackend(weights={"Advisement": 0.9}), prompts())
    past = Exchange(said="I failed my exam.", replied="That hurts. What happened?")
    assert (await stage.decide(context())).distribution["Advisement"] == 0
    later = await stage.decide(context(history=[past]))
    assert later.distribution["Advisement"] > 0
    asked = await stage.decide(context("I failed. What should I do now?"))
    assert asked.label == "Advisement"


@given(
    st.sampled_from((None, *EKMAN_7.labels)),
    st.sampled_from((MESC_10, ESCONV_8)),
    st.integers(0, 3),
)
async def test_strategies_unfit_for_an_ai_are_never_chosen(
    feels: str | None, strategies: object, turns: int
) -> None:
    chosen = MESC_10 if strategies is MESC_10 else ESCONV_8
    backend = ScriptedBackend(
        weights={"Self-disclosure": 0.9, "Structuring the therapy": 0.9}, seconds_per_choice=0
    )
    stage = StrategyStage(backend, prompts(), strategies=chosen)
    past = [Exchange(said="Hm.", replied="Tell me more.")] * turns
    decision = await stage.decide(context(feels=feels, history=past))
    assert decision.distribution.labels == chosen.labels
    assert decision.distribution["Self-disclosure"] == 0
    assert decision.label not in {"Self-disclosure", "Structuring the therapy"}


async def test_the_allow_list_is_configurable_and_checked() -> None:
    backend = ScriptedBackend(weights={"Advisement": 0.9})
    stage = StrategyStage(backend, prompts(), allowed=["Restatement"])
    decision = await stage.decide(context())
    assert decision.distribution["Restatement"] == 1
    assert backend.prompts == [], "one label left needs no model"
    with pytest.raises(BuildError, match="Cheering"):
        StrategyStage(backend, prompts(), allowed=["Cheering"])


@given(st.sampled_from((None, *EKMAN_7.labels)))
async def test_the_companion_shows_no_anger_disgust_or_fear(feels: str | None) -> None:
    backend = ScriptedBackend(
        weights={"anger": 0.9, "fear": 0.9, "disgust": 0.9}, seconds_per_choice=0
    )
    decision = await SystemEmotionStage(backend, prompts()).decide(context(feels=feels))
    assert decision.label in {"neutral", "sadness", "joy"}
    shown = decision.distribution
    assert shown["anger"] == shown["disgust"] == shown["fear"] == shown["depression"] == 0


def test_barred_tones_cannot_be_allowed() -> None:
    with pytest.raises(BuildError, match="anger may not be shown"):
        SystemEmotionStage(ScriptedBackend(), prompts(), allowed=["neutral", "anger"])


async def test_gladness_is_answered_gladly_and_sadness_is_not() -> None:
    stages = SmesStaged.over(ScriptedBackend()).stages
    tones = {}
    for feels in ("joy", "sadness"):
        given_ = context("Listen!", feels=feels)
        plan = Plan().deciding(await stages[0].decide(given_))
        tones[feels] = await stages[2].decide(given_.model_copy(update={"plan": plan}))
    assert tones["joy"].label == "joy"
    assert tones["sadness"].distribution["joy"] < 0.1


@pytest.mark.parametrize("form", ["staged", "joint"])
async def test_closing_the_response_stops_the_model(form: str) -> None:
    backend = ScriptedBackend(says="Well then. " * 100)
    if form == "joint":
        items = SmesJoint(backend).reason(context())
        async with aclosing(items):  # type: ignore[type-var]
            async for item in items:
                if isinstance(item, str):
                    break
    else:
        response = SmesStaged.over(backend).response.respond(context())
        async with aclosing(response) as pieces:  # type: ignore[type-var]
            await anext(pieces)
    assert backend.closed == 1


async def test_a_generation_that_speaks_before_it_decides_is_an_error() -> None:
    class Hasty(ScriptedBackend):
        async def stream_joint(self, messages, form, sampling):  # type: ignore[no-untyped-def]
            yield "Well."

    with pytest.raises(BackendError, match="did not decide the user_emotion"):
        await joint(SmesJoint(Hasty()), context())


async def test_warm_up_reaches_the_backend() -> None:
    for build in (SmesStaged.over, SmesJoint):
        backend = ScriptedBackend()
        await build(backend).warm_up()
        assert backend.warmed == 1


async def test_the_sampling_reaches_the_backend() -> None:
    said = await staged(
        SmesStaged.over(
            ScriptedBackend(says="Yes. No. Maybe."),
            sampling=Sampling(max_tokens=2),
            replies=Replying(check=False),
        ),
        context(),
    )
    assert said[1] == "Yes. No."
