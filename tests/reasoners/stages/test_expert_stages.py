from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.perceivers.affect import Affect, Distribution
from affectgraph.perceivers.errors import BuildError, ModelCorruptError
from affectgraph.perceivers.labels import EKMAN_7, MESC_7, LabelSet
from affectgraph.reasoners.beliefs import product, within
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import LabelHead
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.plan import LabelStageName
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.stages import (
    SmesStaged,
    StrategyStage,
    SystemEmotionStage,
    UserEmotionStage,
)
from affectgraph.reasoners.stages.weights import Calibration, Company, Weights, WeightsFile
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SAID = "I failed my exam again."


class Head:
    """A head that reads what it is told to, or nothing."""

    def __init__(
        self,
        weights: Mapping[str, float] | None,
        labels: LabelSet = MESC_10,
        stage: LabelStageName = "strategy",
    ) -> None:
        self.stage: LabelStageName = stage
        self.labels = labels
        self.warmed = 0
        self._told = None if weights is None else Distribution.over(labels, weights)

    async def warm_up(self) -> None:
        self.warmed += 1

    async def read(self, context: ReasoningContext) -> Distribution | None:
        return self._told


class Scoring(ScriptedBackend):
    async def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        return [-1.0 for _ in continuations]


def prompts() -> Prompts:
    return Prompts(PromptLayout())


def context(feels: str | None = "sadness", history: int = 0, p: float = 0.7) -> ReasoningContext:
    rest = dict.fromkeys(EKMAN_7.labels, (1 - p) / 6)
    affect = None
    if feels is not None:
        affect = Affect.read(Distribution.over(EKMAN_7, rest | {feels: p}), NOW)
    past = (Exchange(said="Hm.", replied="Tell me more."),) * history
    return ReasoningContext(utterance=SAID, affect=affect, history=past)


def strategy(backend: ScriptedBackend, **options: object) -> StrategyStage:
    return StrategyStage(backend, prompts(), **options)  # type: ignore[arg-type]


async def test_a_head_is_one_expert_of_the_product() -> None:
    backend = ScriptedBackend()
    head = Head({"Interpretation": 0.9, "Approval": 0.1})
    exponents = {"rule": 1.0, "head": 2.0, "choice": 0.0}
    alone = await strategy(backend, weights={"rule": 1.0, "choice": 0}).decide(context(history=1))
    both = await strategy(backend, head=head, weights=exponents).decide(context(history=1))
    assert alone.label == "Open questions"
    assert both.label == "Interpretation"
    assert both.source == "rule+head"
    assert backend.prompts == [], "a choice without a say is not asked for"


async def test_a_head_that_has_nothing_to_say_is_passed_over() -> None:
    backend = ScriptedBackend()
    silent = await strategy(backend, head=Head(None)).decide(context())
    without = await strategy(backend).decide(context())
    assert silent.distribution == without.distribution
    assert "head" not in silent.source


async def test_heads_are_warmed_up_with_either_form() -> None:
    for build in (SmesStaged.over, SmesJoint):
        head = Head({"Approval": 1})
        assert isinstance(head, LabelHead)
        await build(ScriptedBackend(), heads=[head]).warm_up()
        assert head.warmed == 1


def test_a_head_over_other_labels_is_refused() -> None:
    with pytest.raises(BuildError, match="esconv-8"):
        SmesJoint(ScriptedBackend(), heads=[Head({"Question": 1}, ESCONV_8)])
    SmesJoint(ScriptedBackend(), heads=[Head({"Question": 1}, ESCONV_8)], strategies="esconv-8")
    with pytest.raises(BuildError, match="two heads"):
        SmesJoint(ScriptedBackend(), heads=[Head({"Approval": 1}), Head({"Approval": 1})])


@pytest.mark.parametrize("sources", [["affect"], ["score"], ["affect", "score"], ["choice"]])
async def test_a_stage_goes_by_the_sources_that_are_named(sources: list[str]) -> None:
    backend = Scoring(weights={"joy": 0.9})
    stage = UserEmotionStage(backend, prompts(), sources=sources)  # type: ignore[arg-type]
    decision = await stage.decide(context())
    assert (decision.label == "joy") == (sources == ["choice"])
    assert bool(backend.prompts) == ("choice" in sources)
    assert ("perception" in decision.source) == ("affect" in sources)


