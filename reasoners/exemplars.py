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
                "My best friend moved away and the flat feels so empty.",
                "sadness",
                "Open questions",
                "sadness",
                "It hurts when someone you saw every day is suddenly far away. What do you miss most about having them close?",
            ),
            Exemplar(
                "I keep worrying that they will close our office.",
                "fear",
                "Restatement",
                "neutral",
                "So the worry about your office does not leave you in peace. That sounds exhausting to carry every day.",
            ),
            Exemplar(
                "I messed up my presentation and everybody saw it.",
                "sadness",
                "Open questions",
                "sadness",
                "That sounds painful, and even more so in front of others. What goes through your mind when you think back to it?",
            ),
            Exemplar(
                "I could hardly get up today, but I called my sister.",
                "sadness",
                "Approval",
                "neutral",
                "Calling her on such a heavy day took strength. I am glad that you reached out.",
            ),
        ),
        "angry": (
            Exemplar(
                "My sister keeps reading my messages and I am furious.",
                "anger",
                "Restatement",
                "neutral",
                "So she reads what is private, and it makes you furious. It makes sense that you want this respected.",
            ),
            Exemplar(
                "My colleague took the credit for my work again.",
                "anger",
                "Open questions",
                "neutral",
                "That is unfair, and your anger makes sense. What would you like to tell him?",
            ),
            Exemplar(
                "They cancelled my flight and nobody even apologised!",
                "anger",
                "Restatement",
                "neutral",
                "You were left standing there without a word of apology. No wonder that you are angry.",
            ),
        ),
        "glad": (
            Exemplar(
                "I passed my driving test today!",
                "joy",
                "Approval",
                "joy",
                "Congratulations, that is wonderful! You worked for this, and it paid off.",
            ),
            Exemplar(
                "I cooked dinner for all my friends and they loved it.",
                "joy",
                "Open questions",
                "joy",
                "How lovely, that is something to be proud of! What did you enjoy most about the evening?",
            ),
            Exemplar(
                "My brother and I are talking again.",
                "joy",
                "Approval",
                "joy",
                "That is such good news, I am glad for you both! It took courage to make that step.",
            ),
        ),
        "even": (
            Exemplar(
                "hello",
                "neutral",
                "Communication Skills",
                "neutral",
                "Hello, it is good to hear from you. How are you feeling today?",
            ),
            Exemplar(
                "Not much happened today.",
                "neutral",
                "Open questions",
                "neutral",
                "A quiet day, then. Is there something on your mind that you would like to talk about?",
            ),
            Exemplar(
                "I don't really know what to say.",
                "neutral",
                "Open questions",
                "neutral",
                "That is all right, there is no hurry. What was the best or the hardest part of your day?",
            ),
        ),
    }
)

ADVICE: Final = (
    Exemplar(
        "How can I stop worrying before a job interview?",
        "fear",
        "Advisement",
        "neutral",
        "It is normal to be nervous before something that matters. You could try to breathe out slowly a few times and practise the first answer. Which part worries you most?",
    ),
    Exemplar(
        "What can I do when I feel lonely at night?",
        "sadness",
        "Advisement",
        "sadness",
        "Nights can feel long when you are alone. You could write to one person you like, or listen to a voice that calms you. What has helped you before?",
    ),
)


def exemplars_for(emotion: Distribution | None, *, advice: bool) -> tuple[Exemplar, ...]:
    """Exemplars for the likeliest mood; for a question for advice, some that give it.

    Args:
        emotion: Belief over MESC-7; ``None`` counts as neutral.
        advice: Whether advice was asked for.
    """
    if advice:
        return ADVICE
    shares = moods(emotion)
    return EXEMPLARS[max(shares, key=shares.__getitem__)]
