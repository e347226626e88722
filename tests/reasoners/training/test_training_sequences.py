from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.codecs import codec_named
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.dialogues import Dialogue, planned
from affectgraph.reasoners.training.sequences import LABEL, NOT, RESPONSE, Renderer, TokenSequence

tokenizers = pytest.importorskip("tokenizers")
PROMPTS = Prompts(PromptLayout.trained())


def decoded(base: Path, sequence: TokenSequence, *kinds: int) -> str:
    tokenizer = tokenizers.Tokenizer.from_file(str(base / "tokenizer.json"))
    ids = [i for i, kind in zip(sequence.ids, sequence.kinds, strict=True) if kind in kinds]
    return str(tokenizer.decode(ids, skip_special_tokens=False))


@pytest.fixture
def renderer(tiny_base: Path) -> Callable[[int], Renderer]:
    tokenizer = tokenizers.Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    return lambda longest: Renderer(PROMPTS, tokenizer, longest=longest)


def test_labels_and_responses_count_and_nothing_else(
    tiny_base: Path, renderer: Callable[[int], Renderer], dialogue: Dialogue
) -> None:
    sequence = renderer(4096).render(dialogue)
    assert decoded(tiny_base, sequence, RESPONSE) == (
        " What worries you most?<|im_end|> That is a lot to carry.<|im_end|>"
    )
    assert decoded(tiny_base, sequence, LABEL) == (
        "(fear)(Question)(neutral):(sadness)(Others)(neutral):"
    )
    assert "You are afraid of a blank." in decoded(tiny_base, sequence, NOT)
    assert sequence.left_out == 0


def test_training_text_is_prompt_text(
    tiny_base: Path, renderer: Callable[[int], Renderer], dialogue: Dialogue
) -> None:
    pytest.importorskip("torch")
    from affectgraph.reasoners.backends.engine import LocalEngine

    engine = LocalEngine(tiny_base, threads=1)
    sequence = renderer(4096).render(dialogue)
    for turn, exchange in enumerate(dialogue.exchanges):
        context = ReasoningContext(utterance=exchange.said, history=dialogue.exchanges[:turn])
        asked, _ = engine._prompt(PROMPTS.base(context))
        assert list(sequence.ids[: len(asked)]) == asked
        lead = engine._encode(PROMPTS.codec.lead(exchange.plan, "response"))
        assert list(sequence.ids[len(asked) : len(asked) + len(lead)]) == lead


def test_what_does_not_fit_is_left_out_whole_and_counted(
    renderer: Callable[[int], Renderer], dialogue: Dialogue
) -> None:
    whole = renderer(4096).render(dialogue)
    cut = renderer(len(whole) - 1).render(dialogue)
    assert cut.left_out == 1
    assert cut.ids == whole.ids[: len(cut)]
    assert renderer(5).render(dialogue) == TokenSequence("own/0", (), (), 3)


def test_a_vocabulary_without_chatml_is_refused() -> None:
    bare = tokenizers.Tokenizer(tokenizers.models.BPE())
    with pytest.raises(SetupError, match="ChatML"):
        Renderer(PROMPTS, bare)


def test_each_exchange_needs_its_flag(dialogue: Dialogue) -> None:
    with pytest.raises(ValueError, match="3 exchanges, 1 flags"):
        Dialogue("own/1", dialogue.exchanges, (True,))


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@example(told=[("hm", "\r", True), ("hm", "yes", False)])
@given(told=st.lists(st.tuples(words, words, st.booleans()), min_size=1, max_size=4))
def test_any_words_render_token_for_token(
    renderer: Callable[[int], Renderer], told: list[tuple[str, str, bool]]
) -> None:
    plan = planned("joy", "Others", "joy", ESCONV_8)
    exchanges = tuple(Exchange(said=said, replied=reply, plan=plan) for said, reply, _ in told)
    flags = tuple(learned for _, _, learned in told)
    sequence = renderer(10_000).render(Dialogue("any", exchanges, flags))
    assert len(sequence.ids) == len(sequence.kinds)
    shown = [m for m in PROMPTS.dialogue(exchanges) if m.role == "assistant"]
    spoken = [flag for flag, e in zip(flags, exchanges, strict=True) if PROMPTS.printed(e)[1]]
    assert len(shown) == len(spoken)
    # Each reply that is learned ends with a token that counts; no other end does.
    ends = [kind for i, kind in zip(sequence.ids, sequence.kinds, strict=True) if i == 2]
    assert sum(kind == RESPONSE for kind in ends) == sum(spoken)


def test_another_codec_keeps_labels_and_words_apart(tiny_base: Path, dialogue: Dialogue) -> None:
    tokenizer = tokenizers.Tokenizer.from_file(str(tiny_base / "tokenizer.json"))
    layout = PromptLayout.trained()
    prompts = Prompts(layout, codec=codec_named("lines", layout.order))
    sequence = Renderer(prompts, tokenizer, longest=4096).render(dialogue)
    assert decoded(tiny_base, sequence, RESPONSE).startswith(" What worries you most?<|im_end|>")
    assert decoded(tiny_base, sequence, LABEL).startswith("User emotion: fear\n")
