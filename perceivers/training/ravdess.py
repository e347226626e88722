"""Train, calibrate, test and export the voice emotion head on RAVDESS.

Run::

    python -m affectgraph.perceivers.training.ravdess --data DIR

Progress goes to standard error; standard output is one JSON object with ``name``, ``metrics`` and
``baselines``. Four folds hold out six actors each. Within a fold the number of components, the
shrinkage and the temperature are chosen on folds of the 18 training actors; nothing is chosen on
the actors held out. Needs the extra ``train`` and the model ``whisper-tiny.en``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.speech.emotion import WEIGHTS, VoiceHead
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.training.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    softmax,
)
from affectgraph.perceivers.training.ravdess_data import FOLDS, Say, Voices, load, recordings

FIRST_PROBE: Final = 0.764
"""Accuracy of a logistic regression over the same layers, all of the file encoded."""

_CHOICES: Final = tuple(
    (kept, shrinkage) for kept in (200, 400, 700) for shrinkage in (0.1, 0.2, 0.4)
)
"""Principal components, and how far their covariance is drawn towards a diagonal one."""

_INNER_FOLDS: Final = 6
_UNSEEN: Final = -30.0
_CLASSES: Final = len(RAVDESS_8)

Choice = tuple[int, float]
Rows = NDArray[np.bool_]
Logits = NDArray[np.float64]


@dataclass(frozen=True)
class _Linear:
    """Logits as a linear function of the features."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.float32]) -> Logits:
        return np.asarray(features.astype(np.float64) @ self.weight + self.bias)


