"""A weighted product of distributions, and the weights of each company of modalities.

``p(label) ∝ Π_m q_m(label)^w_m``, the logarithmic opinion pool (Genest and Zidek, 1986, equation
3.1), over calibrated distributions ``q_m ∝ p_m^(1 / T_m)`` (Guo et al., 2017). Which weights count
depends on which modalities are there, so that one that is missing leaves behind weights that were
learned without it. A modality by itself has weight 1: it says what it says.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import BuildError, ModelCorruptError
from affectgraph.perceivers.labels import EKMAN_7, LabelSet

Probs = NDArray[np.float64]
Weights = Mapping[str, float]

FLOOR: Final = 0.03
"""Of every distribution that is pooled this share is spread evenly over the labels, so that no
source can veto what the others see, nor a label that its training data lacked."""

_NONE: Final[Weights] = MappingProxyType({})


def log_linear(probs: Mapping[str, Probs], weights: Weights) -> Probs:
    """The pool of several sources.

    Args:
        probs: Source -> probabilities, shape (n, k).
        weights: Source -> exponent, 0 or more.

    Returns:
        Shape (n, k), rows sum to 1.
    """
    total = sum(
        weights[name] * np.log((1 - FLOOR) * each + FLOOR / each.shape[1])
        for name, each in probs.items()
    )
    shares = np.exp(total - np.max(total, axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def tempered(probs: Probs, temperature: float) -> Probs:
    """Sharper (below 1) or flatter (above 1) distributions, shape (n, k)."""
    if temperature == 1:
        return probs
    shares = np.clip(probs, 1e-9, 1.0) ** (1 / temperature)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def company(modalities: Iterable[str]) -> str:
    """The name of a set of modalities: ``face+text``."""
    return "+".join(sorted(modalities))


@dataclass(frozen=True)
class Pool:
    """Learned weights.

    Attributes:
        weights: Name of a company of two or more modalities -> weight of each in it, 0 or more.
        temperature: Modality -> what its distribution is tempered by; 1 where it is not named.
    """

    weights: Mapping[str, Weights]
    temperature: Weights = field(default_factory=lambda: _NONE)

    def __post_init__(self) -> None:
        for name, weights in self.weights.items():
            if company(weights) != name or len(weights) < 2:
                raise BuildError(f"fusion weights of {name!r} are told for {company(weights)!r}")
            wrong = [f"{m}={w}" for m, w in weights.items() if not 0 <= w < float("inf")]
            if wrong or not sum(weights.values()) > 0:
                raise BuildError(
                    f"fusion weights must be 0 or more, and one above 0: {name}: {', '.join(wrong)}"
                )
        wrong = [f"{m}={t}" for m, t in self.temperature.items() if not 0 < t < float("inf")]
        if wrong:
            raise BuildError(f"fusion temperatures must be above 0: {', '.join(wrong)}")

    @classmethod
    def plain(cls, weights: Weights) -> Pool:
        """One weight a modality, whatever the company."""
        return cls({company(weights): dict(weights)} if len(weights) > 1 else {})

    @classmethod
    def load(cls, path: Path, label_set: LabelSet = EKMAN_7) -> Pool:
        """Read a pool from JSON.

        Raises:
            ModelCorruptError: If the file is absent, not such a pool, or over another label set.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored["label_set"] != label_set.name:
                raise ModelCorruptError(
                    f"{path.name}: its weights are for {stored['label_set']}, not {label_set.name}"
                )
            weights = {
                str(name): {str(m): float(w) for m, w in each.items()}
                for name, each in stored["weights"].items()
            }
            temperature = {str(m): float(t) for m, t in stored["temperature"].items()}
            return cls(weights, temperature)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BuildError) as error:
            raise ModelCorruptError(f"{path.name}: not fusion weights ({error})") from error

    def save(self, path: Path, label_set: LabelSet = EKMAN_7, **facts: Any) -> None:
        """Write the pool as JSON, with facts of how it was made beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {
            "label_set": label_set.name,
            "temperature": dict(self.temperature),
            "weights": {name: dict(each) for name, each in self.weights.items()},
            **facts,
        }
        path.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")

    def of(self, modalities: Collection[str]) -> dict[str, float]:
        """Weights of a company.

        Those learned for it; else those of the smallest learned company that holds it, without
        the missing ones; a modality that no company holds weighs nothing beside others. By
        itself a modality weighs 1.
        """
        if len(modalities) == 1:
            return dict.fromkeys(modalities, 1.0)
        holding = [each for each in self.weights.values() if set(modalities) <= set(each)]
        if not holding and self.weights:
            holding = [max(self.weights.values(), key=len)]
        found = min(holding, key=len) if holding else dict.fromkeys(modalities, 1.0)
        return {modality: found.get(modality, 0.0) for modality in modalities}

    def calibrated(self, modality: str, probs: Probs) -> Probs:
        """A modality's distributions after its temperature, shape (n, k)."""
        return tempered(probs, self.temperature.get(modality, 1.0))

    def pooled(
        self,
        probs: Mapping[str, Probs],
        present: Mapping[str, NDArray[np.bool_]] = MappingProxyType({}),
    ) -> Probs:
        """Fuse rows; each with the weights of the modalities that it has.

        Args:
            probs: Modality -> probabilities before the temperature, shape (n, k).
            present: Modality -> whether a row has it, shape (n,); by default all rows do.

        Returns:
            Shape (n, k). A row without any modality is told evenly.
        """
        first = next(iter(probs.values()))
        told = np.full(first.shape, 1.0 / first.shape[1])
        tempers = {name: self.calibrated(name, each) for name, each in probs.items()}
        has = {name: present.get(name, np.ones(len(first), np.bool_)) for name in probs}
        marks = np.stack([has[name] for name in probs], axis=1)
        for mark in np.unique(marks, axis=0):
            names = [name for name, there in zip(probs, mark, strict=True) if there]
            rows = (marks == mark).all(axis=1)
            if len(names) == 1:
                told[rows] = tempers[names[0]][rows]
            elif names:
                told[rows] = log_linear({n: tempers[n][rows] for n in names}, self.of(names))
        return told
