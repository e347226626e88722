"""Calibrated late fusion: one affect of whatever readings there are."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from affectgraph.perceivers.affect import (
    VAD,
    Affect,
    Distribution,
    Modality,
    Reading,
    expected_vad,
    merge_readings,
)
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.fusion.pool import Pool
from affectgraph.perceivers.labels import EKMAN_7, LabelSet

WEIGHTS: Final = Path(__file__).parent / "weights" / "late.json"
"""Learned on MELD; ``weights/late.md`` says how, and how well."""


class LateFusion:
    """Weighted logarithmic opinion pool over calibrated readings (Genest and Zidek, 1986).

    ``p(label) ∝ Π_m p_m(label)^w_m`` over the readings that hold an affect, each first told over
    the common label set, with the weights that were learned for just these modalities.

    - Without a reading that holds an affect there is no affect.
    - One reading is taken as it is: its perceiver calibrated it. One over another label set is
      told over the common one, and its label and confidence are those of what it is told as.
    - Of two readings of one modality the one that :func:`merge_readings` keeps counts.
    - Of several, valence, arousal and dominance follow from the pooled distribution, unless a
      model measured them in one: then they are the readings' mean by their weights.

    Args:
        weights: Weight per modality, in (0, 1], the same in every company; those learned
            (:data:`WEIGHTS`) by default.
        label_set: Common label set of the result.
        file: Learned weights of one's own, as ``python -m affectgraph.perceivers.training.fusion``
            writes them.

    Raises:
        BuildError: If a weight is not in (0, 1], or weights are given together with a file, or for
            no modality.
    """

    def __init__(
        self,
        weights: Mapping[Modality, float] | None = None,
        label_set: LabelSet = EKMAN_7,
        *,
        file: Path | None = None,
    ) -> None:
        wrong = [f"{m}={w}" for m, w in (weights or {}).items() if not 0 < w <= 1]
        if wrong:
            raise BuildError(f"fusion weights must be in (0, 1]: {', '.join(wrong)}")
        if weights is not None and (file is not None or not weights):
            raise BuildError("a fusion takes weights for one modality or more, or a file of them")
        self._label_set = label_set
        self._file = file or WEIGHTS
        self._known: frozenset[str] | None = None if weights is None else frozenset(weights)
        self._weights: Pool | None = (
            None if weights is None else Pool.plain({str(m): w for m, w in weights.items()})
        )
        self._pool = BlockingPool(size=1)
        self._loading = threading.Lock()

    async def warm_up(self) -> None:
        """Read the weights; a second call does nothing.

        Raises:
            ModelCorruptError: If the file cannot be used.
        """
        if self._weights is None:
            await self._pool.run(self._load)

    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        """Fuse the readings that hold an affect; ``None`` if there are none.

        Evidence of all that count is kept; the capture time is the latest.

        Raises:
            BuildError: If a reading's label set has no mapping to the common one.
            ModelCorruptError: If the weights cannot be used.
        """
        heard: dict[str, Affect] = {
            reading.modality: reading.affect
            for reading in merge_readings((), tuple(readings))
            if reading.affect and (self._known is None or reading.modality in self._known)
        }
        if not heard:
            return None
        told = {name: affect.distribution.to(self._label_set) for name, affect in heard.items()}
        if len(heard) == 1:
            (name,) = heard
            return _alone(heard[name], told[name])
        await self.warm_up()
        assert self._weights is not None
        # Sums must not depend on the order in which perceivers report.
        probs = {name: np.array([told[name].probs]) for name in sorted(told)}
        shares = self._weights.pooled(probs)[0].tolist()
        pooled = Distribution.over(
            self._label_set, dict(zip(self._label_set.labels, shares, strict=True))
        )
        weights = self._weights.of(sorted(told))
        return Affect.read(
            pooled,
            max(affect.captured_at for affect in heard.values()),
            evidence=tuple(e for affect in heard.values() for e in affect.evidence),
            vad=_measured(heard, weights),
        )

    def _load(self) -> None:
        with self._loading:
            if self._weights is None:
                self._weights = Pool.load(self._file, self._label_set)


def _alone(affect: Affect, told: Distribution) -> Affect:
    """One affect over the common label set."""
    vad = expected_vad(told) if affect.vad_source == "derived" else affect.vad
    # A perceiver's own confidence need not be the distribution's, such as with several labels at
    # once; it is about a label that another set does not have.
    same = told.label_set == affect.distribution.label_set
    confidence = affect.confidence if same else told.top_p
    update = {"distribution": told, "vad": vad, "confidence": confidence}
    return affect.model_copy(update=update)


def _measured(heard: Mapping[str, Affect], weights: Mapping[str, float]) -> VAD | None:
    """Mean of the readings by their weights, if one was measured."""
    if all(affect.vad_source == "derived" for affect in heard.values()):
        return None
    total = sum(weights.values())
    axes = {
        axis: sum(weights[m] * getattr(heard[m].vad, axis) for m in sorted(heard)) / total
        for axis in ("valence", "arousal", "dominance")
    }
    return VAD(**{axis: max(-1.0, min(1.0, value)) for axis, value in axes.items()})
