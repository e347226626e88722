"""From the labels of somebody's model to a declared label set."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Affect, Distribution, Evidence
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7, EMOTIONS, LabelSet

Labels = Mapping[str, str | Mapping[str, float] | None]
"""A model's label -> a label of the set, shares of several, or ``None`` to leave it out."""

_FORMS: Final[tuple[frozenset[str], ...]] = tuple(
    frozenset(group.split())
    for group in (
        "anger angry ang",
        "disgust disgusted dis",
        "fear fearful fea",
        "joy happy happiness joyful hap",
        "neutral neu",
        "sadness sad",
        "surprise surprised sur",
    )
)
"""Forms of one word. Different emotions are never taken for one another: that is a mapping, which
somebody has to declare."""


@dataclass(frozen=True, eq=False)
class Translation:
    """How a model's labels are told in a label set.

    Attributes:
        label_set: The set.
        shares: Share of each model label (row) in each label of the set; a row of zeros is left
            out. Shape (labels of the model, labels of the set).
    """

    label_set: LabelSet
    shares: NDArray[np.float64]

    @classmethod
    def of(
        cls, names: Sequence[str], label_set: LabelSet | None = None, labels: Labels | None = None
    ) -> Translation:
        """Find out how labels are told in a set.

        Args:
            names: The model's labels, in its order.
            label_set: The set; by default the declared set that has just these labels, else
                Ekman's seven.
            labels: What is said of single labels. Of the others, a label that is in the set, or
                is another form of the same word (``happy``, ``joy``), stands for that.

        Raises:
            SetupError: Listing each label that nothing is known of, or that is told wrongly.
        """
        target = label_set or _declared(names)
        said = {_plain(name): told for name, told in (labels or {}).items()}
        faults = [
            f"the model has no label {name!r}" for name in said if name not in map(_plain, names)
        ]
        shares = np.zeros((len(names), len(target)))
        for row, name in enumerate(names):
            try:
                parts = _parts(_plain(name), target, said)
            except SetupError as error:
                faults.append(str(error))
                continue
            for label, share in parts.items():
                shares[row, target.labels.index(label)] = share
        if not faults and not shares.any():
            faults.append("no label is left")
        if faults:
            raise SetupError(
                f"labels of the model told in {target.name}: {'; '.join(faults)}. Give labels: a"
                " label of the set, shares that sum to 1, or null for each"
            )
        return cls(target, shares)

    def apply(self, probs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry probabilities over.

        Args:
            probs: Shape (n, labels of the model), each in [0, 1].

        Returns:
            Shape (n, labels of the set), each in [0, 1]; what was left out is missing in the sum.
        """
        return np.minimum(1.0, probs @ self.shares)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of each row of logits, shape (n, labels)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def distribution_of(label_set: LabelSet, weights: NDArray[np.float64]) -> Distribution:
    """Weights over a set, not all of which may be left, as a distribution."""
    # Where everything lay on labels that are left out, nothing is known: all are alike.
    floor = np.maximum(weights, 1e-12)
    return Distribution.over(label_set, dict(zip(label_set.labels, floor.tolist(), strict=True)))


def affect_of(
    label_set: LabelSet,
    weights: NDArray[np.float64],
    captured_at: datetime,
    *,
    multi_label: bool,
    evidence: tuple[Evidence, ...] = (),
) -> Affect:
    """An affect of weights over a set.

    Of a model with several labels at once the distribution is its probabilities normalised, and
    the confidence the top label's own probability, which other labels take nothing from.
    """
    affect = Affect.read(distribution_of(label_set, weights), captured_at, evidence=evidence)
    if not multi_label:
        return affect
    return affect.model_copy(update={"confidence": min(1.0, float(weights.max()))})


def carried(label_set: LabelSet, weights: NDArray[np.float64], emotion: str) -> float:
    """How much of weights lies on one of Ekman's seven, in [0, 1]."""
    return min(1.0, distribution_of(label_set, weights).to(EKMAN_7)[emotion])


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _declared(names: Sequence[str]) -> LabelSet:
    wanted = {_plain(name) for name in names}
    for label_set in EMOTIONS.values():
        if {_plain(label) for label in label_set.labels} == wanted:
            return label_set
    return EKMAN_7


def _parts(name: str, target: LabelSet, said: Labels) -> Mapping[str, float]:
    """Shares of one label of the model in labels of the set."""
    if name in said:
        told = said[name]
        if told is None:
            return {}
        return _shares(name, {told: 1.0} if isinstance(told, str) else told, target)
    forms = next((group for group in _FORMS if name in group), frozenset({name}))
    found = [label for label in target.labels if _plain(label) in forms]
    if len(found) != 1:
        raise SetupError(f"nothing is known of {name!r}")
    return {found[0]: 1.0}


def _shares(name: str, told: Mapping[str, float], target: LabelSet) -> Mapping[str, float]:
    unknown = [label for label in told if label not in target]
    if unknown:
        raise SetupError(f"{name!r} is told as {', '.join(unknown)}, which is not in the set")
    if min(told.values(), default=-1) < 0 or not math.isclose(sum(told.values()), 1, abs_tol=1e-6):
        raise SetupError(f"the shares of {name!r} do not sum to 1")
    return told
