"""Fits what the fusion knows: temperatures, vector scaling, and the weights of the pool."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.fusion.pool import Pool, company, log_linear
from affectgraph.perceivers.training.calibration import (
    fit_temperature,
    negative_log_likelihood,
    softmax,
)

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]
Groups = NDArray[np.int64]

HEAVIEST: Final = 2.0
"""No modality's weight is larger."""
_LIGHTEST: Final = 1e-4
_RIDGE: Final = 1e-3
FOLDS: Final = 5
_EARNS: Final = 0.005
"""Nats by which vector scaling must beat a temperature on held-out dialogues to be taken."""


@dataclass(frozen=True)
class Calibrator:
    """``softmax(scale * logits + bias)``, Guo et al. (2017), sections 4.2 and 4.3.

    Attributes:
        scale: Shape (k,); all alike for a temperature.
        bias: Shape (k,); 0 for a temperature.
    """

    scale: Matrix
    bias: Matrix

    @property
    def kind(self) -> str:
        """``temperature`` or ``vector scaling``."""
        return (
            "temperature" if np.ptp(self.scale) == 0 and not self.bias.any() else "vector scaling"
        )

    def probs(self, logits: Matrix) -> Matrix:
        """Calibrated probabilities, shape (n, k)."""
        return softmax(logits * self.scale + self.bias)


def calibrate(logits: Matrix, labels: Labels, groups: Groups) -> Calibrator:
    """A temperature, or vector scaling where it is clearly better on held-out dialogues.

    Args:
        logits: Of utterances that were not trained on, shape (n, k).
        labels: Shape (n,).
        groups: Dialogue of each row, shape (n,); folds keep dialogues whole.
    """
    losses = dict.fromkeys(("temperature", "vector"), 0.0)
    held = folds(groups)
    targets = np.eye(logits.shape[1])[labels]
    for fold in range(held.max() + 1):
        out = held == fold
        for kind, fit in (("temperature", _temperature), ("vector", vector_scaling)):
            told = fit(logits[~out], targets[~out]).probs(logits[out])
            losses[kind] += float(-np.log(told[targets[out] > 0] + 1e-12).sum()) / len(labels)
    chosen = vector_scaling if losses["vector"] < losses["temperature"] - _EARNS else _temperature
    return chosen(logits, targets)


def folds(groups: Groups, count: int = FOLDS) -> Groups:
    """Fold of each row; a dialogue is in one fold, and folds are about as large."""
    names, counts = np.unique(groups, return_counts=True)
    sizes = np.zeros(min(count, len(names)), np.int64)
    place = {}
    for name in np.argsort(-counts, kind="stable").tolist():
        smallest = int(sizes.argmin())
        place[int(names[name])] = smallest
        sizes[smallest] += counts[name]
    return np.array([place[group] for group in groups.tolist()], np.int64)


def _temperature(logits: Matrix, targets: Matrix) -> Calibrator:
    width = logits.shape[1]
    return Calibrator(np.full(width, 1 / fit_temperature(logits, targets)), np.zeros(width))


def vector_scaling(logits: Matrix, targets: Matrix) -> Calibrator:
    """Vector scaling of logits to hard or soft targets, both of shape (n, k)."""
    from scipy.optimize import minimize

    width = logits.shape[1]
    start = _temperature(logits, targets)

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        scale, bias = flat[:width], flat[width:]
        scaled = logits * scale + bias
        wrong = (softmax(scaled) - targets) / len(logits)
        away = np.concatenate([scale - start.scale, bias])
        slope = np.concatenate([(wrong * logits).sum(0), wrong.sum(0)]) + 2 * _RIDGE * away
        return negative_log_likelihood(scaled, targets) + _RIDGE * float(away @ away), slope

    found = minimize(loss, np.concatenate([start.scale, start.bias]), jac=True, method="L-BFGS-B")
    return Calibrator(found.x[:width], found.x[width:])


def fit_weights(
    probs: Mapping[str, Matrix],
    labels: Labels,
    present: Mapping[str, NDArray[np.bool_]] | None = None,
) -> Pool:
    """Weights of every company of two modalities or more, each by its own likelihood.

    Weights of a company are fitted on the rows that have all of it, as if there were no other
    modality: where one is missing, the others carry what they carry without it.

    Args:
        probs: Modality -> calibrated probabilities of rows that were not trained on, (n, k).
        labels: Shape (n,).
        present: Modality -> whether a row has it, shape (n,).
    """
    from scipy.optimize import minimize

    has = {name: (present or {}).get(name, np.ones(len(labels), np.bool_)) for name in probs}
    weights: dict[str, dict[str, float]] = {}
    for size in range(2, len(probs) + 1):
        for names in itertools.combinations(sorted(probs), size):
            rows = np.logical_and.reduce([has[name] for name in names])
            some = {name: probs[name][rows] for name in names}
            truth = labels[rows]

            def loss(
                at: NDArray[Any],
                names: tuple[str, ...] = names,
                some: Mapping[str, Matrix] = some,
                truth: Labels = truth,
            ) -> float:
                told = log_linear(some, dict(zip(names, at.tolist(), strict=True)))
                worth = -np.log(told[np.arange(len(truth)), truth] + 1e-12).mean()
                return float(worth + _RIDGE / max(1, len(truth)) * at @ at)

            start = np.full(size, 1 / size)
            bounds = [(0.0, HEAVIEST)] * size
            found = minimize(loss, start, method="L-BFGS-B", bounds=bounds)
            # Where nobody knows anything all may come to 0, which is no pool.
            at = np.maximum(found.x, _LIGHTEST)
            weights[company(names)] = {
                name: round(float(w), 4) for name, w in zip(names, at, strict=True)
            }
    return Pool(weights)
