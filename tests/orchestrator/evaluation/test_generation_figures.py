"""Figures of responses against values that were computed by hand, and what must always hold."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.orchestrator.evaluation import Bootstrap
from affectgraph.orchestrator.evaluation import generation_manner as manner
from affectgraph.orchestrator.evaluation import generation_overlap as overlap
from affectgraph.orchestrator.evaluation.generation import earlier, score_responses
from affectgraph.perceivers.errors import ExtraMissingError

DRAWS = Bootstrap(draws=30)
WORDS = st.sampled_from(
    ["how", "are", "you", "today", "that", "sounds", "hard", "?", ".", "maybe", "try"]
)
REPLY = st.lists(WORDS, max_size=12).map(" ".join)
REPLIES = st.lists(st.tuples(REPLY, REPLY), min_size=1, max_size=8)


def test_a_reply_that_is_its_reference_has_full_overlap() -> None:
    said = ["That sounds hard. What happened then?", "How long has it been like that?"]
    told = score_responses(said, said, [0, 1], bootstrap=DRAWS)
    for name in (overlap.BLEU_2_OF_PAPER_2, "bleu-2", "bleu-4", "rouge-l"):
        assert told[name].value == pytest.approx(100)


def test_the_bleu_of_paper_2_is_nearly_the_share_of_words_found() -> None:
    # 4 tokens, 3 of them in the reference; of 3 pairs of words 2 are. Both have 4 tokens.
    (value,) = overlap.bleu_of_paper_2(["you feel very tired"], ["you feel very alone"])
    assert value == pytest.approx(100 * (3 / 4) ** 0.99 * (2 / 3) ** 0.01)


def test_the_bleu_of_paper_2_is_nearly_nothing_where_no_pair_of_words_is_found() -> None:
    (value,) = overlap.bleu_of_paper_2(["you feel very tired"], ["tired you very feel"])
    assert 0 < value < 0.1


def test_the_bleu_of_paper_2_punishes_brevity() -> None:
    (value,) = overlap.bleu_of_paper_2(["you feel very tired now"], ["you feel"])
    assert value == pytest.approx(100 * math.exp(1 - 5 / 2))


def test_words_and_marks_are_told_apart_without_a_model() -> None:
    assert overlap.tokens("I can't. Can you?") == ["i", "ca", "n't", ".", "can", "you", "?"]


def test_corpus_bleu_counts_over_all_replies() -> None:
    references = ["the day was long and grey", "you did well"]
    candidates = ["the day was short", "you did well"]
    told = score_responses(references, candidates, [0, 1], bootstrap=DRAWS)
    # 6 of 7 words, 4 of 5 pairs; 7 words for 9.
    brevity = math.exp(1 - 9 / 7)
    assert told["bleu-2"].value == pytest.approx(100 * brevity * math.sqrt(6 / 7 * 4 / 5))
    assert told[overlap.BLEU_2_OF_PAPER_2].value != pytest.approx(told["bleu-2"].value)


def test_rouge_l_is_the_longest_common_subsequence() -> None:
    # "the day long" of 4 and of 5 words.
    (value,) = overlap.rouge_l(["the day was too long"], ["the long day long"])
    assert value == pytest.approx(100 * 2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5))


@given(pairs=REPLIES)
@settings(max_examples=25, deadline=None)
def test_sums_give_the_same_corpus_bleu_as_the_library(pairs: list[tuple[str, str]]) -> None:
    from sacrebleu.metrics.bleu import BLEU

    references, candidates = zip(*pairs, strict=True)
    told = overlap.corpus_bleu(references, candidates)
    for order in (2, 4):
        want = BLEU(lowercase=True, max_ngram_order=order).corpus_score(
            list(candidates), [list(references)]
        )
        assert told[f"bleu-{order}"].value == pytest.approx(want.score)


@given(pairs=REPLIES, seed=st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_figures_stay_in_their_range(pairs: list[tuple[str, str]], seed: int) -> None:
    references, candidates = zip(*pairs, strict=True)
    dialogues = np.sort(np.random.default_rng(seed).integers(0, 3, len(pairs)))
    told = score_responses(references, candidates, dialogues, bootstrap=DRAWS)
    for name, estimate in told.items():
        most = {"words": 12, "questions": 12}.get(name, 100 if _percent(name) else 1)
        assert math.isnan(estimate.value) or -1e-9 <= estimate.value <= most + 1e-9, name
        if estimate.low is not None and estimate.high is not None:
            assert estimate.low <= estimate.high


@given(pairs=REPLIES)
@settings(max_examples=25, deadline=None)
def test_the_order_of_dialogues_makes_no_difference(pairs: list[tuple[str, str]]) -> None:
    references, candidates = zip(*pairs, strict=True)
    one = score_responses(references, candidates, range(len(pairs)), bootstrap=DRAWS)
    other = score_responses(
        references[::-1], candidates[::-1], range(len(pairs))[::-1], bootstrap=DRAWS
    )
    for name, estimate in one.items():
        assert other[name].value == pytest.approx(estimate.value, nan_ok=True), name


def _percent(name: str) -> bool:
    return name.startswith(("bleu", "rouge"))


def test_distinct_words_and_pairs() -> None:
    told = score_responses(["a"], ["you are you are"], [0], bootstrap=DRAWS)
    assert told["dist-1"].value == pytest.approx(2 / 4)
    assert told["dist-2"].value == pytest.approx(2 / 3)
    assert told["dist-1"].low is None


def test_questions_are_counted_and_runs_of_them() -> None:
    gold = ["How are you?", "I see.", "And then?"]
    said = ["What happened?? Why?", "Was it late?", "And you?"]
    told = score_responses(gold, said, [0, 0, 0], bootstrap=DRAWS)
    assert told["questions"].value == pytest.approx(4 / 3)
    # Two replies follow another one; before the first of them the corpus's supporter asked.
    assert told["question runs"].value == pytest.approx(1 / 2)


def test_advice_is_premature_at_the_opening_and_before_any_question() -> None:
    advice = "You should talk to your sister."
    asked = ["How was it?", "Since when?", "I see.", "I see."]
    silent = ["I see.", "Right.", "That is hard.", "I am sorry."]
    late = ["Hm.", "Hm.", advice, advice]
    told = score_responses(asked, late, [0] * 4, bootstrap=DRAWS)
    assert told["premature advice"].value == 0
    told = score_responses(silent, late, [0] * 4, bootstrap=DRAWS)
    assert told["premature advice"].value == pytest.approx(2 / 4)
    told = score_responses(asked, [advice, "Hm.", "Hm.", "Hm."], [0] * 4, bootstrap=DRAWS)
    assert told["premature advice"].value == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("You should talk to your sister about it.", True),
        ("Have you considered joining a choir?", True),
        ("Maybe you could take a walk first.", True),
        ("I'd suggest writing it down.", True),
        ("Try to sleep a little earlier.", True),
        ("Why don't you call him?", True),
        ("That sounds really painful.", False),
        ("How long have you felt like this?", False),
        ("You must be exhausted.", False),
        ("I hear that you can't forgive yourself.", False),
        ("You\u2019re proud of her, and rightly so.", False),
    ],
)
def test_advice_is_known_by_its_wording(said: str, advice: bool) -> None:
    assert manner.advises(said) is advice


def test_loops_and_old_phrases_are_repetition() -> None:
    looping = "I am here for you I am here for you"
    # 7 runs of four words, "i am here for" and "am here for you" twice.
    assert manner.looped(manner.spoken(looping)) == pytest.approx(2 / 7)
    told = score_responses(["x"] * 2, ["I am here for you", "I am here now"], [0, 0])
    # Of 3 + 2 runs of three words one was said before.
    assert told["repeats"].value == pytest.approx(1 / 5)
    apart = score_responses(["x"] * 2, ["I am here for you", "I am here now"], [0, 1])
    assert apart["repeats"].value == 0


def test_what_was_said_before_is_of_the_same_dialogue() -> None:
    told = earlier(["a", "b", "c"], np.array([1, 2, 1]))
    assert told == [(), (), ("a",)]


def test_an_empty_reply_overlaps_with_nothing() -> None:
    told = score_responses(["How are you?"], [""], [0], bootstrap=DRAWS)
    assert told[overlap.BLEU_2_OF_PAPER_2].value == told["rouge-l"].value == 0
    assert math.isnan(told["dist-1"].value)


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="2 references, 1 candidates"):
        score_responses(["a", "b"], ["a"], [0])
    with pytest.raises(ValueError, match="0 references"):
        score_responses([], [], [])


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "affectgraph.orchestrator.evaluation.generation.find_spec", lambda name: None
    )
    with pytest.raises(ExtraMissingError, match="eval"):
        score_responses(["a"], ["a"], [0])


def test_intervals_draw_whole_dialogues() -> None:
    same = ["fine today"] * 2
    told = score_responses([*same, "no"], [*same, "yes"], [0, 0, 1], bootstrap=Bootstrap(draws=200))
    shares = told["rouge-l"]
    # Both dialogues are drawn or one of them twice: 0, 2/3 or 1 of the rows, nothing between.
    assert shares.low == 0
    assert shares.high == pytest.approx(100)
    assert shares.value == pytest.approx(200 / 3)


def test_bertscore_of_the_same_words_is_full(tmp_path: Path) -> None:
    bertscore = pytest.importorskip("transformers") and _encoder(tmp_path)
    said = ["how are you today", "that sounds hard"]
    told = score_responses(said, said, [0, 1], bootstrap=DRAWS, bertscore=bertscore)
    assert told["bertscore"].value == pytest.approx(100, abs=1e-3)
    other = score_responses(said, said[::-1], [0, 1], bootstrap=DRAWS, bertscore=bertscore)
    assert other["bertscore"].value < 99
    empty = score_responses(["how"], [""], [0], bootstrap=DRAWS, bertscore=bertscore)
    assert empty["bertscore"].value == 0


def _encoder(folder: Path) -> Path:
    """A tiny encoder with random weights."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    framing = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    words = [*framing, "how", "are", "you", "today", "that", "sounds", "hard"]
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder
