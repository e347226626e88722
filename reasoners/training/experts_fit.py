"""Fits the experts of a stage: a calibration of each, and exponents for each company of them.

Everything is fitted by the log-loss of what the deployed stage may choose: labels that are barred
are masked, and rows whose right label is barred are left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.reasoners.stages.weights import Calibration

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

FOLDS: Final = 5
HEAVIEST: Final = 3.0
"""No exponent is larger."""
EARNS: Final = 0.005
"""Nats a row by which the language model's choice must better a company on held-out rows; else
it has no say, which spares asking it."""
_RIDGE: Final = 1e-4
_TINY: Final = 1e-9


@dataclass(frozen=True)
class Data:
    """What is fitted on.

    Attributes:
        probs: Expert -> its probabilities before calibration, shape (n, k); rows of zeros where
            it had nothing to say.
        truth: Index of the right label, shape (n,).
        weight: Of each row, shape (n,).
        group: Folds keep the rows of a group together, shape (n,).
        mask: Whether a label may be chosen, shape (n, k).
    """

    probs: Mapping[str, Matrix]
    truth: Labels
    weight: Matrix
    group: Labels
    mask: NDArray[np.bool_]

    def at(self, rows: NDArray[np.bool_]) -> Data:
        """Some of the rows."""
        return Data(
            {name: each[rows] for name, each in self.probs.items()},
            self.truth[rows],
            self.weight[rows],
            self.group[rows],
            self.mask[rows],
        )

    def having(self, names: Sequence[str]) -> Data:
        """The rows in which all of some experts spoke and the right label may be chosen."""
        spoke = [self.probs[name].sum(axis=1) > 0 for name in names]
        open_ = self.mask[np.arange(len(self.truth)), self.truth]
        return self.at(np.logical_and.reduce([*spoke, open_]))


@dataclass(frozen=True)
class Measured:
    """How good a belief is, on held-out rows.

    Attributes:
        log_loss: Nats a row.
        accuracy: Share of rows whose top label is right.
        rows: How many.
    """

    log_loss: float
    accuracy: float
    rows: int


@dataclass(frozen=True)
class Fitted:
    """Exponents of one company, and what they are worth against others.

    Attributes:
        exponents: Expert -> exponent.
        fitted: Cross-validated, calibrations and exponents fitted on the other folds.
        equal: Calibrated experts with exponent 1 each, cross-validated too.
        raw: The same without calibration.
        alone: Each expert alone, calibrated; cross-validated.
        prior: The frequencies of the labels, cross-validated: what knowing nothing of the turn
            is worth.
        unasked: The company fitted without the model's choice, on the same rows and folds;
            ``None`` where the choice is not in it, or all of it.
    """

    exponents: Mapping[str, float]
    fitted: Measured
    equal: Measured
    raw: Measured
    alone: Mapping[str, Measured]
    prior: Measured
    unasked: Measured | None = None


def calibrated(probs: Matrix, calibration: Calibration) -> Matrix:
    """What :meth:`Calibration.apply` does, for rows of shape (n, k)."""
    scaled = np.log(np.clip(probs, _TINY, 1.0)) / calibration.temperature
    shares = _softmax(scaled)
    return np.asarray((1 - calibration.floor) * shares + calibration.floor / probs.shape[1])


def calibrate(probs: Matrix, data: Data) -> Calibration:
    """Temperature and floor of one expert by log-loss."""
    from scipy.optimize import minimize

    def loss(at: Matrix) -> float:
        told = calibrated(probs, Calibration(float(np.exp(at[0])), float(at[1])))
        return _loss(np.log(told + _TINY), data)

    bounds = [(np.log(0.2), np.log(20.0)), (0.001, 0.5)]
    starts = [(0.0, 0.05), (1.0, 0.02)]
    found = min(
        (minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts),
        key=lambda each: float(each.fun),
    )
    return Calibration(round(float(np.exp(found.x[0])), 3), round(float(found.x[1]), 4))


def calibrations(names: Sequence[str], data: Data) -> dict[str, Calibration]:
    """Calibrations of experts, each on the rows in which it spoke.

    A rule is taken as it is, as its zeros are meant. So is the model's choice, which the joint
    form cannot temper apart from its exponent.
    """
    found = {}
    for name in names:
        if name in ("rule", "choice"):
            found[name] = Calibration()
        else:
            own = data.having([name])
            found[name] = calibrate(own.probs[name], own)
    return found


def fit_exponents(logs: Sequence[Matrix], data: Data) -> Matrix:
    """Exponents by log-loss, each in [0, :data:`HEAVIEST`]; the problem is convex.

    Args:
        logs: Log-probabilities of each calibrated expert, shape (n, k).
        data: The rows.
    """
    from scipy.optimize import minimize

    stacked = np.stack(logs)
    share = data.weight / data.weight.sum()
    rows = np.arange(len(data.truth))

    def loss(at: Matrix) -> tuple[float, Matrix]:
        told = _masked(np.tensordot(at, stacked, 1), data.mask)
        value = float(-share @ told[rows, data.truth] + _RIDGE * at @ at)
        mean = np.where(data.mask, np.exp(told) * stacked, 0.0).sum(axis=2)
        slope = (mean - stacked[:, rows, data.truth]) @ share + 2 * _RIDGE * at
        return value, slope

    start = np.full(len(logs), 1 / len(logs))
    bounds = [(0.0, HEAVIEST)] * len(logs)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x, np.float64)


def fit(names: Sequence[str], data: Data, *, seed: int = 0) -> Fitted:
    """Fit a company, and measure it by cross-validation.

    Args:
        names: The experts of the company.
        data: The rows; those without one of the experts are left out.
        seed: Of the folds.

    Raises:
        ValueError: If hardly a row is left.
    """
    own = data.having(names)
    if len(own.truth) < 2 * FOLDS:
        raise ValueError(f"{len(own.truth)} rows are too few to fit {'+'.join(names)}")
    held = _folds(own.group, seed)
    told: dict[str, Matrix] = {}
    for fold in range(FOLDS):
        out = held == fold
        for key, logs in _each_way(names, own.at(~out), own.at(out)).items():
            told.setdefault(key, np.zeros_like(logs, shape=own.mask.shape))[out] = logs
    measured = {key: _measure(logs, own) for key, logs in told.items()}
    found = _fitted(names, own)
    exponents = {name: round(float(w), 3) for name, w in zip(names, found, strict=True)}
    return Fitted(
        exponents,
        measured["fitted"],
        measured["equal"],
        measured["raw"],
        {name: measured[name] for name in names},
        measured["prior"],
        measured.get("unasked"),
    )


def companies(experts: Sequence[str]) -> list[tuple[str, ...]]:
    """Every company of some experts, of one and more."""
    return [
        names
        for size in range(1, len(experts) + 1)
        for names in itertools.combinations(experts, size)
    ]


def _each_way(names: Sequence[str], train: Data, test: Data) -> dict[str, Matrix]:
    """Log-probabilities of held-out rows, after what each way learns on the others."""
    known = calibrations(names, train)
    logs = {n: np.log(calibrated(test.probs[n], known[n]) + _TINY) for n in names}
    weights = _fitted(names, train)
    k = test.mask.shape[1]
    counts = np.bincount(train.truth, train.weight, k) + 0.5
    told = np.stack([logs[n] for n in names])
    raw = np.stack([np.log(np.clip(test.probs[n], 1e-3, 1.0)) for n in names])
    ways: dict[str, Matrix] = {
        "fitted": np.tensordot(weights, told, 1),
        "equal": told.sum(axis=0),
        "raw": raw.sum(axis=0),
        "prior": np.broadcast_to(np.log(counts / counts.sum()), test.mask.shape),
    }
    ways.update(logs)
    others = [n for n in names if n != "choice"]
    if 0 < len(others) < len(names):
        kept = np.stack([logs[n] for n in others])
        ways["unasked"] = np.tensordot(_fitted(others, train), kept, 1)
    return {key: _masked(np.asarray(each, np.float64), test.mask) for key, each in ways.items()}


def _fitted(names: Sequence[str], data: Data) -> Matrix:
    known = calibrations(names, data)
    logs = [np.log(calibrated(data.probs[n], known[n]) + _TINY) for n in names]
    return fit_exponents(logs, data)


def _folds(group: Labels, seed: int) -> Labels:
    """Fold of each row; a group is in one fold."""
    names = np.unique(group)
    of = dict(
        zip(
            names.tolist(), np.random.default_rng(seed).permutation(len(names)) % FOLDS, strict=True
        )
    )
    return np.array([of[each] for each in group.tolist()], np.int64)


def _measure(logs: Matrix, data: Data) -> Measured:
    """Of log-probabilities whose barred labels are at minus infinity."""
    share = data.weight / data.weight.sum()
    right = logs.argmax(axis=1) == data.truth
    loss = -share @ logs[np.arange(len(data.truth)), data.truth]
    return Measured(float(loss), float(share @ right), len(data.truth))


def _loss(logs: Matrix, data: Data) -> float:
    told = _masked(logs, data.mask)
    share = data.weight / data.weight.sum()
    return float(-share @ told[np.arange(len(data.truth)), data.truth])


def _masked(logs: Matrix, mask: NDArray[np.bool_]) -> Matrix:
    """Normalised over what may be chosen."""
    shut = np.where(mask, logs, -np.inf)
    top = shut.max(axis=1, keepdims=True)
    return np.asarray(shut - top - np.log(np.exp(shut - top).sum(axis=1, keepdims=True)))


def _softmax(logits: Matrix) -> Matrix:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