class _Projection:
    """Standardised principal components of the clean training recordings.

    The recordings are fewer than the features, so their Gram matrix is diagonalised instead of
    the covariance.
    """

    def __init__(self, clean: NDArray[np.float32]) -> None:
        self.mean = clean.mean(axis=0, dtype=np.float64)
        self.scale = clean.std(axis=0, dtype=np.float64) + 1e-6
        standard = (clean - self.mean) / self.scale
        values, vectors = np.linalg.eigh(standard @ standard.T)
        # The mean was taken out, so one direction at least is empty.
        kept = min(_CHOICES[-1][0], len(clean) - 1)
        largest = np.argsort(values)[::-1][:kept]
        self.basis = standard.T @ (vectors[:, largest] / np.sqrt(values[largest]))

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(((features - self.mean) / self.scale) @ self.basis)

    def unfold(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> _Linear:
        """The same function over the features themselves."""
        folded = (self.basis[:, : len(weight)] @ weight) / self.scale[:, None]
        return _Linear(folded, bias - self.mean @ folded)


class _Trainer:
    """Fits heads on some of the recordings."""

    def __init__(self, voices: Voices) -> None:
        self._voices = voices

    def fit(self, rows: Rows, choices: Sequence[Choice]) -> list[_Linear]:
        """Linear discriminant analyses of recordings and their copies (Friedman, 1989).

        Args:
            rows: Which recordings to train on.
            choices: Components and shrinkage, one head for each.
        """
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        voices = self._voices
        project = _Projection(voices.clean[rows])
        sets = [voices.clean[rows], *(copy[rows] for copy in voices.degraded)]
        inputs = np.concatenate([project(part) for part in sets])
        labels = np.tile(voices.label[rows], len(sets))
        present = len(np.unique(labels))
        heads = []
        for kept, shrinkage in choices:
            model = LinearDiscriminantAnalysis(
                solver="lsqr",
                shrinkage=shrinkage,
                # How often actors were asked for an emotion says nothing of how often people
                # feel it.
                priors=np.full(present, 1.0 / present),
            )
            model.fit(inputs[:, :kept], labels)
            # A small slice may lack a class in a fold: it gets no weight there.
            weight = np.zeros((model.coef_.shape[1], _CLASSES))
            bias = np.full(_CLASSES, _UNSEEN)
            weight[:, model.classes_] = model.coef_.T
            bias[model.classes_] = model.intercept_
            heads.append(project.unfold(weight, bias))
        return heads

    def choose(self, rows: Rows) -> tuple[Choice, float]:
        """Choose by folds over the actors of these recordings.

        Returns:
            The choice with the lowest calibrated loss, and its temperature.
        """
        voices = self._voices
        logits = np.zeros((len(_CHOICES), len(voices.label), _CLASSES))
        for held in np.array_split(np.unique(voices.actor[rows]), _INNER_FOLDS):
            out = rows & np.isin(voices.actor, held)
            for slot, head in enumerate(self.fit(rows & ~out, _CHOICES)):
                logits[slot][out] = head.logits(voices.clean[out])
        targets = np.eye(_CLASSES)[voices.label[rows]]
        options = []
        for choice, each in zip(_CHOICES, logits, strict=True):
            temperature = fit_temperature(each[rows], targets)
            loss = negative_log_likelihood(each[rows], targets, temperature)
            options.append((loss, choice, temperature))
        _, choice, temperature = min(options)
        return choice, temperature


@dataclass(frozen=True)
class _HeldOut:
    """What the four folds say of the actors that they hold out.

    Attributes:
        probs: Under each fold's own temperature, shape (n, 8).
        degraded: Probabilities for the first degraded copy, shape (n, 8).
    """

    probs: Logits
    degraded: Logits


def cross_validate(voices: Voices, trainer: _Trainer, say: Say) -> _HeldOut:
    """Run the four folds."""
    shape = (len(voices.label), _CLASSES)
    probs, degraded = np.zeros(shape), np.zeros(shape)
    for fold in range(FOLDS):
        out = voices.fold == fold
        choice, temperature = trainer.choose(~out)
        (head,) = trainer.fit(~out, [choice])
        probs[out] = softmax(head.logits(voices.clean[out]) / temperature)
        degraded[out] = softmax(head.logits(voices.degraded[0][out]) / temperature)
        right = probs[out].argmax(axis=1) == voices.label[out]
        say(f"fold {fold + 1}: {choice}, T {temperature:.2f}, accuracy {right.mean():.3f}")
    return _HeldOut(probs, degraded)


def calibrate(voices: Voices, trainer: _Trainer, choice: Choice) -> float:
    """Temperature of a head that hears all actors, from heads that never heard those they judge.

    The scale of the logits depends on the choice, so each fold fits the final one.
    """
    logits = np.zeros((len(voices.label), _CLASSES))
    for fold in range(FOLDS):
        out = voices.fold == fold
        (head,) = trainer.fit(~out, [choice])
        logits[out] = head.logits(voices.clean[out])
    return fit_temperature(logits, np.eye(_CLASSES)[voices.label])


def measure(voices: Voices, held: _HeldOut) -> dict[str, Any]:
    """Metrics pooled over all actors, each judged by the head that never heard them."""
    from sklearn.metrics import f1_score, recall_score

    truth, guess = voices.label, held.probs.argmax(axis=1)
    right = guess == truth
    actors = {int(a): float(right[voices.actor == a].mean()) for a in np.unique(voices.actor)}
    recalls = recall_score(truth, guess, labels=range(_CLASSES), average=None, zero_division=0)
    men = voices.actor % 2 == 1
    return {
        "recordings": len(truth),
        "accuracy": float(right.mean()),
        "macro_f1": float(f1_score(truth, guess, average="macro", zero_division=0)),
        "uar": float(np.mean(recalls)),
        "ece": expected_calibration_error(held.probs, truth),
        "accuracy_degraded": float((held.degraded.argmax(axis=1) == truth).mean()),
        "ece_degraded": expected_calibration_error(held.degraded, truth),
        "accuracy_men": float(right[men].mean()) if men.any() else None,
        "accuracy_women": float(right[~men].mean()) if (~men).any() else None,
        "accuracy_worst_actor": min(actors.values()),
        "accuracy_best_actor": max(actors.values()),
        "recall": dict(zip(RAVDESS_8.labels, map(float, recalls), strict=True)),
        "without_detected_speech": int(voices.missed.sum()),
    }


def train(
    data: Path,
    out: Path | None,
    *,
    seed: int = 0,
    limit: int = 0,
    encoder: WhisperEncoder | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Cross-validate, then fit on all actors and write the head.

    Args:
        data: RAVDESS's folder, or one that holds it as ``ravdess``.
        out: Folder for ``ravdess.npz`` and the cache of features; ``None`` writes nothing.
        seed: Of draws and degradations.
        limit: Recordings at most; 0 for all.
        encoder: Whisper's encoder.
        say: Told of the progress.

    Returns:
        ``name``, ``metrics`` and ``baselines``.

    Raises:
        ExtraMissingError: If scikit-learn is absent.
        ModelMissingError: If Whisper is not pulled.
        SetupError: If there are no recordings.
    """
    if find_spec("sklearn") is None:
        raise ExtraMissingError("the RAVDESS trainer", "train")
    folder = data / "ravdess" if (data / "ravdess").is_dir() else data
    voices = load(
        recordings(folder, limit=limit, seed=seed),
        encoder or WhisperEncoder(),
        seed=seed,
        cache=out / "ravdess-features.npz" if out else None,
        say=say,
    )
    trainer = _Trainer(voices)
    held = cross_validate(voices, trainer, say)
    everyone = np.ones(len(voices.label), dtype=np.bool_)
    choice, _ = trainer.choose(everyone)
    (final,) = trainer.fit(everyone, [choice])
    temperature = calibrate(voices, trainer, choice)
    if out is not None:
        head = VoiceHead(
            final.weight.astype(np.float32), final.bias.astype(np.float32), temperature
        )
        head.save(out / WEIGHTS.name)
        say(f"wrote {out / WEIGHTS.name}")
    counts = np.bincount(voices.label, minlength=_CLASSES)
    return {
        "name": "ravdess",
        "metrics": measure(voices, held)
        | {"temperature": temperature, "components": choice[0], "shrinkage": choice[1]},
        "baselines": {
            "majority": float(counts.max() / counts.sum()),
            "random": 1.0 / _CLASSES,
            "first_probe": FIRST_PROBE,
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(
        prog="python -m affectgraph.perceivers.training.ravdess", description=__doc__
    )
    parser.add_argument("--data", type=Path, required=True, help="RAVDESS's folder or its parent")
    parser.add_argument("--out", type=Path, help="folder for the head (default: write nothing)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="recordings at most")
    parser.add_argument("--json", action="store_true", help="print the JSON only, no progress")
    options = parser.parse_args(arguments)

    def say(line: str) -> None:
        if not options.json:
            sys.stderr.write(line + "\n")

    result = train(options.data, options.out, seed=options.seed, limit=options.limit, say=say)
    sys.stdout.write(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
