"""``mesc`` and ``esconv`` on small dialogues of our own: protocols, floors, models, replies."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgraph.orchestrator.evaluation import Bench, Bootstrap, Result, Row, Subjects, Table
from affectgraph.orchestrator.evaluation import dialogue_speech as speech
from affectgraph.orchestrator.evaluation.generation_overlap import BLEU_2_OF_PAPER_2
from affectgraph.orchestrator.evaluation.generation_perplexity import losses, perplexity
from affectgraph.orchestrator.evaluation.tasks.esconv_four import Esconv
from affectgraph.orchestrator.evaluation.tasks.mesc_four import Mesc
from affectgraph.orchestrator.testing import (
    FakeFusion,
    FakeTextPerceiver,
    HashEmbedder,
    ScriptedReasoner,
    scripted_staged,
)
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.reasoners.heads.runs import HeadRun
from affectgraph.reasoners.prompts import PromptLayout
from affectgraph.reasoners.taxonomy import MESC_10
from affectgraph.reasoners.training import mesc_dialogues
from tests.orchestrator.evaluation import support_helpers as helpers

HEADS = "affectgraph.orchestrator.evaluation.head_rows._trainer"
GOLD, FREE = "gold history", "free-running"
Make = Callable[..., Bench]


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    return helpers.write_esconv(helpers.write_mesc(tmp_path / "data"))


@pytest.fixture
def bench(corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setattr(HEADS, helpers.told_by(helpers.mesc_heads))

    def make(reasoner: Any = None, **options: Any) -> Bench:
        subjects = Subjects(
            "mine", (FakeTextPerceiver("sadness", seconds=0),), FakeFusion(seconds=0),
            helpers.FeatureEncoder(seconds=0), reasoner=reasoner,
        )  # fmt: skip
        settings: dict[str, Any] = {"bootstrap": Bootstrap(draws=10), "run": tmp_path / "run"}
        return Bench(subjects, corpora, **{**settings, **options})

    return make


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> helpers.ScoringBackend:
    """What stands in for the model of the folder ``tmp_path / "small"``."""
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.json").write_text("{}")
    backend = helpers.ScoringBackend(
        "That sounds hard. What happened?",
        weights={"anger": 0.9, "Restatement": 0.9, "Question": 0.9, "neutral": 0.5},
        seconds_per_word=0,
        seconds_per_choice=0,
    )
    monkeypatch.setattr(speech, "LocalBackend", lambda **_: backend)
    # Its perplexity is tested with a checkpoint of its own.
    monkeypatch.setattr(speech, "losses", lambda *_, **__: np.ones((2, 2)))
    return backend


def table(result: Result, *words: str) -> Table:
    (found,) = [each for each in result.tables if all(word in each.title for word in words)]
    return found


def row(of: Table, name: str) -> Row:
    exact = [each for each in of.rows if each.name == name]
    (found,) = exact or [each for each in of.rows if each.name.startswith(name)]
    return found


def value(of: Table, name: str, metric: str) -> float:
    return row(of, name).metrics[metric].value


async def test_mesc_keeps_the_two_protocols_apart(bench: Make) -> None:
    result = await Mesc().run(bench())
    for name in ("client emotion", "strategy"):
        with_gold, without = table(result, name, "turns", GOLD), table(result, name, "turns", FREE)
        assert {each.kind for each in with_gold.rows} == {"baseline", "ours", "published"}
        assert {each.kind for each in without.rows} == {"baseline", "ours"}
        assert not [each for each in without.rows if "persistence" in each.name]
        assert value(with_gold, "heads", "accuracy") == value(without, "heads", "accuracy") == 1
    emotion = table(result, "client emotion", "turns", GOLD)
    # Turns of the client: sadness, anger, neutral; sadness, fear.
    assert row(emotion, "heads").n == 5
    assert value(emotion, "persistence, the client's last turn", "accuracy") == 0
    assert value(emotion, "heads", "accuracy gain") == 1
    assert "persistence" in row(emotion, "heads").note
    assert row(table(result, "strategy", "turns", GOLD), "heads").n == 5
    json.dumps(result.as_json(rows=True), allow_nan=False)


async def test_mesc_counts_utterances_with_a_warning(bench: Make) -> None:
    result = await Mesc().run(bench())
    found = table(result, "client emotion", "utterances", GOLD)
    assert row(found, "heads").n == 6
    assert "how well the last label is copied" in found.note
    assert value(found, "persistence, the client's last utterance", "accuracy") == pytest.approx(
        1 / 6
    )
    openings = table(result, "strategy", "utterances", GOLD)
    assert row(openings, "persistence, open questions at first").n == 6


async def test_the_therapist_is_neutral_in_any_case(bench: Make) -> None:
    result = await Mesc().run(bench())
    found = table(result, "therapist's emotion", GOLD)
    assert value(found, "majority (always neutral)", "accuracy") == 1
    assert value(found, "MultiMood, SFT + GRPO", "accuracy") == 0.9933


async def test_single_models_are_told_beside_their_mean(bench: Make) -> None:
    facts = (await Mesc().run(bench())).facts
    (spread,) = [
        fact for name, fact in facts.items()
        if "client emotion, test, turns, gold" in name and name.endswith("accuracy")
    ]  # fmt: skip
    assert spread == "1.000, standard deviation 0.000 over 2 seeds"


async def test_heads_want_the_encoder_whose_features_they_read(bench: Make) -> None:
    other = replace(bench().subjects, embedder=HashEmbedder(seconds=0))
    with pytest.raises(SetupError, match="this package's own encoder"):
        await Mesc().run(replace(bench(), subjects=other))


async def test_heads_are_told_of_the_encoder_and_of_a_fresh_start(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = list[dict[str, Any]]()

    async def predictions(data: Path, encoder: object, **more: Any) -> tuple[HeadRun, ...]:
        given.append(more)
        return ()

    monkeypatch.setattr(HEADS, lambda corpus: predictions)
    await Mesc().run(bench(resume=False))
    await Mesc().run(bench())
    assert [each["resume"] for each in given] == [False, True]
    version = await bench().aside(lambda: bench().subjects.version("encoder"))
    assert given[0]["version"] == " ".join(version)


async def test_heads_of_mesc_name_the_extra_that_trains_them(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    rows = "affectgraph.orchestrator.evaluation.head_rows"
    monkeypatch.setattr(f"{rows}.find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(ExtraMissingError, match=r"pip install 'affectgraph\[train\]'"):
        await Mesc().run(bench())


async def test_heads_of_other_rows_are_refused(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(data: Path, **options: int) -> Any:
        return helpers.mesc_heads(data, limit=6)

    monkeypatch.setattr(HEADS, helpers.told_by(half))
    with pytest.raises(SetupError, match="of other units than this table"):
        await Mesc().run(bench())


async def test_responses_stand_beside_floors_and_published_rows(bench: Make) -> None:
    result = await Mesc().run(bench())
    (found,) = [each for each in result.tables if each.title.endswith("responses")]
    assert row(found, "one reply to all (BLEU)").n == 4
    assert value(found, "MultiMood, SFT + GRPO", BLEU_2_OF_PAPER_2) == 6.18
    assert BLEU_2_OF_PAPER_2 not in row(found, "BlenderBot-Joint").metrics
    assert "--bertscore-model" in found.note
    by_itself = table(result, "by themselves")
    assert row(by_itself, "the corpus's own").n == 4
    # Without a model nothing runs free.
    assert not [each for each in result.tables if FREE in each.title and "responses" in each.title]


async def test_a_checkpoint_is_asked_in_both_protocols(
    bench: Make, checkpoint: helpers.ScoringBackend, tmp_path: Path
) -> None:
    result = await Mesc().run(bench(model=tmp_path / "small"))
    gold = table(result, "client emotion", "turns", GOLD)
    free = table(result, "client emotion", "turns", FREE)
    # It always says anger, which one turn of five is.
    assert value(gold, "small", "accuracy") == pytest.approx(1 / 5)
    assert value(free, "small, scored", "accuracy") == pytest.approx(1 / 5)
    # Of the therapist's five turns it is not asked for the one that opens a scene, and it tells
    # the restatement right.
    assert value(table(result, "strategy", "turns", GOLD), "small", "accuracy") == 1 / 5
    for protocol in (GOLD, FREE):
        replies = table(result, protocol, "responses by themselves")
        assert value(replies, "small", "questions") == 1
    (overlap,) = [each for each in result.tables if each.title.endswith("gold history, responses")]
    for name in ("small, without emotion", "SMES, without emotion"):
        assert {"bleu-2", "bleu-4", "rouge-l"} <= row(overlap, name).metrics.keys()
    assert row(overlap, "small, without emotion").kind == "ablation"
    perplexed = table(result, "perplexity")
    assert value(perplexed, "SMES, without emotion", "perplexity") == 3.03
    assert value(perplexed, "SMES, without video", "perplexity") == 3.89


async def test_histories_hold_the_labels_of_their_protocol(
    bench: Make, checkpoint: helpers.ScoringBackend, tmp_path: Path
) -> None:
    await Mesc().run(bench(model=tmp_path / "small"))
    last = [
        [each.content for each in prompt if each.role == "assistant"]
        for prompt in checkpoint.prompts
        if any("nobody came" in each.content for each in prompt if each.role == "user")
        and not any("Maybe I did" in each.content for each in prompt)
    ]
    histories = {told[0] for told in last}
    first = "All of it at once?"
    assert f"(sadness)(Open questions)(neutral): {first}" in histories  # gold
    assert f"(anger)(Restatement)(anger): {first}" in histories  # its own
    assert f"(Open questions)(neutral): {first}" in histories  # without emotion
    assert f"(sadness)(neutral): {first}" in histories  # without strategy
    assert any(told[-1] == "(sadness)(Restatement)(neutral):" or
               told[-1] == "(anger)(Restatement)(neutral):" for told in last)  # fmt: skip


async def test_a_run_that_was_stopped_goes_on(
    bench: Make, checkpoint: helpers.ScoringBackend, tmp_path: Path
) -> None:
    first = await Mesc().run(bench(model=tmp_path / "small"))
    asked = checkpoint.streams
    second = await Mesc().run(bench(model=tmp_path / "small"))
    assert checkpoint.streams == asked > 0
    assert json.dumps(first.as_json(rows=True)) == json.dumps(second.as_json(rows=True))
    file = tmp_path / "small" / "config.json"
    await BlockingPool(size=1).run(lambda: file.write_text('{"other": "weights"}'))
    await Mesc().run(bench(model=tmp_path / "small"))
    assert checkpoint.streams == 2 * asked


async def test_a_checkpoint_says_how_its_words_are_chosen(
    bench: Make, checkpoint: helpers.ScoringBackend, tmp_path: Path
) -> None:
    told = {"do_sample": True, "temperature": 0.7, "num_return_sequences": 3}
    file = tmp_path / "small" / "generation_config.json"
    await BlockingPool(size=1).run(lambda: file.write_text(json.dumps(told)))
    result = await Mesc().run(bench(model=tmp_path / "small"))
    replies = table(result, GOLD, "responses by themselves")
    assert "one of 3 samples (temperature 0.7)" in row(replies, "small").note
    # Its labels are asked for once a turn and protocol, its words three times.
    assert len(checkpoint.forms) == 2 * 5
    assert checkpoint.closed == checkpoint.streams


async def test_a_model_that_only_fails_is_said_to(
    bench: Make, tmp_path: Path, checkpoint: helpers.ScoringBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = helpers.ScoringBackend(fault="fails")
    monkeypatch.setattr(speech, "LocalBackend", lambda **_: broken)
    with pytest.raises(SetupError, match="answers nothing"):
        await Mesc().run(bench(model=tmp_path / "small"))
    with pytest.raises(SetupError, match="name a folder with --model"):
        await Mesc().run(bench(model=tmp_path / "nowhere"))


@pytest.mark.parametrize("form", ["joint", "staged"])
async def test_the_agents_reasoner_is_asked_with_what_it_perceives(bench: Make, form: str) -> None:
    reasoner = ScriptedReasoner(seconds_per_word=0) if form == "joint" else scripted_staged()
    result = await Mesc().run(bench(reasoner, agent=True))
    replies = table(result, GOLD, "responses by themselves")
    assert row(replies, "mine agent").n == 4
    assert "priors" in row(replies, "mine agent").note


async def test_an_agent_without_a_reasoner_is_told_so(bench: Make) -> None:
    with pytest.raises(SetupError, match="has no reasoner"):
        await Mesc().run(bench(agent=True))


async def test_esconv_counts_messages_and_prints_bias_and_early_advice(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HEADS, helpers.told_by(helpers.esconv_heads))
    result = await Esconv().run(bench())
    gold = table(result, "messages", GOLD)
    assert row(gold, "heads").n == 12
    # Of the four messages of a chat the first two come early; advice is always told.
    assert value(gold, "heads", "premature advice") == 1
    assert value(gold, "majority (always Question)", "premature advice") == 0
    assert "the corpus's own: 0.000" in gold.note
    assert value(gold, "heads", "preference bias") > 0.5
    assert value(gold, "EmoDynamiX", "macro_f1") == 0.277
    assert "persistence, the supporter's last" in [each.name for each in gold.rows]
    assert not [each for each in result.tables if "strategy, test, turns" in each.title]
    json.dumps(result.as_json(), allow_nan=False)


async def test_esconv_merges_messages_where_a_model_answers(
    bench: Make,
    checkpoint: helpers.ScoringBackend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(HEADS, helpers.told_by(helpers.esconv_heads))

    class Unread:
        async def __call__(self, texts: Any) -> list[None]:
            return [None] * len(texts)

    monkeypatch.setattr("affectgraph.orchestrator.evaluation.tasks.esconv_four.TextBeliefs", Unread)
    result = await Esconv().run(bench(model=tmp_path / "small"))
    turns = table(result, "strategy, test, turns", GOLD)
    # After "hello" there are two turns a chat: advice, and a question, which it always tells.
    assert row(turns, "small").n == 6
    assert value(turns, "small", "accuracy") == 0.5
    replies = table(result, GOLD, "responses by themselves")
    assert row(replies, "small").n == 6


def test_a_model_that_knows_nothing_is_as_perplexed_as_its_vocabulary_is_large(
    corpora: Path, tmp_path: Path
) -> None:
    pytest.importorskip("transformers", reason="the extra `local` is not installed")
    folder = helpers.write_checkpoint(tmp_path / "blank")
    dialogues = mesc_dialogues.load(corpora, "test")
    layout = PromptLayout.trained(strategies=MESC_10.name)
    lost = losses(folder, dialogues, layout)
    tokens = 3 + len(pytest.importorskip("tokenizers").pre_tokenizers.ByteLevel.alphabet())
    assert perplexity(lost).value == pytest.approx(tokens)
    # A byte a token, with the space before the words and the token that ends the turn.
    said = [each.replied for each in dialogues[0].exchanges]
    assert lost[0, 1] == sum(len(words) + 2 for words in said)
    bare = losses(folder, dialogues, layout, without=("user_emotion",))
    assert np.array_equal(lost[:, 1], bare[:, 1])
    with pytest.raises(SetupError, match=r"tokenizer\.json"):
        losses(tmp_path, dialogues, layout)


@pytest.mark.data
async def test_the_floors_are_those_that_are_known(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HEADS, helpers.told_by(lambda data, **_: ()))
    subjects = Subjects("none", (), FakeFusion(), helpers.FeatureEncoder())
    real = Bench(subjects, data_root, run=tmp_path, bootstrap=Bootstrap(draws=2))
    result = await Mesc().run(real)
    known = {
        ("client emotion", "turns", "majority"): (534, 0.408, 0.237),
        ("client emotion", "turns", "persistence, the client's last turn"): (534, 0.582, 0.572),
        ("client emotion", "turns", "persistence, the client's last utter"): (534, 0.592, 0.582),
        ("strategy", "turns", "persistence, the therapist's last turn"): (460, 0.363, 0.344),
        ("client emotion", "utterances", "persistence"): (1849, 0.843, 0.843),
    }
    for (name, unit, system), (n, accuracy, weighted) in known.items():
        found = row(table(result, name, f", {unit}", GOLD), system)
        assert found.n == n
        assert found.metrics["accuracy"].value == pytest.approx(accuracy, abs=6e-4)
        assert found.metrics["weighted_f1"].value == pytest.approx(weighted, abs=6e-4)


@pytest.mark.local_lm
async def test_the_small_model_answers_a_scene(bench: Make, smollm2: Path, tmp_path: Path) -> None:
    # Few words of each reply: it is asked in two protocols, whole and without each of two labels.
    short = tmp_path / smollm2.name
    await BlockingPool(size=1).run(lambda: _with_decoding(smollm2, short, max_new_tokens=8))
    result = await Mesc().run(bench(model=short))
    replies = table(result, GOLD, "responses by themselves")
    assert value(replies, smollm2.name, "words") > 1
    assert "failed" not in row(replies, smollm2.name).note
    perplexed = table(result, "perplexity")
    with_labels = value(perplexed, f"{smollm2.name}, all labels given", "perplexity")
    assert 1 < with_labels < 49152


def _with_decoding(model: Path, folder: Path, **decoding: object) -> None:
    folder.mkdir()
    for file in model.iterdir():
        if file.name != "generation_config.json":
            (folder / file.name).symlink_to(file)
    (folder / "generation_config.json").write_text(json.dumps(decoding))