@pytest.mark.parametrize("sources", [["rule"], ["affect", "hunch"], []])
def test_an_unknown_source_is_refused(sources: list[str]) -> None:
    with pytest.raises(BuildError, match="there are affect, score, choice"):
        UserEmotionStage(ScriptedBackend(), prompts(), sources=sources)  # type: ignore[arg-type]


def test_a_negative_exponent_is_refused() -> None:
    with pytest.raises(BuildError, match="rule=-1"):
        strategy(ScriptedBackend(), weights={"rule": -1})


async def test_a_rules_zero_bars_a_label_whatever_its_exponent() -> None:
    """Advice that was not asked for waits for a second turn, also if the table has no say."""
    head = Head({"Advisement": 0.99, "Approval": 0.01})
    exponents = {"rule": 0.0, "head": 1.0, "choice": 0.0}
    first = await strategy(ScriptedBackend(), head=head, weights=exponents).decide(context())
    later = await strategy(ScriptedBackend(), head=head, weights=exponents).decide(
        context(history=1)
    )
    assert first.distribution["Advisement"] == 0
    assert later.label == "Advisement"


async def test_a_sure_perception_spares_the_scores() -> None:
    backend = Scoring()
    stage = UserEmotionStage(backend, prompts(), enough=0.8, weights={"choice": 0})
    assert (await stage.weigh(context(p=0.95))).sources == ("perception",)
    assert (await stage.weigh(context(p=0.7))).sources == ("perception", "script")


@settings(deadline=None)
@given(st.sampled_from((*EKMAN_7.labels, None)), st.integers(0, 3))
async def test_without_a_say_both_forms_take_the_experts_word(
    feels: str | None, history: int
) -> None:
    made = context(feels, history)
    backend = ScriptedBackend(weights={"Approval": 0.9, "joy": 0.9}, seconds_per_choice=0,
                              seconds_per_word=0)  # fmt: skip
    exponents = {"choice": 0.0}
    stages = [
        UserEmotionStage(backend, prompts(), weights=exponents),
        StrategyStage(backend, prompts(), weights=exponents),
        SystemEmotionStage(backend, prompts(), weights=exponents),
    ]
    staged, seen = [], made
    for stage in stages:
        staged.append(await stage.decide(seen))
        seen = seen.model_copy(update={"plan": seen.plan.deciding(staged[-1])})
    assert backend.prompts == []
    joint = SmesJoint(backend, made=(stages, prompts()))
    items = [item async for item in joint.reason(made)]
    assert items[:3] == staged
    (form,) = backend.forms
    assert [field.allowed for field in form.fields] == [(d.label,) for d in staged]


def test_exponents_are_those_of_the_company_that_spoke() -> None:
    fitted = Weights(
        (
            Company("strategy", "mesc-10", "*", {"rule": 0.7}),
            Company("strategy", "mesc-10", "*", {"rule": 0.4, "head": 0.9}),
            Company("strategy", "esconv-8", "small", {"rule": 0.6, "choice": 0.1}),
            Company("user_emotion", "mesc-7", "small", {"affect": 0.8, "score": 0.3, "choice": 0}),
        )
    )
    find = fitted.exponents
    assert find("strategy", MESC_10, "any", ["rule"]) == {"rule": 0.7}
    assert find("strategy", MESC_10, "any", ["head", "rule"]) == {"rule": 0.4, "head": 0.9}
    # Of the same model over another label set, rather than an assumption.
    assert find("strategy", MESC_10, "small", ["rule", "choice"]) == {"rule": 0.6, "choice": 0.1}
    # Of the smallest company that holds it.
    assert find("user_emotion", MESC_7, "small", ["affect", "score"]) == {
        "affect": 0.8, "score": 0.3,
    }  # fmt: skip
    # Another model's choice was never measured; of the rest the largest company is known.
    assert find("strategy", MESC_10, "large", ["rule", "choice"]) == {"rule": 0.7, "choice": 0.3}
    assert find("strategy", MESC_10, "large", ["rule", "head", "choice"]) == {
        "rule": 0.4, "head": 0.9, "choice": 0.3,
    }  # fmt: skip
    assert find("system_emotion", MESC_7, "small", ["rule"]) == {"rule": 1.0}


