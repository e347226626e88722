"""The words of what was said at risk: never cut, up to the end of the model's context."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator.testing.conversation import PlayedTurn, TurnPrompt, chatml, played
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.history import (
    CompressedHistory,
    FullHistory,
    HistoryCompressor,
    HistoryTools,
    Notes,
    SummaryHistory,
    WindowHistory,
)
from affectgraph.reasoners.history.counting import estimated
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.telling import pieces, sound, whole

GRAVE = "Since March I wish I was dead, and nobody knows."
DAY = "The bus was late, it rained, and the shop was closed."
SENTENCES = [
    GRAVE,
    DAY,
    "I walked home.",
    "\u79c1\u306f\u75b2\u308c\u305f\u3002",
    "Why me?",
    "<b>No.</b>",
]

messages = st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=45).map(" ".join)
turns = st.lists(
    st.builds(
        PlayedTurn,
        said=messages,
        replied=st.sampled_from(["Yes?", DAY, f"{DAY} " * 20]),
        risk_level=st.sampled_from([0, 0, 1, 2, 4]),
    ),
    min_size=2,
    max_size=12,
)
layouts = st.sampled_from([PromptLayout(), PromptLayout.small(), PromptLayout.trained()])
compressors = st.sampled_from(
    [
        FullHistory(150),
        WindowHistory(3, budget=200),
        SummaryHistory(200, summary=60),
        SummaryHistory(60, summary=20, risk_level=1, spare=1),
    ]
)


def long(number: int, sentences: int = 13) -> str:
    """A message whose grave sentence stands in the middle."""
    half = [f"{DAY} ({number}, {n})." for n in range(sentences // 2)]
    return " ".join([*half, f"In month {number}: {GRAVE}", *half[::-1]])


def past(prompt: TurnPrompt) -> str:
    return "\n".join(message.content for message in prompt.messages[:-1])


@settings(max_examples=80, deadline=None)
@given(layouts, compressors, turns, st.sampled_from([2, 20]))
def test_a_message_at_risk_is_told_whole_in_every_later_prompt(
    layout: PromptLayout, compressor: HistoryCompressor, said: list[PlayedTurn], keep: int
) -> None:
    prompts = Prompts(layout)
    found = asyncio.run(played(prompts, Notes(prompts, compressor), said, keep=keep))
    for number, prompt in enumerate(found):
        recap = found[number - 1].exchange.recap if number else None
        kept = recap.kept if recap else ()
        for before in found[:number]:
            exchange = before.exchange
            if exchange.risk_level >= 2 and exchange.key in kept:
                assert sound(exchange.said) in past(prompt)
            elif exchange.risk_level >= 2:
                # The context is full: then newer ones are told.
                assert any(line in past(prompt) for line in pieces(exchange.said))
                assert sum(estimated(found[n].exchange.said) for n in range(number)) > 2000
    for before, after in pairwise(found):
        if not after.moved:
            reply = prompts.codec.write(
                before.exchange.plan, " ".join(before.exchange.replied.split())
            )
            if len(reply) < 200:
                assert chatml(after.messages).startswith(f"{chatml(before.messages)}{reply}")


@pytest.mark.parametrize("layout", [PromptLayout.small(), PromptLayout.trained()])
def test_the_default_of_small_models_keeps_the_sentence_of_risk(layout: PromptLayout) -> None:
    prompts = Prompts(layout)
    said = [PlayedTurn(long(n), "That sounds hard.", risk_level=2) for n in range(3)]
    said += [PlayedTurn(f"I sang in choir {n}.", "How was it?") for n in range(12)]
    found = asyncio.run(played(prompts, Notes(prompts), said))
    for number in range(1, len(found)):
        assert past(found[number]).count(GRAVE) == min(number, 3)


def test_harmless_messages_and_replies_are_clipped_before() -> None:
    prompts = Prompts(PromptLayout.small())
    said = [
        PlayedTurn(long(0), f"{DAY} " * 10, risk_level=2),
        PlayedTurn(f"{DAY} " * 20, f"{DAY} " * 10),
        PlayedTurn(f"{DAY} " * 20, f"{DAY} " * 10),
        PlayedTurn("Hm.", "Yes?"),
    ]
    found = asyncio.run(played(prompts, Notes(prompts, FullHistory(300, spare=3)), said))
    *_, grave, reply, other, _, _, _, _ = [message.content for message in found[-1].messages]
    assert grave == long(0)
    assert len(reply) < len(said[0].replied)
    assert len(other) < len(said[1].said) / 2


def test_a_message_that_its_own_prompt_had_no_room_for_is_told_whole_afterwards() -> None:
    prompts = Prompts(PromptLayout.small())
    said = [PlayedTurn(long(0, 41), "I hear you.", risk_level=3), PlayedTurn("Hm.", "Yes?")]
    first, second = asyncio.run(played(prompts, Notes(prompts), said))
    assert GRAVE not in first.messages[-1].content
    assert long(0, 41) in past(second)
    assert second.moved


async def test_nor_is_one_cut_that_no_model_was_asked_about() -> None:
    prompts = Prompts(PromptLayout.small())
    context = ReasoningContext(utterance=long(0, 41))
    grave = Exchange(said=long(0, 41), replied="Please call.", risk_level=5, turn="1")
    noted = await Notes(prompts).note(context, grave, asked=False)
    after = prompts.base(ReasoningContext(utterance="Hm.", history=(noted,)))
    assert any(message.content == long(0, 41) for message in after)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FullHistory(200, ceiling=500),
        lambda: WindowHistory(3, budget=200, ceiling=500),
        lambda: SummaryHistory(240, summary=40, ceiling=540),
    ],
    ids=["full", "window", "summary"],
)
async def test_where_the_context_ends_the_newest_are_told_whole_and_sentences_of_the_others(
    make: type[FullHistory], spans: InMemorySpanExporter
) -> None:
    prompts = Prompts(PromptLayout.trained())
    compressor = make()
    said = [PlayedTurn(long(n, 5), "I hear you.", risk_level=3) for n in range(9)]
    said += [PlayedTurn(f"I sang in choir {n}.", "How was it?") for n in range(12)]
    found = await played(prompts, Notes(prompts, compressor), said)
    told = [dict(s.attributes or {}) for s in spans.get_finished_spans() if s.name == "history"]
    assert max(int(str(each["affectgraph.history.tokens_after"])) for each in told) <= 540
    assert int(str(told[-1]["affectgraph.history.over_budget"])) > 0
    recap = found[-2].exchange.recap
    assert recap is not None
    whole_ones = [n for n in range(9) if f"turn-{n}" in recap.kept]
    assert whole_ones == list(range(min(whole_ones), 9))
    assert len(told) == len(said)
    assert told[-1]["affectgraph.history.at_risk_in_sentences"] == 9 - len(whole_ones) > 0
    assert all(long(n, 5) in past(found[-1]) for n in whole_ones)
    apart = {line for n in range(min(whole_ones)) for line in pieces(long(n, 5))}
    lines = [line for line in recap.summary.splitlines() if line in apart]
    assert lines
    assert f"({min(whole_ones) - 1}, 0)" in "\n".join(lines)  # the newest of the others first
    assert sum(turn.moved for turn in found[9:]) <= 6


async def test_messages_too_long_for_any_context_are_told_in_whole_sentences() -> None:
    text = long(0, 401)
    assert len(text) > 20_000
    told = whole(text)
    assert len(told) <= 8000
    assert told.startswith(DAY[:-1])
    assert all(piece in text for half in told.split(" \u2026 ") for piece in pieces(half))
    assert whole(text[:8000]) == text[:8000]
    assert all(len(piece) <= 300 for piece in pieces("a" * 1000 + " b" * 1000))


async def test_one_that_takes_more_than_the_ceiling_leaves_room_for_the_next() -> None:
    async def count(texts: list[str] | tuple[str, ...]) -> list[int]:
        return [len(text) for text in texts]

    prompts = Prompts(PromptLayout.trained())
    tools = HistoryTools(lambda e, clip: "\n".join(prompts.printed(e, clip)), count)  # type: ignore[arg-type]
    history = (Exchange(said=long(0, 101), replied="I hear you.", risk_level=3, turn="1"),)
    found: CompressedHistory = await FullHistory(200, ceiling=1000).compress(history, tools)
    assert (found.kept, found.apart) == ((), 1)
    assert 0 < found.tokens_after <= 1000
    assert found.summary.startswith(DAY)
