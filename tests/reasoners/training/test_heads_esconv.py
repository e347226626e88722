from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.text import MiniLMEncoder
from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.heads.strategy import WEIGHTS, StrategyHead
from affectgraph.reasoners.heads.strategy_lines import LineVector
from affectgraph.reasoners.heads.strategy_net import StrategyNet
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.heads_esconv_data import (
    Chat,
    Encode,
    Projection,
    TalkLine,
    chats,
    failed_chats,
    vectors,
)
from affectgraph.reasoners.training.heads_esconv_rows import VERSION, predictions
from affectgraph.reasoners.training.heads_esconv_score import (
    early_advice,
    figures,
    floors,
    read_all,
    truths,
)
from affectgraph.reasoners.training.preference import preference_bias

QUESTION, ADVICE, OTHERS = (
    ESCONV_8.labels.index(name) for name in ("Question", "Providing Suggestions", "Others")
)
_SAID = (
    "I cannot sleep before my exams.",
    "It began last month.",
    "My parents expect a lot.",
    "Thank you, that helps.",
)
_REPLIED = (
    ("Question", "Since when is it so?"),
    ("Reflection of feelings", "That sounds exhausting."),
    ("Providing Suggestions", "Perhaps you could walk a little in the evening."),
    ("Others", "You are welcome."),
)


def _chat(turn: int) -> dict[str, object]:
    dialog = []
    for at, said in enumerate(_SAID):
        strategy, replied = _REPLIED[(at + turn) % 4]
        dialog.append({"text": f"{said} ({turn})", "speaker": "usr"})
        dialog.append({"text": replied, "speaker": "sys", "strategy": strategy})
    return {
        "situation": "Exams.",
        "problem_type": f"kind {turn % 2}",
        "emotion_type": "anxiety",
        "survey_score": {"seeker": {}},
        "dialog": dialog,
    }


def _failed_chat() -> dict[str, object]:
    lines: tuple[tuple[str, dict[str, str], str], ...] = (
        ("speaker", {}, "Hello\n"),
        ("listener", {"strategy": "Questions"}, "How are you?"),
        ("speaker", {"feedback": "2"}, "Not well."),
        ("listener", {"strategy": "Reflection of Feelings"}, "You feel low."),
        ("listener", {"strategy": "Direct Guidance"}, "Go out."),
        ("listener", {"strategy": "Other"}, "Bye."),
    )
    return {"dialog": [{"speaker": a, "annotation": b, "content": c} for a, b, c in lines]}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Twelve training chats, four of the other splits each, one failed one; in ESConv's form."""
    folder = tmp_path / "data" / "esconv"
    folder.mkdir(parents=True)
    for split, turns in (("train", range(12)), ("valid", range(4)), ("test", range(4))):
        lines = [json.dumps(_chat(turn)) for turn in turns]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "FailedESConv.json").write_text(json.dumps([_failed_chat()]), encoding="utf-8")
    return tmp_path / "data"


def test_lines_are_read_one_by_one_with_their_strategies(corpus: Path) -> None:
    found = chats(corpus, "valid")
    assert len(found) == 4
    assert found[0][0] == TalkLine("seeker", "I cannot sleep before my exams. (0)", None)
    assert found[0][1] == TalkLine("supporter", "Since when is it so?", QUESTION)
    assert truths(found[:1]).tolist() == [
        ESCONV_8.labels.index(strategy) for strategy, _ in _REPLIED
    ]


def test_a_strategy_that_is_none_of_the_eight_is_refused(corpus: Path) -> None:
    told = _chat(0)
    told["dialog"] = [{"text": "Hm.", "speaker": "sys", "strategy": "Humming"}]
    (corpus / "esconv" / "valid.txt").write_text(json.dumps(told) + "\n", encoding="utf-8")
    with pytest.raises(SetupError, match="'Humming' is none of the eight"):
        chats(corpus, "valid")


def test_failed_chats_name_strategies_otherwise(corpus: Path) -> None:
    (chat,) = failed_chats(corpus)
    assert [line.role for line in chat] == [
        "seeker", "supporter", "seeker", "supporter", "supporter", "supporter",
    ]  # fmt: skip
    assert [line.strategy for line in chat] == [
        None, QUESTION, None, ESCONV_8.labels.index("Reflection of feelings"), None, OTHERS,
    ]  # fmt: skip
    assert chat[0].text == "Hello"


def test_failed_chats_of_another_form_are_refused(corpus: Path) -> None:
    (corpus / "esconv" / "FailedESConv.json").write_text('[{"dialog": [{}]}]', encoding="utf-8")
    with pytest.raises(SetupError, match="speaker, content and annotation"):
        failed_chats(corpus)


class _Encoder:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def encode_all(self, texts: Sequence[str]) -> list[Encoding]:
        self.asked += texts
        return [
            Encoding(
                embedding=np.zeros(384, np.float32),
                features=np.full(768, len(text), np.float32),
                probs=np.full(28, 1 / 28, np.float32),
                vad=np.full(3, 3, np.float32),
            )
            for text in texts
        ]


