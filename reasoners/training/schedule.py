"""How much a step changes: a linear warm-up, then half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cosine:
    """Learning rate over the steps.

    Attributes:
        rate: The highest.
        steps: Steps in all.
        warmup: Share of the steps that the rate rises in, in [0, 1).
        floor: The last rate, as a share of the highest.
    """

    rate: float
    steps: int
    warmup: float = 0.05
    floor: float = 0.1

    def at(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        rising = max(1, round(self.steps * self.warmup))
        if step < rising:
            return self.rate * (step + 1) / rising
        gone = (step - rising) / max(1, self.steps - rising)
        share = 0.5 * (1 + math.cos(math.pi * min(1.0, gone)))
        return self.rate * (self.floor + (1 - self.floor) * share)
