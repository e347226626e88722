from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from affectgraph.policies.disclosure import (
    AI_ANSWER,
    AI_NOTICE,
    READING_NOTICE,
    DisclosurePolicy,
)

POLICY = DisclosurePolicy()
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SINCERE = (
    "are you human?",
    "Are you a human being?",
    "are you a real person",
    "are you real?",
    "r u human",
    "are u a bot",
    "Are you an AI?",
    "are you a robot?",
    "are you actually a person or a machine?",
    "Are you just a computer program?",
    "are you chatgpt?",
    "am I talking to a human?",
    "Am I talking to a real person right now?",
    "am i speaking with a bot",
    "Am I chatting with an AI?",
    "is this a bot?",
    "is this a real person",
    "Is this an automated chat?",
    "is it a robot?",
    "Is there a real person on the other end?",
    "is there a human behind this",
    "who am I talking to?",
    "What are you?",
    "what exactly are you",
    "who are you?",
    "Who or what are you really?",
    "you're not a real person, are you?",
    "You're a bot, aren't you?",
    "you are not human right?",
    "aren't you an AI?",
    "are you not human?",
    "human or robot?",
    "a bot or a real person?",
    "do you have feelings?",
    "do you have a body",
    "can you actually feel?",
    "are you alive?",
    "are you sentient?",
    "be honest, are you human?",
    "tell me if you are a real person",
    "prove you're human",
    "I bet you are a bot",
    "I wonder if you are a real person",
    "I want to talk to a real person",
    "Can I speak to a human?",
    "did a human write this?",
    "is a person reading my messages?",
    "Does a human read this?",
    "was this written by an AI?",
    "Which AI is this?",
    "are you a real doctor?",
    "Is anyone real there?",
    "Have I been talking to a machine?",
    "I feel like you're a robot",
    "are you a trained counselor",
    "Are you artificial intelligence?",
)
OTHER = (
    "are you there?",
    "are you ok?",
    "are you serious",
    "are you for real?",
    "are you kidding me",
    "are you a morning person?",
    "are you free tomorrow",
    "are you listening",
    "are you sure about that?",
    "are you in human resources?",
    "what are you doing?",
    "what are you talking about",
    "what are you up to",
    "who are you going with?",
    "is there a way out of this?",
    "is this normal?",
    "is this real life",
    "is it a good idea?",
    "I'm only human",
    "I am a real mess",
    "he treats me like a machine",
    "my boss is a robot",
    "I work with machines",
    "she is a good person",
    "am I a bad person?",
    "am I crazy?",
    "I lost a person I loved",
    "do you have time?",
    "do you have any advice?",
    "can you help me?",
    "I study computer science",
    "I'm afraid of AI taking my job",
    "I talked to my sister",
    "I want to talk to you",
    "it's human nature",
    "how are you?",
    "I feel like a failure",
    "do you think he likes me",
)


@pytest.mark.parametrize("question", SINCERE)
def test_a_sincere_question_is_answered_truthfully(question: str) -> None:
    notices = POLICY.notices(START, START - timedelta(minutes=1), question, ())
    assert notices == (AI_ANSWER,)


@pytest.mark.parametrize("utterance", OTHER)
def test_other_words_get_no_notice(utterance: str) -> None:
    assert POLICY.notices(START, START - timedelta(minutes=1), utterance, ()) == ()


def test_the_table_is_large_enough() -> None:
    assert len(set(SINCERE)) >= 50


def test_notice_at_the_start_and_every_three_hours() -> None:
    shown: list[int] = []
    last: datetime | None = None
    for minute in range(0, 8 * 60, 10):
        at = START + timedelta(minutes=minute)
        if POLICY.notices(at, last, "hello", ()):
            shown.append(minute)
            last = at
    assert shown == [0, 180, 360]


def test_the_interval_can_be_shorter() -> None:
    policy = DisclosurePolicy(timedelta(minutes=30))
    assert policy.notices(START + timedelta(minutes=30), START, "hello", ()) == (AI_NOTICE,)
    assert policy.notices(START + timedelta(minutes=29), START, "hello", ()) == ()


def test_a_clock_that_ran_backwards_shows_the_notice() -> None:
    assert POLICY.notices(START, START + timedelta(hours=1), "hello", ()) == (AI_NOTICE,)


@pytest.mark.parametrize(
    ("senses", "named"),
    [
        (("camera",), "your camera"),
        (("microphone",), "your voice"),
        (("microphone", "camera"), "your camera and your voice"),
    ],
)
def test_reading_faces_or_voices_is_told(senses: tuple[str, ...], named: str) -> None:
    notices = POLICY.notices(START, START - timedelta(minutes=1), "hello", senses)
    assert notices == (READING_NOTICE.format(senses=named),)


def test_a_told_sense_is_told_again_only_when_the_notice_is_due() -> None:
    recent, long_ago = START - timedelta(minutes=1), START - timedelta(hours=3)
    senses = ("camera",)
    assert POLICY.notices(START, recent, "hello", senses, noticed=senses) == ()
    assert len(POLICY.notices(START, long_ago, "hello", senses, noticed=senses)) == 2
    both = ("camera", "microphone")
    (notice,) = POLICY.notices(START, recent, "hello", both, noticed=("camera",))
    assert "voice" in notice
    assert "camera" not in notice


@pytest.mark.parametrize("text", [AI_NOTICE, AI_ANSWER, READING_NOTICE])
def test_notices_are_truthful_and_claim_no_profession(text: str) -> None:
    assert not re.search(r"therap|diagnos|\bI'm (a )?human|\bI am (a )?human", text, re.IGNORECASE)
    assert text is READING_NOTICE or "AI" in text
