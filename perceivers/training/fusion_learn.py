"""From features of each modality to calibrated probabilities and the weights that fuse them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.fusion.pool import Pool, company
from affectgraph.perceivers.training.calibration import softmax
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.fusion_context import (
    ContextModel,
    Settings,
    Utterances,
    train,
)
from affectgraph.perceivers.training.fusion_fit import Calibrator, calibrate, fit_weights

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]
Marks = NDArray[np.bool_]
T = TypeVar("T")


@dataclass(frozen=True)
class Given:
    """One modality of a corpus.

    Attributes:
        learning: What may be learned from: the training and the validation split.
        test: Its labels are opened once, when all is chosen.
        there: Whether a row to learn from has this modality, shape (n,).
        there_test: Whether a test row has it, shape (m,).
        settings: How its models are made and trained.
    """

    learning: Utterances
    test: Utterances
    there: Marks
    there_test: Marks
    settings: Settings


@dataclass(frozen=True)
class Learned:
    """What was learned, and what it says of the test rows.

    Attributes:
        truth: Labels of the test rows, shape (m,).
        sequence: Their dialogues, shape (m,).
        shares: How frequent each class is where labels were learned from, shape (k,).
        raw: Modality -> probabilities before calibration, shape (m, k).
        probs: Modality -> calibrated probabilities, shape (m, k).
        there: Modality -> whether a row has it, shape (m,).
        calibrators: Modality -> what calibrated it.
        pool: Weights of every company.
        held_raw: Modality -> probabilities of the validation rows before calibration, (v, k).
        held: Modality -> calibrated probabilities of the validation rows, shape (v, k).
        held_there: Modality -> whether a validation row has it, shape (v,).
        held_truth: Their labels, shape (v,).
        settings: Modality -> how its models were made and trained.
    """

    truth: Labels
    sequence: NDArray[np.int64]
    shares: Matrix
    raw: Mapping[str, Matrix]
    probs: Mapping[str, Matrix]
    there: Mapping[str, Marks]
    calibrators: Mapping[str, Calibrator]
    pool: Pool
    held_raw: Mapping[str, Matrix]
    held: Mapping[str, Matrix]
    held_there: Mapping[str, Marks]
    held_truth: Labels
    settings: Mapping[str, Settings]

    def told(self, modalities: Collection[str]) -> Matrix:
        """What a company of modalities says of the test rows, shape (m, k).

        A row that has none of them is told by the classes' frequencies.
        """
        there = {name: self.there[name] for name in modalities}
        told = self.pool.pooled({name: self.probs[name] for name in modalities}, there)
        nothing = ~np.logical_or.reduce(list(there.values()))
        told[nothing] = self.shares
        return told

    def only(self, names: Mapping[str, str]) -> Learned:
        """Some of the modalities, under other names.

        Args:
            names: New name -> name here.
        """

        def of(told: Mapping[str, T]) -> dict[str, T]:
            return {new: told[old] for new, old in names.items()}

        back = {old: new for new, old in names.items()}
        weights = {
            company(back[name] for name in each): {back[name]: w for name, w in each.items()}
            for each in self.pool.weights.values()
            if set(each) <= set(back)
        }
        return replace(
            self,
            raw=of(self.raw),
            probs=of(self.probs),
            there=of(self.there),
            calibrators=of(self.calibrators),
            pool=Pool(weights),
            held_raw=of(self.held_raw),
            held=of(self.held),
            held_there=of(self.held_there),
            settings=of(self.settings),
        )


def companies(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every modality alone, every pair, and all."""
    sizes = range(1, len(modalities) + 1)
    return [names for size in sizes for names in itertools.combinations(modalities, size)]


def require_extra(part: str) -> None:
    """Tell before the work begins what :func:`learn` will need.

    Args:
        part: Who needs it, for the message.

    Raises:
        ExtraMissingError: If torch, scikit-learn or scipy is absent.
    """
    if any(find_spec(needed) is None for needed in ("torch", "sklearn", "scipy")):
        raise ExtraMissingError(part, "train")


def learn(
    given: Mapping[str, Given],
    fold: NDArray[np.int64],
    classes: int,
    seeds: Sequence[int],
    say: Say,
) -> Learned:
    """Train each modality, calibrate it and fit the weights, all without the test rows' labels.

    Args:
        given: Modality -> its features; the labels and sequences are the same in all.
        fold: Of each row to learn from, shape (n,): rows of -1 are always trained on; those of
            fold f are validation rows of the models that the others trained.
        classes: Number of classes.
        seeds: Models are averaged over them, and over the folds.
        say: Told of the progress.
    """
    any_of = next(iter(given.values()))
    labels = any_of.learning.labels
    held = fold >= 0
    shares = np.bincount(labels, minlength=classes) / len(labels)
    raw, probs, told, calibrators, held_raw = {}, {}, {}, {}, {}
    for name, each in given.items():
        logits, raw_test = _average(each, fold, classes, seeds)
        rows = held & each.there
        calibrators[name] = calibrate(logits[rows], labels[rows], any_of.learning.sequence[rows])
        held_raw[name], told[name] = softmax(logits[held]), calibrators[name].probs(logits[held])
        raw[name], probs[name] = softmax(raw_test), calibrators[name].probs(raw_test)
        right = float((told[name].argmax(1) == labels[held])[each.there[held]].mean())
        say(f"{name}: {right:.3f} of the validation rows right, {calibrators[name].kind}")
    there = {name: each.there[held] for name, each in given.items()}
    pool = fit_weights(told, labels[held], there)
    return Learned(
        truth=any_of.test.labels,
        sequence=any_of.test.sequence,
        shares=shares,
        raw=raw,
        probs=probs,
        there={name: each.there_test for name, each in given.items()},
        calibrators=calibrators,
        pool=pool,
        held_raw=held_raw,
        held=told,
        held_there=there,
        held_truth=labels[held],
        settings={name: each.settings for name, each in given.items()},
    )


def _rounds(
    each: Given, fold: NDArray[np.int64], classes: int, seed: int
) -> Iterator[tuple[ContextModel, Marks]]:
    """A model a fold, and the validation rows that it did not see."""
    for held in np.unique(fold[fold >= 0]).tolist():
        out = fold == held
        given, watched = each.learning.only(~out), each.learning.only(out)
        yield train(given, watched, classes, each.settings, seed), out


def _average(
    each: Given, fold: NDArray[np.int64], classes: int, seeds: Sequence[int]
) -> tuple[Matrix, Matrix]:
    """Mean logits of rows to learn from (0 where all models saw them) and of test rows."""
    logits = np.zeros((len(fold), classes))
    test, models = np.zeros((len(each.test.labels), classes)), 0
    for seed in seeds:
        for model, out in _rounds(each, fold, classes, seed):
            logits[out] += model.logits(each.learning.only(out)) / len(seeds)
            test += model.logits(each.test)
            models += 1
    return logits, test / models
