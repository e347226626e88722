"""Reading a label off how well it completes a sentence about a message."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import LabelSet

Score = Callable[[str, Sequence[str]], Awaitable[list[float]]]
"""Log-probabilities (natural) of continuations of a plain text: a backend's ability."""


@dataclass(frozen=True)
class CompletionScore:
    """Scores every label as the end of a sentence about a message.

    The log-probability of ``" sadness"`` after the message, minus the same after an empty
    message, is what the message says of the label (Zhao et al. 2021, contextual calibration).
    With models that are too small to answer a question this works far better than asking one.

    Attributes:
        template: Text with ``{message}``; the label follows it.
        clip: Characters at most of the message, the last ones.
    """

    template: str = '"{message}"\nThis is a message of'
    clip: int = 600

    async def empty(self, score: Score, labels: LabelSet) -> list[float]:
        """What the labels score after an empty message; always the same for one model."""
        return await score(self._filled(""), _words(labels))

    async def read(
        self, score: Score, message: str, labels: LabelSet, empty: Sequence[float]
    ) -> Distribution:
        """Score every label of a set for a message, against the ``empty`` one.

        Sums of log-probabilities are too sure of themselves: temper what this gives by a fitted
        temperature.
        """
        told = await score(self._filled(message), _words(labels))
        gains = [a - b for a, b in zip(told, empty, strict=True)]
        top = max(gains)
        weights = {
            label: math.exp(gain - top) for label, gain in zip(labels.labels, gains, strict=True)
        }
        return Distribution.over(labels, weights)

    def _filled(self, message: str) -> str:
        return self.template.replace("{message}", message.strip()[-self.clip :])


def _words(labels: LabelSet) -> list[str]:
    return [f" {label}" for label in labels.labels]
