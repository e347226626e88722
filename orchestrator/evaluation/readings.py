"""Readings of a perceiver as arrays, whatever label set it speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EKMAN_7, EMOTIONS, LabelSet, mapping


@dataclass(frozen=True)
class Told:
    """What was said of some inputs.

    Attributes:
        label_set: The perceiver's own label set.
        probs: Shape (n, k); NaN in the rows of inputs on which the perceiver abstained.
        vad: Valence, arousal, dominance in [-1, 1], shape (n, 3); NaN likewise.
        source: Whether ``vad`` was measured by a model, or derived from the distribution.
    """

    label_set: LabelSet
    probs: Floats
    vad: Floats
    source: str = "measured"

    @property
    def abstained(self) -> NDArray[np.bool_]:
        """On which inputs the perceiver said nothing, shape (n,)."""
        return np.asarray(np.isnan(self.probs).any(axis=1), dtype=np.bool_)

    def to(self, target: LabelSet, prior: Floats) -> Floats:
        """Distributions over another set, by the declared mapping, shape (n, m).

        A set that has no mapping of its own is reached by way of Ekman's seven.

        Args:
            target: The set.
            prior: What stands where the perceiver abstained, shape (m,), summing to 1.

        Raises:
            BuildError: If no mapping is declared.
        """
        if self.abstained.all():
            return np.tile(prior, (len(self.probs), 1))
        probs = self.probs @ carried(self.label_set, target)
        totals = probs.sum(axis=1, keepdims=True)
        probs = np.divide(probs, totals, out=np.zeros_like(probs), where=totals > 0)
        return np.where((self.abstained | (totals[:, 0] <= 0))[:, None], prior, probs)

    def meets(self, corpus: LabelSet) -> LabelSet:
        """The set to compare in: the corpus's own, or Ekman's seven where that is not reached.

        Raises:
            BuildError: If neither is reached.
        """
        if self.abstained.all() or self.reaches(corpus):
            return corpus
        carried(self.label_set, EKMAN_7)
        carried(corpus, EKMAN_7)
        return EKMAN_7

    def reaches(self, target: LabelSet) -> bool:
        """Whether a mapping to another set is declared."""
        try:
            carried(self.label_set, target)
        except BuildError:
            return False
        return True


def carried(source: LabelSet, target: LabelSet) -> Floats:
    """A declared mapping as a matrix, shape (len(source), len(target)).

    Raises:
        BuildError: If none is declared, nor one to Ekman's seven and from there.
    """
    if source.name == target.name:
        return np.eye(len(source))
    try:
        return _matrix(source, target)
    except BuildError:
        if EKMAN_7.name in (source.name, target.name):
            raise
        return _matrix(source, EKMAN_7) @ _matrix(EKMAN_7, target)


def _matrix(source: LabelSet, target: LabelSet) -> Floats:
    declared = mapping(source.name, target.name)
    return np.array([declared.apply(tuple(row)) for row in np.eye(len(source)).tolist()])


def as_arrays(readings: Sequence[Reading | None]) -> dict[str, NDArray[Any]]:
    """Readings as arrays to keep; as wide as the widest label set, since all may abstain.

    Args:
        readings: ``None`` where an input could not be taken at all.

    Raises:
        BuildError: If a reading is over a label set that is unknown.
    """
    width = max(len(each) for each in EMOTIONS.values())
    probs, vad = np.full((len(readings), width), np.nan), np.full((len(readings), 3), np.nan)
    names = np.full(len(readings), "", dtype="U40")
    measured = np.zeros(len(readings), np.bool_)
    for row, reading in enumerate(readings):
        if reading is None or reading.affect is None:
            continue
        told = reading.affect.distribution
        if told.label_set not in EMOTIONS:
            raise BuildError(f"the perceiver's label set {told.label_set!r} is not known here")
        probs[row, : len(told.probs)] = told.probs
        names[row] = told.label_set
        measured[row] = reading.affect.vad_source == "measured"
        vad[row] = (reading.affect.vad.valence, reading.affect.vad.arousal,
                    reading.affect.vad.dominance)  # fmt: skip
    return {"probs": probs, "vad": vad, "set": names, "measured": measured}


def as_told(arrays: Mapping[str, NDArray[Any]]) -> Told:
    """What :func:`as_arrays` made, as one.

    Raises:
        BuildError: If the readings are over several label sets.
    """
    names = sorted({str(name) for name in arrays["set"]} - {""})
    if len(names) > 1:
        raise BuildError(f"the perceiver's readings are over several sets: {', '.join(names)}")
    used = EMOTIONS[names[0]] if names else EKMAN_7
    probs = np.asarray(arrays["probs"], np.float64)[:, : len(used)]
    source = "measured" if bool(arrays["measured"].any()) else "derived from the distribution"
    return Told(used, probs, np.asarray(arrays["vad"], np.float64), source)
