from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.reasoners.replies.lexicon import lexicon
from affectgraph.reasoners.replies.slots import Slots, slots_of

KNOWN = lexicon()
PHRASE = re.compile(r"your((?: [a-z-]+){0,2})(?: ([a-z-]+)'s)? ([a-z-]+)")

WORDS = st.sampled_from(
    [
        *sorted(KNOWN.nouns)[::4], *sorted(KNOWN.between)[::3], *sorted(KNOWN.feelings)[::5],
        "my", "my", "my", "I", "I'm", "feel", "the", "an", "so", "not", "died", "lost",
        "passed away", "has", "is", "and", ",", ".", "brother's", "!", "xyzzy", "your", "of",
        "funeral", "ß",
    ]
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "slots"),
    [
        (
            "I have an exam tomorrow and I'm so nervous",
            Slots(topic="your exam", feeling="nervous", mood="afraid"),
        ),
        ("My brother has an exam", Slots(topic="your brother")),
        ("My boss gave my project to someone else!", Slots(topic="your boss")),
        ("Had a fight with my younger sister again", Slots(topic="your younger sister")),
        ("My best friend's wedding is soon", Slots(topic="your best friend's wedding")),
        ("I got promoted today!", Slots(topic="your promotion")),
        ("I am really lonely", Slots(feeling="lonely", mood="sad")),
        ("I'm not angry", Slots()),
        ("I'm used to it", Slots()),
        ("Her exam went well", Slots()),
        ("asdf my blah", Slots()),
        ("", Slots()),
    ],
)
def test_what_is_taken_from_a_message(said: str, slots: Slots) -> None:
    assert slots_of(said) == slots


@pytest.mark.parametrize(
    ("said", "person"),
    [
        ("My grandmother passed away last night.", "your grandmother"),
        ("my old dog died", "your old dog"),
        ("I still can't get over my father's death", "your father"),
        ("I can't imagine that my father died", "your father"),
        ("If my father died I would not know what to do", None),
        ("I lost my wife two years ago", "your wife"),
        ("It's the first Christmas without my dad.", "your dad"),
        ("I lost my job", None),
        ("My cat is lost, I lost my cat", None),
        ("I'm afraid my dad will die", None),
        ("My dad almost died", None),
        ("My phone died", None),
    ],
)
def test_a_loss_is_seen_only_where_somebody_surely_died(said: str, person: str | None) -> None:
    assert slots_of(said).person == person


@settings(deadline=None)
@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_slots_are_grammatical_whatever_the_message(said: str) -> None:
    found = slots_of(said)
    for phrase in (found.topic, found.person):
        if phrase is None:
            continue
        matched = PHRASE.fullmatch(phrase)
        assert matched is not None
        adjectives, owner, noun = matched.groups()
        assert noun in KNOWN.nouns
        assert owner is None or owner in KNOWN.kin
        said_adjectives = adjectives.split()
        assert set(said_adjectives) <= KNOWN.between
        assert len(set(said_adjectives)) == len(said_adjectives)
    assert found.feeling is None or found.feeling in KNOWN.feelings


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_extraction(said: str) -> None:
    found = slots_of(said)
    assert found.person is None or found.topic == found.person


def test_a_template_without_its_slot_is_not_filled() -> None:
    assert Slots(topic="your exam").filled("It is about {topic}.") == "It is about your exam."
    assert Slots().filled("It is about {topic}.") is None
    assert Slots().filled("I hear you.") == "I hear you."