async def test_lines_are_encoded_once_and_kept_for_another_run(tmp_path: Path) -> None:
    first, second = _Encoder(), _Encoder()
    told = await vectors(["a", "bb", "a"], first.encode_all, tmp_path)
    again = await vectors(["bb", "a", "ccc"], second.encode_all, tmp_path)
    assert (first.asked, second.asked) == (["a", "bb"], ["ccc"])
    for text in ("a", "bb"):
        assert told[text].encoded.tolist() == again[text].encoded.tolist()
        assert told[text].dense.tolist() == again[text].dense.tolist()


async def test_lines_of_another_encoder_or_a_fresh_run_are_encoded_anew(tmp_path: Path) -> None:
    encoder = _Encoder()
    for version, resume in (("1", True), ("2", True), ("1", True), ("1", False), ("2", True)):
        await vectors(["a"], encoder.encode_all, tmp_path, version=version, resume=resume)
    assert encoder.asked == ["a"] * 3


def _told(talks: Sequence[Chat], encode: Encode) -> dict[str, LineVector]:
    return asyncio.run(vectors([line.text for chat in talks for line in chat], encode))


def test_a_projection_keeps_what_differs_and_scales_it_alike() -> None:
    draw = np.random.default_rng(0)
    rows = np.zeros((400, 768), np.float32)
    rows[:, 5] = draw.normal(7, 3, 400)
    rows[:, 9] = draw.normal(0, 1, 400)
    found = Projection.fit(rows, 2)
    seen = (rows - found.mean) @ found.basis
    assert seen.shape == (400, 2)
    assert seen.mean(axis=0) == pytest.approx(np.zeros(2), abs=1e-4)
    assert seen[:, 0].std() == pytest.approx(2, abs=1e-3)
    assert seen[:, 1].std() == pytest.approx(2 * rows[:, 9].std() / rows[:, 5].std(), abs=0.02)
    assert np.abs(found.basis[[5, 9], [0, 1]]) == pytest.approx(
        np.full(2, 2 / rows[:, 5].std()), rel=0.01
    )


def test_a_predictor_that_is_right_or_errs_evenly_prefers_nothing() -> None:
    truth = np.repeat(np.arange(4), 6)
    evenly = np.array([(t + e) % 4 for t in range(4) for e in (0, 0, 0, 1, 2, 3)])
    assert preference_bias(truth, truth, 4) == pytest.approx(0, abs=1e-9)
    assert preference_bias(truth, evenly, 4) == pytest.approx(0, abs=1e-9)


def test_a_predictor_of_one_class_prefers_it_as_far_as_can_be() -> None:
    truth = np.repeat(np.arange(4), 5)
    assert preference_bias(truth, np.zeros(20, int), 4) == pytest.approx(3**0.5, abs=1e-4)


def test_preferences_of_two_classes_are_the_odds_of_their_errors() -> None:
    # Class 0 is taken for 1 twice, 1 for 0 six times: strengths 3 to 1, so 1.5 and 0.5.
    truth = np.array([0] * 10 + [1] * 10)
    told = np.array([1] * 2 + [0] * 8 + [0] * 6 + [1] * 4)
    assert preference_bias(truth, told, 2, iterations=500) == pytest.approx(0.5, abs=1e-3)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_a_bias_is_finite_and_bounded(pairs: list[tuple[int, int]]) -> None:
    truth, told = np.array(pairs).T
    assert 0 <= preference_bias(truth, told, 5) <= 2 + 1e-9


@pytest.mark.parametrize(("truth", "told"), [([], []), ([1, 2], [1])])
def test_a_bias_of_nothing_is_refused(truth: list[int], told: list[int]) -> None:
    with pytest.raises(ValueError, match="must be alike"):
        preference_bias(np.array(truth), np.array(told), 3)


def _lines(*strategies: int | None) -> tuple[TalkLine, ...]:
    return tuple(TalkLine("supporter", "words", strategy) for strategy in strategies)


