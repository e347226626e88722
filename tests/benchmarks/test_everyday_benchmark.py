from __future__ import annotations

import pytest

from affectgraph.orchestrator import Parts
from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.orchestrator.testing.fakes import FakeTextPerceiver
from affectgraph.reasoners.joint import SmesJoint
from benchmarks.everyday import answered, conversations, summary, table

TOLD = conversations()


def test_there_are_sixty_and_some_are_conversations() -> None:
    assert len(TOLD) == 60
    assert 5 <= sum(len(messages) > 1 for messages in TOLD) <= 8
    assert len({message for messages in TOLD for message in messages}) == sum(map(len, TOLD))


@pytest.fixture
def parts() -> Parts:
    backend = ScriptedBackend(says="That must be so hard for you. What is on your mind?")
    return Parts(perceivers=(FakeTextPerceiver("sadness"),), reasoner=SmesJoint(backend))


async def test_every_turn_is_told_with_where_its_words_come_from(parts: Parts) -> None:
    rows = await answered(
        parts, [["I failed my exam | twice.", "I feel so low."], ["My cat is ill."]]
    )
    assert [row.conversation for row in rows] == [1, 1, 2]
    first, second, third = rows
    assert first.source == third.source == "model"
    # Said again, so the checks caught it and something else was said.
    assert second.source == "written"
    assert "repeats-reply" in second.reasons
    assert second.reply != first.reply
    assert not any(row.findings for row in rows)
    counted = summary(rows)
    assert counted["turns"] == 3
    assert counted["sources"] == {"model": 2, "written": 1}
    printed = table(rows)
    assert printed.count("\n") == 4
    assert "exam \\| twice" in printed
