"""An output policy: the companion does not shout."""

from __future__ import annotations

import re

from affectgraph.policies.contracts import Sentence
from affectgraph.policies.verdict import Verdict
from affectgraph_capitals.loudness import loudness


class NoShouting:
    """Rewrites a sentence of the reply that is shouted; what it says stays.

    Args:
        most: Loudness in [0, 1] that is let through; a sentence that is all capitals has 1.
    """

    name = "no-shouting"

    def __init__(self, most: float = 0.5) -> None:
        self._most = most

    def review(self, subject: Sentence) -> Verdict:
        """Allow, or revise to small letters and full stops."""
        if loudness(subject.text).share <= self._most:
            return Verdict(action="allow", policy=self.name)
        return Verdict(
            action="revise",
            policy=self.name,
            reasons=("shouting",),
            replacement=_calm(subject.text),
        )


def _calm(text: str) -> str:
    words = re.sub("[!.]+", ".", text).lower().split(" ")
    told = " ".join("I" if word == "i" else word for word in words)
    first = next((at for at, char in enumerate(told) if char.isalpha()), 0)
    return told[:first] + told[first : first + 1].upper() + told[first + 1 :]
