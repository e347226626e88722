from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import GOEMOTIONS_28, MESC_7
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import LabelStageName
from affectgraph.reasoners.stages.weights import Calibration, Weights, WeightsFile
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.experts import earned, head_named, run, store
from affectgraph.reasoners.training.experts_fit import (
    HEAVIEST,
    Data,
    Fitted,
    Measured,
    calibrate,
    calibrated,
    companies,
    fit,
    fit_exponents,
)
from affectgraph.reasoners.training.experts_rows import emotion_rows, strategy_rows

pytest.importorskip("scipy", reason="the extra `train` is not installed")

Matrix = NDArray[np.float64]
ROWS = 3000


def evidence(truth: NDArray[np.int64], strength: float, rng: np.random.Generator) -> Matrix:
    """Posteriors of an expert that sees the truth through noise, over evenly likely labels."""
    seen = rng.normal(size=(len(truth), 4))
    seen[np.arange(len(truth)), truth] += strength
    logits = strength * seen
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def made(**probs: Matrix) -> Data:
    truth = TRUTH
    ones = np.ones(len(truth))
    mask = np.ones((len(truth), 4), np.bool_)
    return Data(probs, truth, ones, np.arange(len(truth)), mask)


RNG = np.random.default_rng(3)
TRUTH = RNG.integers(0, 4, ROWS)
ONE, OTHER = evidence(TRUTH, 1.0, RNG), evidence(TRUTH, 0.7, RNG)
NOISE = evidence(RNG.integers(0, 4, ROWS), 1.0, RNG)


def test_independent_calibrated_experts_each_count_once() -> None:
    """Bayes: with even odds beforehand the product of the posteriors is the posterior."""
    data = made(affect=ONE, score=OTHER)
    found = fit_exponents([np.log(ONE), np.log(OTHER)], data)
    assert found == pytest.approx([1.0, 1.0], abs=0.12)


def test_who_repeats_another_and_who_knows_nothing_count_for_nothing_more() -> None:
    data = made(affect=ONE, score=ONE, choice=NOISE)
    found = fit_exponents([np.log(ONE), np.log(ONE), np.log(NOISE)], data)
    assert found[0] + found[1] == pytest.approx(1.0, abs=0.1)
    assert 0 <= found[2] < 0.06
    assert max(found) <= HEAVIEST


def test_a_temperature_undoes_what_made_an_expert_too_sure() -> None:
    sure = ONE**3 / (ONE**3).sum(axis=1, keepdims=True)
    data = made(affect=sure)
    found = calibrate(sure, data)
    assert found.temperature == pytest.approx(3.0, rel=0.15)
    assert calibrated(sure, Calibration(3.0)) == pytest.approx(ONE, abs=1e-6)


def test_the_fitted_product_beats_its_experts_and_knowing_nothing() -> None:
    found = fit(("affect", "score"), made(affect=ONE, score=OTHER))
    assert found.fitted.log_loss < min(each.log_loss for each in found.alone.values())
    assert found.fitted.accuracy > found.prior.accuracy
    assert found.fitted.log_loss <= found.raw.log_loss + 0.01
    assert found.fitted.rows == ROWS
    assert found.prior.log_loss == pytest.approx(np.log(4), abs=0.01)


def test_rows_without_an_expert_or_with_a_barred_truth_are_left_out() -> None:
    silent = OTHER.copy()
    silent[:1000] = 0
    data = made(affect=ONE, score=silent)
    mask = data.mask.copy()
    mask[2000:, 0] = False
    barred = Data(data.probs, data.truth, data.weight, data.group, mask)
    left = barred.having(["affect", "score"])
    assert len(left.truth) == 1000 + int((TRUTH[2000:] != 0).sum())
    assert len(barred.having(["affect"]).truth) == 2000 + int((TRUTH[2000:] != 0).sum())


def test_too_few_rows_are_refused() -> None:
    few = np.zeros(ROWS, np.bool_)
    few[:5] = True
    with pytest.raises(ValueError, match="too few"):
        fit(("affect",), made(affect=ONE).at(few))


@pytest.mark.parametrize(("gain", "kept"), [(0.001, 0.0), (0.1, 0.4)])
def test_a_choice_that_does_not_earn_its_cost_has_no_say(gain: float, kept: float) -> None:
    told = Measured(1.0, 0.5, 10)
    better = Measured(1.0 - gain, 0.5, 10)
    fits = {
        ("rule",): Fitted({"rule": 0.9}, told, told, told, {}, told),
        ("rule", "choice"): Fitted(
            {"rule": 0.5, "choice": 0.4}, better, told, told, {}, told, unasked=told
        ),
    }
    found = earned(fits)
    assert found["rule", "choice"]["choice"] == kept
    assert found["rule", "choice"]["rule"] == (0.5 if kept else 0.9)


def test_every_company_is_fitted() -> None:
    assert companies(("a", "b", "c"))[-1] == ("a", "b", "c")
    assert len(companies(("a", "b", "c"))) == 7


# The whole run, on corpora in the form of the real ones.

SAID = {
    "sadness": "I lost my old cat and the house is quiet",
    "anger": "They broke the promise and I am cross",
    "joy": "I got the place in the choir",
    "fear": "The letter from the bank makes me shake",
    "neutral": "The bus comes at nine",
    "depression": "Nothing has any colour for me these weeks",
}


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    """GoEmotions' and ESConv's forms with words of our own."""
    (tmp_path / "goemotions").mkdir()
    (tmp_path / "esconv").mkdir()
    rows = []
    for number in range(60):
        name = ("sadness", "anger", "joy", "fear", "neutral", "surprise")[number % 6]
        text = f"{SAID.get(name, 'Oh')} {number}"
        rows.append(f"{text}\t{GOEMOTIONS_28.labels.index(name)}\tid{number}")
    (tmp_path / "goemotions" / "dev.tsv").write_text("\n".join(rows) + "\n")
    for split, count in (("train", 12), ("valid", 24)):
        chats = [chat(number) for number in range(count)]
        lines = "\n".join(json.dumps(each) for each in chats)
        (tmp_path / "esconv" / f"{split}.txt").write_text(lines + "\n")
    return tmp_path


