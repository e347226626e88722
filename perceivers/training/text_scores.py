"""Figures of the text encoder: multi-label F1 under thresholds, top labels, calibration."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.goemotions import ekman
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.training.calibration import expected_calibration_error

Matrix = NDArray[np.floating[Any]]
Metrics = dict[str, float]

PUBLISHED: Final[dict[str, Metrics]] = {
    "bert-base, fine-tuned (GoEmotions-pytorch)": {"macro_f1_28": 0.503, "macro_f1_ekman": 0.624},
    "bert-base, fine-tuned (Demszky et al. 2020)": {"macro_f1_28": 0.46},
}
"""Rows to stand beside; multi-label macro-F1 on the same test split."""


def soft(labels: Matrix) -> NDArray[np.float64]:
    """Rows as distributions: a text's labels share its mass."""
    return np.asarray(labels / labels.sum(axis=1, keepdims=True), dtype=np.float64)


def thresholds(probs: Matrix, labels: Matrix, *, draws: int = 100, seed: int = 0) -> Matrix:
    """For each label the threshold with the best F1, averaged over bootstrap draws, shape (k,).

    The single best cut of a label with a dozen examples is mostly luck; the mean (in log-odds) of
    the best cuts over resampled rows is steadier on texts that were not seen.

    Args:
        probs: Each label's probability, shape (n, k).
        labels: Above 0 where a label was given, shape (n, k).
        draws: Resamplings.
        seed: Of the draws.
    """
    chance = np.random.default_rng(seed)
    held = np.clip(probs, 1e-9, 1 - 1e-9)
    odds = np.log(held) - np.log1p(-held)
    order = np.argsort(-odds, axis=0, kind="stable")
    ranked, truth = np.take_along_axis(odds, order, 0), np.take_along_axis(labels > 0, order, 0)
    cuts = np.zeros((draws, probs.shape[1]))
    for draw in range(draws):
        weight = chance.multinomial(len(labels), np.full(len(labels), 1 / len(labels)))[order]
        told, right = np.cumsum(weight, 0), np.cumsum(weight * truth, 0)
        f1 = 2 * right / np.maximum(told + right[-1], 1)
        best = f1.argmax(axis=0)
        # Between the last that is told and the next that is not.
        after = np.minimum(best + 1, len(labels) - 1)
        columns = np.arange(probs.shape[1])
        cuts[draw] = (ranked[best, columns] + ranked[after, columns]) / 2
    return np.asarray(1 / (1 + np.exp(-cuts.mean(axis=0))))


def emotion_scores(probs: Matrix, labels: Matrix, cut_28: Matrix, cut_ekman: Matrix) -> Metrics:
    """Figures against labels; all but the cuts of shape (n, 28).

    ``macro_f1_28`` and ``macro_f1_ekman`` are multi-label, decided by thresholds on the
    probabilities, as in the published rows. ``top_*`` asks of the most probable label alone:
    whether raters gave it (28), and which of Ekman's seven it is, over the texts whose labels all
    fall in one of them.
    """
    from sklearn.metrics import accuracy_score, f1_score

    group = ekman()
    basic, basic_labels = probs @ group, labels @ group > 0
    alone = basic_labels.sum(axis=1) == 1
    truth, told = basic_labels[alone].argmax(axis=1), basic[alone].argmax(axis=1)
    top = probs.argmax(axis=1)
    given = labels[np.arange(len(top)), top] > 0
    # Any label that raters gave counts as right; else compare with one that they gave.
    nearest = np.where(given, top, labels.argmax(axis=1))

    def macro(truth: Matrix | NDArray[np.bool_], told: NDArray[np.bool_]) -> float:
        return float(f1_score(truth, told, average="macro", zero_division=0.0))

    return {
        "macro_f1_28": macro(labels, probs > cut_28),
        "macro_f1_ekman": macro(basic_labels, basic > cut_ekman),
        "top_28_given": float(given.mean()),
        "top_ekman_accuracy": float(accuracy_score(truth, told)),
        "top_ekman_macro_f1": float(
            f1_score(truth, told, average="macro", zero_division=0.0, labels=range(len(EKMAN_7)))
        ),
        "ece_28": expected_calibration_error(probs, nearest),
        "ece_ekman": expected_calibration_error(basic[alone], truth),
    }


def vad_scores(told: Matrix, truth: Matrix) -> Metrics:
    """Pearson's r of valence, arousal and dominance, both of shape (n, 3)."""
    return {
        f"pearson_{axis}": float(np.corrcoef(told[:, at], truth[:, at])[0, 1])
        for at, axis in enumerate(("valence", "arousal", "dominance"))
    }


def baselines(train_labels: Matrix, labels: Matrix, seed: int) -> dict[str, Metrics]:
    """What "always the most frequent label" and drawing by frequency reach."""
    share = soft(train_labels).mean(axis=0)
    draws = np.random.default_rng(seed).choice(len(share), size=len(labels), p=share)
    guesses = {
        "majority": np.eye(len(share))[np.full(len(labels), share.argmax())],
        "random": np.eye(len(share))[draws],
    }
    half = np.full(len(share), 0.5), np.full(len(EKMAN_7), 0.5)
    return {
        name: {
            key: value
            for key, value in emotion_scores(guess, labels, *half).items()
            if not key.startswith("ece")
        }
        for name, guess in guesses.items()
    }
