"""Each turn's prompt begins with the last turn's and what was said, unless the window moved."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.memory.record import MemoryRecord, Recollection
from affectgraph.orchestrator.testing.conversation import PlayedTurn, TurnPrompt, chatml, played
from affectgraph.perceivers.affect import Affect, Distribution
from affectgraph.perceivers.labels import EKMAN_7, MESC_7
from affectgraph.reasoners.codecs import CODECS
from affectgraph.reasoners.history import (
    FullHistory,
    HistoryCompressor,
    Notes,
    SummaryHistory,
    WindowHistory,
)
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.taxonomy import MESC_10

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def decided(stage: LabelStageName, label: str) -> Decision:
    labels = MESC_10 if stage == "strategy" else MESC_7
    belief = Distribution.certain(labels, label)
    return Decision(stage=stage, distribution=belief, label=label, source="test")


def recalled(text: str) -> Recollection:
    record = MemoryRecord(id="1", user="u", thread="t", text=text, at=NOW)
    return Recollection(record=record, distance=0.1, breakdown={})


emotions = st.sampled_from(MESC_7.labels).map(lambda label: decided("user_emotion", label))
plans = st.builds(
    Plan,
    user_emotion=emotions,
    strategy=st.sampled_from(MESC_10.labels).map(lambda label: decided("strategy", label)),
    system_emotion=st.just(decided("system_emotion", "neutral")),
)
affects = st.one_of(
    st.none(),
    st.sampled_from(EKMAN_7.labels).map(
        lambda label: Affect.read(Distribution.certain(EKMAN_7, label), NOW)
    ),
)
words = st.text(max_size=120)
line = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=60
).filter(lambda text: "<" not in text and "|" not in text and "[" not in text)
turns = st.lists(
    st.builds(
        PlayedTurn,
        said=words,
        replied=line,
        plan=plans,
        affect=affects,
        recollections=st.lists(st.text(min_size=1, max_size=40).map(recalled), max_size=2).map(
            tuple
        ),
        risk_level=st.sampled_from([0, 0, 0, 0, 1, 2, 4]),
    ),
    min_size=2,
    max_size=14,
)
layouts = st.sampled_from(
    [*(PromptLayout(codec=name) for name in CODECS), PromptLayout.small(), PromptLayout.trained()]
)
compressors = st.sampled_from(
    [
        FullHistory(10_000),
        FullHistory(150),
        WindowHistory(3),
        WindowHistory(6, spare=1),
        SummaryHistory(150, summary=50),
        SummaryHistory(60, summary=20, risk_level=1),
    ]
)


def play(
    layout: PromptLayout, compressor: HistoryCompressor, said: list[PlayedTurn], keep: int
) -> tuple[Prompts, list[TurnPrompt]]:
    prompts = Prompts(layout)
    return prompts, asyncio.run(played(prompts, Notes(prompts, compressor), said, keep=keep))


def went_on(prompts: Prompts, before: TurnPrompt) -> str:
    """The prompt of a turn with all that was said after it."""
    reply = prompts.codec.write(before.exchange.plan, before.exchange.replied)
    return f"{chatml(before.messages)}{reply}<|im_end|>\n<|im_start|>user\n"


@settings(max_examples=150, deadline=None)
@given(layouts, compressors, turns, st.sampled_from([3, 8, 20]))
def test_a_turns_prompt_begins_with_the_last_one_unless_the_window_moved(
    layout: PromptLayout, compressor: HistoryCompressor, said: list[PlayedTurn], keep: int
) -> None:
    prompts, found = play(layout, compressor, said, keep)
    for before, after in pairwise(found):
        if not after.moved:
            assert chatml(after.messages).startswith(went_on(prompts, before))


@settings(max_examples=60, deadline=None)
@given(layouts, turns)
def test_a_window_does_not_move_without_need(layout: PromptLayout, said: list[PlayedTurn]) -> None:
    prompts, found = play(layout, FullHistory(10_000), said, keep=20)
    assert not any(turn.moved for turn in found)
    # What the exchanges kept is enough: another process writes the same prompts.
    again = played(prompts, Notes(Prompts(layout), FullHistory(10_000)), said)
    assert [turn.messages for turn in asyncio.run(again)] == [turn.messages for turn in found]


@pytest.mark.parametrize(
    ("compressor", "moves"),
    [
        (FullHistory(100_000), 2),  # 20 exchanges stay with the thread: back to 10 at the 21st
        (WindowHistory(8), 7),  # at the 9th, then at every 5th
        (SummaryHistory(100_000, summary=100), 2),
    ],
)
def test_windows_move_seldom(compressor: HistoryCompressor, moves: int) -> None:
    turn = PlayedTurn("It was a long day at the office.", "What made it long?")
    _, found = play(PromptLayout.trained(), compressor, [turn] * 40, keep=20)
    assert sum(turn.moved for turn in found) == moves
    assert all(len(turn.messages) > 2 * 2 for turn in found[4:])


def test_a_reply_that_was_replaced_diverges_only_from_there() -> None:
    prompts = Prompts(PromptLayout.trained())
    said = [PlayedTurn("One.", "Written instead."), PlayedTurn("Two.", "Yes?")]
    found = asyncio.run(played(prompts, Notes(prompts, FullHistory(500)), said))
    assert chatml(found[1].messages).startswith(chatml(found[0].messages))
