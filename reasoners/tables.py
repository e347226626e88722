"""Weights of strategies and of the companion's own tone, given how the person feels.

A small model's own choice of a strategy is poor, so a table says what is usual and the model's
probabilities shift it. The weights are judgements of ours, not estimates: exploration before
comfort before advice (Hill's stages of helping, as in Liu et al. 2021), restatement early and
interpretation later (the phases of MESC, Chu et al.), and no advice at the first turn unless it
is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import LabelSet

Mood = Literal["low", "angry", "glad", "even"]
Row = Mapping[str, float]

_MOODS: Final[Mapping[str, Mood]] = MappingProxyType(
    {
        "sadness": "low",
        "depression": "low",
        "fear": "low",
        "anger": "angry",
        "disgust": "angry",
        "joy": "glad",
        "neutral": "even",
    }
)

_MESC_FIRST: Final[Mapping[Mood, Row]] = {
    "low": {"Open questions": 6, "Restatement": 3, "Approval": 1},
    "angry": {"Restatement": 5, "Open questions": 4, "Approval": 1},
    "glad": {"Approval": 7, "Open questions": 2, "Restatement": 1},
    "even": {"Open questions": 6, "Communication Skills": 4},
}
_MESC_LATER: Final[Mapping[Mood, Row]] = {
    "low": {
        "Restatement": 3, "Open questions": 3, "Approval": 2, "Interpretation": 2,
        "Advisement": 1, "Guiding the pace and depth of the conversation": 0.5,
    },
    "angry": {
        "Restatement": 4, "Open questions": 3, "Interpretation": 2, "Approval": 1,
        "Advisement": 0.5,
    },
    "glad": {"Approval": 6, "Open questions": 3, "Restatement": 1},
    "even": {
        "Open questions": 4, "Communication Skills": 2, "Interpretation": 2, "Approval": 1,
        "Advisement": 1, "Guiding the pace and depth of the conversation": 0.5,
    },
}  # fmt: skip
_ESCONV_FIRST: Final[Mapping[Mood, Row]] = {
    "low": {"Question": 5, "Reflection of feelings": 4, "Affirmation and Reassurance": 1},
    "angry": {"Reflection of feelings": 5, "Question": 4, "Restatement or Paraphrasing": 2},
    "glad": {"Affirmation and Reassurance": 6, "Question": 3},
    "even": {"Question": 6, "Others": 3},
}
_ESCONV_LATER: Final[Mapping[Mood, Row]] = {
    "low": {
        "Reflection of feelings": 3, "Question": 3, "Affirmation and Reassurance": 3,
        "Restatement or Paraphrasing": 2, "Providing Suggestions": 1,
    },
    "angry": {
        "Reflection of feelings": 4, "Question": 3, "Restatement or Paraphrasing": 2,
        "Affirmation and Reassurance": 1, "Providing Suggestions": 0.5,
    },
    "glad": {"Affirmation and Reassurance": 6, "Question": 3},
    "even": {
        "Question": 4, "Restatement or Paraphrasing": 2, "Others": 1,
        "Providing Suggestions": 1, "Information": 0.5,
    },
}  # fmt: skip
_FIRST: Final = {"mesc-10": _MESC_FIRST, "esconv-8": _ESCONV_FIRST}
_LATER: Final = {"mesc-10": _MESC_LATER, "esconv-8": _ESCONV_LATER}
_ADVICE: Final[Mapping[str, Row]] = {
    "mesc-10": {"Advisement": 30},
    "esconv-8": {"Providing Suggestions": 30, "Information": 3},
}
_RARE: Final = 0.05

_ASKS_ADVICE: Final = re.compile(
    r"\b(advice|advise|suggest(ion)?s?|tips?|recommend)\b"
    r"|\b(what|how) (can|should|do|could|would) (i|you|we)\b[^.!?]*\?"
    r"|\bhelp me (to |with |find |figure |decide )",
    re.IGNORECASE,
)

_TONES: Final[Mapping[Mood, Row]] = {
    "low": {"sadness": 6, "neutral": 4},
    "angry": {"neutral": 7, "sadness": 3},
    "glad": {"joy": 8, "neutral": 2},
    "even": {"neutral": 8, "joy": 2},
}


def asks_for_advice(utterance: str) -> bool:
    """Whether the words ask for advice, by their form (English)."""
    return bool(_ASKS_ADVICE.search(utterance))


def strategy_weights(
    strategies: LabelSet,
    emotion: Distribution | None,
    *,
    first: bool,
    advice: bool,
    avoid: tuple[str, ...] = (),
) -> dict[str, float]:
    """How usual each strategy is, averaged over what the person may feel.

    Args:
        strategies: ``mesc-10`` or ``esconv-8``; another set weighs all alike.
        emotion: Belief over MESC-7; ``None`` for no idea, which counts as neutral.
        first: Whether this is the first turn.
        advice: Whether advice was asked for.
        avoid: Strategies of the last two turns; each is halved, so that no one strategy is
            repeated for ever.

    Returns:
        A weight above 0 for each strategy, except advice at a first turn that did not ask: 0.
    """
    if strategies.name not in _FIRST:
        return dict.fromkeys(strategies.labels, 1.0)
    table = (_FIRST if first and not advice else _LATER)[strategies.name]
    wanted = _ADVICE[strategies.name]
    weights = dict.fromkeys(strategies.labels, _RARE)
    for mood, share in moods(emotion).items():
        total = sum(table[mood].values())
        for label, weight in table[mood].items():
            weights[label] += share * weight / total
    for label, factor in wanted.items():
        weights[label] *= factor if advice else 0.0 if first else 1.0
    for label in avoid:
        weights[label] /= 2
    return weights


def tone_weights(emotion: Distribution | None) -> dict[str, float]:
    """How fitting each tone (MESC-7) of the companion is; sadness is told as compassion."""
    weights: dict[str, float] = {}
    for mood, share in moods(emotion).items():
        total = sum(_TONES[mood].values())
        for label, weight in _TONES[mood].items():
            weights[label] = weights.get(label, 0.0) + share * weight / total
    return weights


def mood_of(label: str) -> Mood:
    """The mood that an emotion of MESC-7 belongs to."""
    return _MOODS[label]


def moods(emotion: Distribution | None) -> dict[Mood, float]:
    """Shares of the four moods in a belief over MESC-7; all neutral without one."""
    if emotion is None:
        return {"even": 1.0}
    shares: dict[Mood, float] = {}
    for label, p in emotion.as_dict().items():
        mood = _MOODS[label]
        shares[mood] = shares.get(mood, 0.0) + p
    return shares