def test_a_tuned_model_scores_as_its_base_and_chooses_for_itself() -> None:
    base = Company("user_emotion", "mesc-7", "small", {"affect": 0.8, "score": 0.3})
    choosing = Company("user_emotion", "mesc-7", "small", {"affect": 0.7, "choice": 0.0})
    known = {("user_emotion", "mesc-7", "small", "score"): Calibration(4.0, 0.1)}
    fitted = Weights((base, choosing), known)
    for model, expected in (
        ("small", {"affect": 0.7, "choice": 0.0}),
        ("small-tuned", {"affect": 1.0, "choice": 0.3}),
    ):
        assert fitted.exponents("user_emotion", MESC_7, model, ["affect", "choice"]) == expected
        scored = fitted.exponents("user_emotion", MESC_7, model, ["affect", "score"])
        assert scored == {"affect": 0.8, "score": 0.3}
        assert fitted.calibration("user_emotion", MESC_7, model, "score") == Calibration(4.0, 0.1)
    assert fitted.calibration("user_emotion", MESC_7, "smaller", "score").temperature == 1.0


CALIBRATIONS = st.builds(Calibration, st.floats(0.1, 10), st.floats(0, 0.5))
COMPANIES = st.builds(
    Company,
    st.sampled_from(("user_emotion", "strategy", "system_emotion")),
    st.sampled_from(("mesc-7", "esconv-8")),
    st.sampled_from(("*", "small")),
    st.dictionaries(st.sampled_from(("affect", "score", "rule")), st.floats(0, 3), min_size=1),
)


@given(
    st.lists(COMPANIES, max_size=4),
    st.dictionaries(st.tuples(*[st.sampled_from(("a", "b"))] * 4), CALIBRATIONS, max_size=3),
)
def test_weights_are_read_back_as_printed(
    companies: list[Company], known: dict[tuple[str, str, str, str], Calibration]
) -> None:
    weights = Weights(tuple(companies), known)
    assert Weights.parse(weights.printed()) == weights


@given(st.lists(st.floats(0.0, 1.0), min_size=7, max_size=7).filter(any), CALIBRATIONS)
def test_a_calibration_keeps_the_order_and_lets_nothing_be_vetoed(
    raw: list[float], calibration: Calibration
) -> None:
    before = Distribution.over(MESC_7, dict(zip(MESC_7.labels, raw, strict=True)))
    after = calibration.apply(before, MESC_7)
    assert after[before.top] == pytest.approx(max(after.probs))
    assert min(after.probs) >= calibration.floor / 7 - 1e-9


async def test_weights_of_ones_own_are_used(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    company = {"stage": "strategy", "labels": "mesc-10", "model": "*", "exponents": {"rule": 0.0}}
    file.write_text(f'{{"calibrations": [], "companies": [{company}]}}'.replace("'", '"'))
    even = await strategy(ScriptedBackend(), sources=["rule"], file=file).weigh(context(history=1))
    chosen = [p for p in even.prior.probs if p]
    assert chosen == pytest.approx([1 / len(chosen)] * len(chosen))


async def test_a_file_that_holds_no_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"companies": 3}')
    for name in ("bad.json", "absent.json"):
        with pytest.raises(ModelCorruptError, match=name):
            await WeightsFile(tmp_path / name).load()


async def test_the_weights_that_ship_are_whole() -> None:
    weights = await WeightsFile().load()
    assert weights.companies
    assert all(w >= 0 for each in weights.companies for w in each.exponents.values())


def test_products_leave_out_who_has_no_say() -> None:
    sure, other = (
        Distribution.certain(MESC_7, "joy"),
        Distribution.over(MESC_7, {"fear": 3, "anger": 1}),
    )
    assert product(MESC_7, (sure, 0.0), (other, 1.0)).probs == pytest.approx(other.probs)
    with pytest.raises(ValueError, match="0 or more"):
        product(MESC_7, (other, -1.0))
    with pytest.raises(ValueError, match="no label"):
        product(MESC_7, (sure, 1.0), (other, 1.0))
    assert within(MESC_7, other, ("fear",)) == Distribution.certain(MESC_7, "fear")
    assert within(MESC_7, other, ("joy", "neutral"))["joy"] == 0.5
