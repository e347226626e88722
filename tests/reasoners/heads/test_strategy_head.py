from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import models_of
from affectgraph.perceivers.text import MiniLMEncoder
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import LabelHead
from affectgraph.reasoners.heads.strategy import LICENCE, VERSION, WEIGHTS, StrategyHead
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10


@pytest.fixture(scope="module")
def encoder() -> MiniLMEncoder:
    return MiniLMEncoder()


@pytest.fixture(scope="module")
def head(encoder: MiniLMEncoder) -> StrategyHead:
    return StrategyHead(encoder)


def _exchange(said: str, replied: str, strategy: str = "", of: LabelSet = ESCONV_8) -> Exchange:
    if not strategy:
        return Exchange(said=said, replied=replied)
    belief = Distribution.certain(of, strategy)
    decided = Decision(stage="strategy", distribution=belief, label=strategy, source="test")
    return Exchange(said=said, replied=replied, plan=Plan(strategy=decided))


async def _read(
    head: StrategyHead, utterance: str, history: tuple[Exchange, ...] = ()
) -> Distribution:
    told = await head.read(ReasoningContext(utterance=utterance, history=history))
    assert told is not None
    return told


def test_it_is_a_label_head(head: StrategyHead) -> None:
    assert isinstance(head, LabelHead)
    assert head.stage == "strategy"
    assert head.labels is ESCONV_8


def test_it_names_its_weights_and_their_terms(head: StrategyHead, encoder: MiniLMEncoder) -> None:
    assert [use.name for use in head.models[:-1]] == [use.name for use in models_of(encoder)]
    assert (head.models[-1].name, head.models[-1].licence) == (VERSION, LICENCE)


async def test_it_tells_a_distribution_over_the_eight(head: StrategyHead) -> None:
    told = await _read(head, "I failed my driving test again and I feel so stupid.")
    assert told.label_set == ESCONV_8.name
    assert min(told.probs) > 0


@pytest.mark.parametrize("utterance", ["", " \n"])
async def test_without_words_it_has_nothing_to_go_by(head: StrategyHead, utterance: str) -> None:
    past = (_exchange("Hello", "Hello, how are you?", "Question"),)
    assert await head.read(ReasoningContext(utterance=utterance, history=past)) is None


async def test_it_asks_at_the_start_rather_than_advises(head: StrategyHead) -> None:
    told = await _read(head, "Hi. My boyfriend and I have been fighting a lot.")
    assert told["Question"] > told["Providing Suggestions"]
    assert told["Question"] > 1 / 8


async def test_a_request_for_advice_makes_advice_likelier(head: StrategyHead) -> None:
    past = (
        _exchange("Hello, I feel low these days.", "What happened?", "Question"),
        _exchange(
            "My best friend moved away and I have nobody to talk to.",
            "It sounds as if you feel lonely since then.",
            "Reflection of feelings",
        ),
    )
    asked = await _read(head, "Yes. Do you have any tips how I could meet people?", past)
    told = await _read(head, "Yes. She was the only one who understood me.", past)
    assert asked["Providing Suggestions"] > told["Providing Suggestions"]


async def test_past_strategies_count(head: StrategyHead) -> None:
    replied = "That must be hard."
    told = [
        await _read(head, "It is.", (_exchange("I lost my job.", replied, strategy),))
        for strategy in ("Question", "Providing Suggestions", "")
    ]
    assert told[0] != told[1]
    assert told[0] != told[2]


async def test_a_decision_over_another_set_counts_as_unknown(head: StrategyHead) -> None:
    unknown = (_exchange("I lost my job.", "I see."),)
    foreign = (_exchange("I lost my job.", "I see.", "Restatement", MESC_10),)
    assert await _read(head, "It hurts.", unknown) == await _read(head, "It hurts.", foreign)


async def test_empty_lines_of_the_past_are_left_out(head: StrategyHead) -> None:
    lines = (_exchange("I lost my job.", "I see.", "Others"),)
    with_gaps = (_exchange("", ""), *lines, _exchange(" ", ""))
    assert await _read(head, "It hurts.", lines) == await _read(head, "It hurts.", with_gaps)


async def test_only_the_latest_lines_are_read(encoder: MiniLMEncoder) -> None:
    short = StrategyHead(encoder, longest=3)
    late = _exchange("I lost my job.", "I see.", "Others")
    early = tuple(_exchange(f"Line {n}.", "Go on.", "Question") for n in range(4))
    assert await _read(short, "It hurts.", (*early, late)) == await _read(
        short, "It hurts.", (late,)
    )


async def test_conversations_side_by_side_do_not_mix(head: StrategyHead) -> None:
    talks = [f"I have worried about exam {n} for weeks." for n in range(6)]
    alone = [await _read(head, talk) for talk in talks]
    together = await asyncio.gather(*(_read(head, talk) for talk in talks))
    assert together == alone


async def test_weights_that_are_none_are_refused(encoder: MiniLMEncoder, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"none")
    head = StrategyHead(encoder, weights=file)
    assert [use.name for use in head.models][-1] == "mine.safetensors"
    with pytest.raises(ModelCorruptError, match=r"mine\.safetensors"):
        await head.warm_up()


def test_a_window_of_no_line_is_refused(encoder: MiniLMEncoder) -> None:
    with pytest.raises(SetupError, match="longest must be at least 1"):
        StrategyHead(encoder, longest=0)


def test_the_shipped_weights_are_small_and_have_a_card() -> None:
    assert WEIGHTS.stat().st_size < 2_000_000
    card = WEIGHTS.with_suffix(".md").read_text("utf-8")
    assert VERSION in card
    assert "non-commercial" in card