def chat(number: int) -> dict[str, object]:
    strategies = ("Question", "Reflection of feelings", "Affirmation and Reassurance", "Others")
    dialog = [{"speaker": "sys", "text": "Hello.", "strategy": "Others"}]
    for turn in range(4):
        dialog.append({"speaker": "usr", "text": f"Well, {number} {turn}.", "strategy": ""})
        strategy = "Self-disclosure" if number % 6 == 5 else strategies[min(turn, number % 4)]
        dialog.append({"speaker": "sys", "text": "I hear you.", "strategy": strategy})
    return {
        "situation": f"{SAID['depression' if number % 2 else 'sadness']} ({number})",
        "problem_type": "other",
        "emotion_type": "depression" if number % 2 else "sadness",
        "survey_score": {"seeker": {"initial_emotion_intensity": "4"}},
        "dialog": dialog,
    }


async def read(texts: Sequence[str]) -> list[Distribution | None]:
    """A text reader that knows the words above, and no depression."""
    found: list[Distribution | None] = []
    for text in texts:
        known = [name for name, said in SAID.items() if said in text and name != "depression"]
        weights = dict.fromkeys(MESC_7.labels, 0.05)
        weights[known[0] if known else "neutral"] = 0.6
        found.append(None if text == "Oh" else Distribution.over(MESC_7, weights))
    return found


class Scorer(ScriptedBackend):
    """Scores depression where it is told of; chooses without looking."""

    model = "scripted"

    def __init__(self) -> None:
        super().__init__(seconds_per_choice=0.0)
        self.scored = 0

    async def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        self.scored += 1
        told = SAID["depression"] in prompt
        return [-3.0 + 4.0 * (told and label == " depression") for label in continuations]


class Head:
    stage: LabelStageName = "strategy"
    labels = ESCONV_8

    async def warm_up(self) -> None:
        return None

    async def read(self, context: ReasoningContext) -> Distribution | None:
        later = len(context.history) > 1
        return Distribution.over(
            ESCONV_8, {"Affirmation and Reassurance" if later else "Question": 3, "Others": 1}
        )


async def test_rows_are_those_of_the_corpora(corpora: Path) -> None:
    rows = await emotion_rows(corpora, read)
    assert list(rows.sources.values()) == [50, 36], "surprise has no place in MESC-7"
    assert {MESC_7.labels[at] for at in rows.truth} == set(SAID)
    assert rows.weight[rows.corpus == 0].sum() == pytest.approx(rows.weight[rows.corpus == 1].sum())
    turns = await strategy_rows(corpora, read)
    assert len(turns) == 24 * 4
    assert [len(context.history) for context in turns.contexts[:4]] == [0, 1, 2, 3]
    past = turns.contexts[3].history[-1].plan.strategy
    assert past is not None
    assert past.label == ESCONV_8.labels[turns.truth[2]]


async def test_a_run_fits_writes_and_goes_on(corpora: Path, tmp_path: Path) -> None:
    out, backend = tmp_path / "out", Scorer()

    async def once(given: Scorer | None) -> dict[str, object]:
        return await run(
            corpora, read=read, heads={"strategy": Head()}, backend=given, out=out,
            kept=tmp_path / "run", limit=0,
            count=60, choices=40, seed=0, say=lambda line: None,
        )  # fmt: skip

    report = await once(backend)
    assert report["models"] == ["*", "scripted"]
    weights = await WeightsFile(out / "experts.json").load()
    found = weights.exponents("user_emotion", MESC_7, "scripted", ["affect", "score"])
    assert found["score"] > 0.1, "it alone knows depression"
    said = weights.exponents("strategy", ESCONV_8, "scripted", ["rule", "head", "choice"])
    assert said["choice"] == 0, "it chooses without looking"
    assert said["head"] > 0
    scored, asked = backend.scored, len(backend.prompts)
    again = Scorer()
    assert await once(again) == report, "what was read is kept"
    assert again.scored <= 1
    assert again.prompts == []
    assert (scored > 40, asked) == (True, 80)
    await once(None)
    kept = await WeightsFile(out / "experts.json").load()
    assert {c.model for c in kept.companies} == {"*", "scripted"}, "another model's stay"


def test_storing_replaces_a_models_own(tmp_path: Path) -> None:
    file = tmp_path / "experts.json"
    company = {"stage": "strategy", "labels": "mesc-10", "exponents": {"rule": 1.0}}
    for model, exponent in (("*", 1.0), ("a", 1.0), ("a", 2.0)):
        told = {**company, "model": model, "exponents": {"rule": exponent}}
        weights = Weights.parse({"companies": [told], "calibrations": []})
        store(file, weights, [{"stage": "strategy", "model": model, "at": exponent}])
    stored = json.loads(file.read_text())
    assert [(c["model"], c["exponents"]["rule"]) for c in stored["companies"]] == [
        ("*", 1.0), ("a", 2.0),
    ]  # fmt: skip
    assert [(r["model"], r["at"]) for r in stored["fitted"]] == [("*", 1.0), ("a", 2.0)]


def test_a_head_that_there_is_not_is_named() -> None:
    for target in ("nowhere:Head", "json:Head", "json:JSONDecoder"):
        with pytest.raises(SetupError, match=target.split(":")[0]):
            head_named(target)
