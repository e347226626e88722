"""The perceiver keeps its contract and does what it says."""

from __future__ import annotations

import asyncio

import pytest
from affectgraph_capitals import Capitals

from affectgraph.orchestrator.testing import conformance
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.turn import Turn

TestCapitals = conformance.perceiver(Capitals)


def read(text: str, **options: int) -> Reading:
    """What the perceiver says of a text."""
    return asyncio.run(Capitals(**options).perceive(Turn(text=text)))


def test_shouting_is_arousal_with_its_evidence() -> None:
    """The words in capitals and the marks are what the reading rests on."""
    text = "LEAVE ME alone!!"
    affect = read(text).affect
    assert affect is not None
    assert affect.top == "anger"
    assert affect.vad.arousal > 0.5
    spans = [text[int(e.start or 0) : int(e.end or 0)] for e in affect.evidence]
    assert spans == ["LEAVE", "!!"]


def test_a_calm_text_is_no_shouting() -> None:
    """Short words in capitals are ordinary English."""
    affect = read("I think that is OK.").affect
    assert affect is not None
    assert affect.top == "neutral"
    assert affect.vad.arousal == 0
    assert affect.evidence == ()


def test_louder_is_never_calmer() -> None:
    """Arousal grows with each mark, up to 1."""
    arousals = []
    for marks in range(8):
        affect = read("no" + "!" * marks).affect
        assert affect is not None
        arousals.append(affect.vad.arousal)
    assert arousals == sorted(arousals)
    assert arousals[-1] == 1


@pytest.mark.parametrize("text", ["?!", "12 + 30 = 42", "\U0001f642"])
def test_a_text_without_words_is_not_read(text: str) -> None:
    """Marks alone are no words."""
    reading = read(text)
    assert reading.abstention is not None
    assert reading.abstention.reason == "absent"


def test_how_long_a_shouted_word_is_can_be_set() -> None:
    """By an option, which a spec may set too."""
    affect = read("OK then", shortest=2).affect
    assert affect is not None
    assert affect.vad.arousal == 0.5
    with pytest.raises(BuildError, match="shortest must be at least 1, is 0"):
        Capitals(shortest=0)
