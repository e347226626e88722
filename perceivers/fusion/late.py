"""Calibrated late fusion: one affect of whatever readings there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EKMAN_7, LabelSet

RELIABILITY: Final[Mapping[Modality, float]] = MappingProxyType(
    {"text": 1.0, "face": 0.7, "speech": 0.4}
)
"""How far each modality's calibrated probabilities are believed outside the data that it was
trained on. Assumed, not learned: words carry most, and voice emotion learned from acted speech
drops to about half its accuracy on another corpus."""

FLOOR: Final = 1e-3
DISTRUST: Final = 0.05
"""A label weighs at least ``FLOOR + DISTRUST * (1 - weight)`` in a reading, so that no source can
veto what the others see, nor a label that its training set lacked. One temperature calibrates a
model on data like its own; elsewhere its sharpest probabilities (a posed smile: 0.9999) claim too
much, and the less a source is believed, the less of such certainty is taken over."""


class LateFusion:
    """Weighted logarithmic opinion pool over calibrated readings (Genest and Zidek 1986).

    ``p(label) ∝ Π_m p_m(label)^w_m`` over the readings that hold an affect, each first told over
    the common label set. A modality alone is discounted by its own weight: a voice alone never
    sounds as sure as the words do. Without readings there is no affect.

    Args:
        weights: Exponent per modality, in (0, 1].
        label_set: Common label set of the result.

    Raises:
        BuildError: If a weight is not in (0, 1].
    """

    def __init__(
        self,
        weights: Mapping[Modality, float] = RELIABILITY,
        label_set: LabelSet = EKMAN_7,
    ) -> None:
        wrong = [f"{m}={w}" for m, w in weights.items() if not 0 < w <= 1]
        if wrong:
            raise BuildError(f"fusion weights must be in (0, 1]: {', '.join(wrong)}")
        self._weights = dict(weights)
        self._label_set = label_set

    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        """Fuse the readings that hold an affect; ``None`` if there are none.

        Evidence of all of them is kept; the capture time is the latest.

        Raises:
            BuildError: If a reading's label set has no mapping to the common one.
        """
        heard = [(r.affect, self._weights.get(r.modality, 0.0)) for r in readings if r.affect]
        heard = [(affect, weight) for affect, weight in heard if weight > 0]
        if not heard:
            return None
        logs = dict.fromkeys(self._label_set.labels, 0.0)
        for affect, weight in heard:
            floor = FLOOR + DISTRUST * (1 - weight)
            for label, p in affect.distribution.to(self._label_set).as_dict().items():
                logs[label] += weight * math.log(max(p, floor))
        peak = max(logs.values())
        pooled = Distribution.over(
            self._label_set, {label: math.exp(value - peak) for label, value in logs.items()}
        )
        return Affect.read(
            pooled,
            max(affect.captured_at for affect, _ in heard),
            evidence=tuple(e for affect, _ in heard for e in affect.evidence),
        )