def test_figures_are_those_of_the_predictions() -> None:
    pytest.importorskip("sklearn")
    truth = np.array([0, 0, 1, 1])
    found = figures(truth, np.array([0, 1, 1, 1]), np.eye(8)[[0, 1, 1, 1]])
    assert found["accuracy"] == 0.75
    assert found["weighted_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2, abs=1e-4)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 8, abs=1e-4)
    assert found["ece"] == 0.25
    assert found["f1"]["Question"] == pytest.approx(2 / 3, abs=1e-4)


def test_floors_repeat_the_last_strategy_of_the_same_chat() -> None:
    pytest.importorskip("sklearn")
    talks = [_lines(1, 1, None, 2), _lines(1)]
    found = floors(talks, np.array([1, 1, 2]), 0)
    # Majority (1) opens each chat; then 1, 1 are repeated: 1 1 1 | 1 against 1 1 2 | 1.
    assert found["persistence (gold)"]["accuracy"] == 0.75
    assert found["majority"]["accuracy"] == 0.75
    assert found["random"]["n"] == 4


def test_early_advice_counts_the_first_two_lines_of_each_chat() -> None:
    talks = [_lines(0, 0, 0), _lines(0), _lines(0, 0)]
    predicted = np.array([ADVICE, 0, ADVICE, ADVICE, 0, 0])
    assert early_advice(talks, predicted) == pytest.approx(2 / 5)


def test_a_shift_makes_decisions_more_even() -> None:
    pytest.importorskip("torch")
    from affectgraph.reasoners.training.heads_esconv_fit import fit_shift

    draw = np.random.default_rng(0)
    truth = draw.choice(8, 600, p=[0.65] + [0.05] * 7)
    logs = np.log(np.full((600, 8), 0.1) + 0.15 * np.eye(8)[truth] + draw.random((600, 8)) / 9)
    logs[:, 0] += 0.7
    shift = fit_shift(logs, truth)
    before, after = (logs.argmax(axis=1), (logs + shift).argmax(axis=1))
    assert shift.mean() == pytest.approx(0, abs=1e-9)
    assert shift.argmin() == 0
    assert figures(truth, after)["macro_f1"] > figures(truth, before)["macro_f1"]


def test_history_of_its_own_changes_nothing_before_the_second_decision(
    corpus: Path,
) -> None:
    net = StrategyNet.load(WEIGHTS)
    talks = chats(corpus, "test")
    known = _told(talks, _Encoder().encode_all)
    gold, members = read_all(net, talks, known, "gold")
    free, _ = read_all(net, talks, known, "free")
    assert gold.shape == free.shape == (16, 8)
    assert members.shape == (net.members, 16, 8)
    assert gold.sum(axis=1) == pytest.approx(np.ones(16))
    assert gold[::4].tolist() == free[::4].tolist()
    wrong = gold[::4].argmax(axis=1) != truths(talks)[::4]
    assert ((gold[1::4] != free[1::4]).any(axis=1) == wrong).all()


def test_rows_hold_both_protocols_over_the_same_units(corpus: Path, tmp_path: Path) -> None:
    runs = asyncio.run(
        predictions(corpus, MiniLMEncoder(), version="1", run=tmp_path / "run", limit=2)
    )
    assert [run.protocol for run in runs] == ["gold", "free"]
    assert {(run.task, run.unit, run.split) for run in runs} == {
        ("strategy", "utterance", "official")
    }
    assert all(run.probs.shape == (8, 8) for run in runs)
    assert runs[0].truth.tolist() == truths(chats(corpus, "test", limit=2)).tolist()
    assert runs[0].groups.tolist() == [0] * 4 + [1] * 4
    assert VERSION.startswith("strategy-esconv.v1")


def test_the_command_trains_what_the_agent_reads(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from affectgraph.reasoners.training.heads_esconv import HELD_OUT, main

    out = tmp_path / "out"
    main(["--data", str(corpus), "--out", str(out), "--limit", "12", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["rows"] == {"train": 48, "valid": 16, "failed": 3, "test": 16}
    assert set(told["baselines"]) >= {"majority", "random", "persistence (gold)"}
    for name in ("trained on train", "trained on train and validation (shipped)"):
        for protocol in ("gold", "free"):
            found = told["metrics"]["test"][f"{name}, {protocol} history"]
            assert 0 <= found["macro_f1"] <= 1
            assert found["n"] == 16
    facts = json.loads((out / WEIGHTS.with_suffix(".json").name).read_text("utf-8"))
    assert len(facts["shift"]) == 8
    assert StrategyNet.load(out / HELD_OUT).members == 2
    assert StrategyNet.load(out / WEIGHTS.name).members == 2


def test_a_head_reads_weights_of_one_s_own(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from affectgraph.reasoners.training.heads_esconv_fit import Recipe, train
    from affectgraph.reasoners.training.heads_esconv_net import Lesson

    talks = chats(corpus, "train")
    encoder = MiniLMEncoder()
    known = _told(talks, encoder.encode_all)
    lesson = Lesson(hidden=16, wide=16, epochs=60, rate=0.02, drop=0, drop_input=0, forget=0)
    recipe = Recipe(lesson, folds=2, seeds=1, components=8)
    ensemble = train(talks, (), known, recipe, lambda _: None)
    from safetensors.numpy import save_file

    file = tmp_path / "mine.safetensors"
    save_file({name: np.ascontiguousarray(t) for name, t in ensemble.tensors.items()}, file)
    head = StrategyHead(encoder, weights=file)
    told = asyncio.run(head.read(ReasoningContext(utterance=_SAID[0])))
    assert told is not None
    # The chats are alike but for where they begin, so that the history tells the rest.
    probs, _ = read_all(ensemble.net, talks, known, "gold")
    later = np.arange(len(probs)) % 4 > 0
    assert (probs.argmax(axis=1) == truths(talks))[later].mean() > 0.8
