from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.reasoners.replies.situations import Foreign, situation_of


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("hi", "greeting"),
        ("Good morning!", "greeting"),
        ("hey, how are you?", "how-are-you"),
        ("Thank you so much!", "thanks"),
        ("thank you, that helped", "thanks"),
        ("ok thanks, bye", "goodbye"),
        ("I have to go now.", "goodbye"),
        ("Good night", "good-night"),
        ("asdfgh", "nonsense"),
        ("jkl; asdf", "nonsense"),
        ("xkcdzzt", "nonsense"),
        ("aaaaaa", "nonsense"),
        ("???", "silence"),
        ("   ", "silence"),
        ("Are you a real person?", "what-are-you"),
        ("Am I talking to a human?", "what-are-you"),
        ("what can you do?", "what-can-you"),
        ("Мне сегодня грустно", "unknown-language"),
        ("今日は悲しいです", "unknown-language"),
        ("Jestem bardzo smutny i nie wiem", "unknown-language"),
        ("Ich habe heute meine Prüfung bestanden!", Foreign("de", "glad")),
        ("Mein Opa ist gestorben.", Foreign("de", "low")),
        ("Je me sens très seul ce soir.", Foreign("fr", "low")),
        ("Estoy muy preocupada por mi madre.", Foreign("es", "low")),
        ("Mi sento sola", Foreign("it", "low")),
        ("Hoje estou feliz", Foreign("pt", "glad")),
        ("Ik ben zo bang voor morgen", Foreign("nl", "low")),
        ("Hola", Foreign("es", "even")),
    ],
)
def test_messages_that_need_no_model(said: str, found: object) -> None:
    assert situation_of(said) == found


@pytest.mark.parametrize(
    "said",
    [
        "I feel sad.",
        "My boss is mean.",
        "help",
        "Hi, my dog died.",
        "Thanks for nothing, you don't get it.",
        "I said goodbye to my grandmother today.",
        "Are you kidding me, he left!",
        "property",
        "ok",
        "I met a man in Die Hard costume",
        "lol",
        "no",
        "I have to go to work now and I hate it",
        "We were poor.",
        "She told me c'est la vie.",
    ],
)
def test_what_a_model_should_answer(said: str) -> None:
    assert situation_of(said) is None


@settings(deadline=None)
@given(st.text())
def test_no_text_breaks_the_rules(said: str) -> None:
    found = situation_of(said)
    assert found is None or isinstance(found, str | Foreign)
