"""Short exchanges that show a small model the form and the tone, by how the person feels.

All of them are written for this purpose; none is from a data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from affectgraph.perceivers.affect import Distribution
from affectgraph.reasoners.tables import Mood, moods


@dataclass(frozen=True)
class Exemplar:
    """One exchange with its labels (MESC-7 and MESC-10)."""

    said: str
    user_emotion: str
    strategy: str
    system_emotion: str
    replied: str


EXEMPLARS: Final[Mapping[Mood, tuple[Exemplar, ...]]] = MappingProxyType(
    {
        "low": (
            Exemplar(
                "I keep worrying that they will close our office.",
                "fear",
                "Restatement",
                "neutral",
                (
                    "That sounds exhausting, no wonder you are worried. It must be very hard to "
                    "find any rest."
                ),
            ),
            Exemplar(
                "I messed up my presentation and everybody saw it.",
                "sadness",
                "Open questions",
                "sadness",
                (
                    "I'm so sorry, that sounds really painful. What is on your mind the most right "
                    "now?"
                ),
            ),
            Exemplar(
                "My grandfather passed away last week.",
                "sadness",
                "Open questions",
                "sadness",
                (
                    "I'm so sorry that you lost your grandfather. What has been the hardest part "
                    "for you?"
                ),
            ),
            Exemplar(
                "My best friend moved away and the flat feels so empty.",
                "sadness",
                "Open questions",
                "sadness",
                (
                    "I'm so sorry, that sounds really lonely. What has been the hardest part for "
                    "you?"
                ),
            ),
        ),
        "angry": (
            Exemplar(
                "My boss gave my project to someone else!",
                "anger",
                "Restatement",
                "neutral",
                (
                    "That sounds really unfair, no wonder you are angry. It must be very hard to "
                    "keep calm after that."
                ),
            ),
            Exemplar(
                "My sister keeps reading my messages and I am furious.",
                "anger",
                "Restatement",
                "neutral",
                (
                    "That sounds really upsetting, no wonder you are furious. It must be very "
                    "hurtful to be treated like that."
                ),
            ),
            Exemplar(
                "My colleague took the credit for my work again.",
                "anger",
                "Open questions",
                "neutral",
                (
                    "That sounds really unfair, no wonder you are angry. What upset you most about "
                    "it?"
                ),
            ),
        ),
        "glad": (
            Exemplar(
                "I passed my driving test today!",
                "joy",
                "Approval",
                "joy",
                (
                    "That's wonderful news, congratulations! You worked hard for this, and you can "
                    "be proud of yourself."
                ),
            ),
            Exemplar(
                "My brother and I are talking again.",
                "joy",
                "Approval",
                "joy",
                (
                    "That's wonderful news, I'm so happy for you! It took courage to make that "
                    "step, and you did it."
                ),
            ),
            Exemplar(
                "I cooked dinner for all my friends and they loved it.",
                "joy",
                "Open questions",
                "joy",
                "That's wonderful, I'm so happy for you! How did that feel for you?",
            ),
        ),
        "even": (
            Exemplar(
                "hello",
                "neutral",
                "Communication Skills",
                "neutral",
                "Hello, it's good to hear from you. How are you feeling today?",
            ),
            Exemplar(
                "Not much happened today.",
                "neutral",
                "Open questions",
                "neutral",
                "A quiet day, then. What is on your mind right now?",
            ),
            Exemplar(
                "I don't really know what to say.",
                "neutral",
                "Open questions",
                "neutral",
                (
                    "That's all right, there is no hurry. What was the best or the hardest part of "
                    "your day?"
                ),
            ),
            Exemplar(
                "hey",
                "neutral",
                "Communication Skills",
                "neutral",
                "Hey, it's good to hear from you. How has your day been?",
            ),
        ),
    }
)
ADVICE: Final = (
    Exemplar(
        "What can I do when I feel lonely at night?",
        "sadness",
        "Advisement",
        "sadness",
        (
            "Nights can feel long when you are alone. You could try to write to one person you "
            "like, or listen to a voice that calms you. What has helped you before?"
        ),
    ),
    Exemplar(
        "How can I stop worrying before a job interview?",
        "fear",
        "Advisement",
        "neutral",
        (
            "It's normal to be nervous before something that matters. You could try to breathe out "
            "slowly a few times, and then practise your first answer. Which part worries you most?"
        ),
    ),
)


ESCONV_NAMES: Final = MappingProxyType(
    {
        "Open questions": "Question",
        "Restatement": "Reflection of feelings",
        "Approval": "Affirmation and Reassurance",
        "Advisement": "Providing Suggestions",
        "Communication Skills": "Others",
    }
)
"""Strategies of the exemplars, told in ESConv's labels."""

_ADVICE: Final = "advice"


def opening_for(emotion: Distribution | None, *, advice: bool) -> str:
    """Name of the exemplars for the likeliest mood; for a question for advice, some that give it.

    Args:
        emotion: Belief over MESC-7; ``None`` counts as neutral.
        advice: Whether advice was asked for.
    """
    if advice:
        return _ADVICE
    shares = moods(emotion)
    return max(shares, key=shares.__getitem__)


def exemplars_of(name: str) -> tuple[Exemplar, ...]:
    """The exemplars of a name; those of an even mood for one that is not known."""
    if name == _ADVICE:
        return ADVICE
    named: dict[str, tuple[Exemplar, ...]] = {str(mood): shown for mood, shown in EXEMPLARS.items()}
    return named.get(name, EXEMPLARS["even"])
