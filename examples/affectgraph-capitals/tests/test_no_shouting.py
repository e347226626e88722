"""The output policy keeps its contract and does what it says."""

from __future__ import annotations

import pytest
from affectgraph_capitals import NoShouting

from affectgraph.orchestrator.testing import conformance
from affectgraph.policies.contracts import Sentence

TestNoShouting = conformance.output_policy(NoShouting, stops=["I HEAR YOU!!! ", "NO!!!! "])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("I HEAR YOU!!! ", "I hear you. "),
        ("THAT SOUNDS HARD. ", "That sounds hard. "),
        ("no!!! ", "No. "),
    ],
)
def test_a_shouted_sentence_is_said_calmly(said: str, told: str) -> None:
    """What it says stays, also the space that parts it from the next."""
    verdict = NoShouting().review(Sentence(text=said, before="", utterance="I am tired."))
    assert verdict.action == "revise"
    assert verdict.replacement == told


def test_one_mark_is_let_through() -> None:
    """A glad sentence may end in a mark."""
    verdict = NoShouting().review(Sentence(text="Well done! ", before="", utterance="I did it."))
    assert verdict.action == "allow"
