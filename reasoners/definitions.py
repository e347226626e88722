"""What the strategies ask of a response, in words of our own.

The labels are those of MESC (Chu et al.) and ESConv (Liu et al. 2021); the wording is for a
supportive companion that is an AI.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MESC_10_DEFINITIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Open questions": "ask one question that cannot be answered with yes or no",
        "Approval": "name what the person did well, or why they matter",
        "Self-disclosure": "tell something about yourself; an AI has no life to tell of",
        "Restatement": "say back in other words what the person said and feels",
        "Interpretation": "offer, as a guess, what may lie behind what was said",
        "Advisement": "suggest one small thing that the person could try",
        "Communication Skills": "short signs of listening, greetings, small talk",
        "Structuring the therapy": "settle goals, length or rules of the meetings",
        "Guiding the pace and depth of the conversation": (
            "slow down, or come back to what mattered"
        ),
        "Others": "anything else that supports",
    }
)
ESCONV_8_DEFINITIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Question": "ask one question that helps the person to tell more",
        "Restatement or Paraphrasing": "say back in other words what the person said",
        "Reflection of feelings": "name the feeling that you hear",
        "Self-disclosure": "tell something about yourself; an AI has no life to tell of",
        "Affirmation and Reassurance": "name the person's strengths and give hope",
        "Providing Suggestions": "suggest one small thing that the person could try",
        "Information": "give one plain, true fact that helps",
        "Others": "anything else that supports",
    }
)
DEFINITIONS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {"mesc-10": MESC_10_DEFINITIONS, "esconv-8": ESCONV_8_DEFINITIONS}
)

UNFIT_FOR_AN_AI: Final = frozenset({"Self-disclosure", "Structuring the therapy"})
"""Barred by default: an AI must not invent a life, and it holds no sessions of treatment."""
