"""Fits dialogue heads on MESC's dialogues: readers of single lines, then classifiers of turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.heads.features import Coded, Floats, Part, features
from affectgraph.reasoners.heads.lines import Stretch, majority, shares, singly, turns
from affectgraph.reasoners.heads.perceptron import Perceptrons
from affectgraph.reasoners.heads.runs import HeadTask, Protocol, Unit
from affectgraph.reasoners.heads.words import WordsReader
from affectgraph.reasoners.taxonomy import MESC_10
from affectgraph.reasoners.training.heads_fit import (
    Recipe,
    Spoken,
    WordsRecipe,
    fit_perceptrons,
    fit_words,
    principal,
)
from affectgraph.reasoners.training.heads_mesc_data import Talk

Vectors = Mapping[int, NDArray[Any]]
Readings = dict[int, tuple[Floats, Floats]]

TEXT: Final = 64
"""Components that the part ``text`` sees; the readers see more."""


@dataclass(frozen=True)
class HeadForm:
    """Which label a head decides, of what, and what it sees.

    Attributes:
        task: The label.
        protocol: Whether labels of the past are given.
        parts: The groups of features.
        unit: Turns, or single lines.
        recipe: How its classifier is fitted.
    """

    task: HeadTask
    protocol: Protocol
    parts: frozenset[Part]
    unit: Unit = "turn"
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def labels(self) -> LabelSet:
        """What is decided among."""
        return MESC_7 if self.task == "user_emotion" else MESC_10


@dataclass(frozen=True)
class Table:
    """What a head sees of every stretch, and what is right; n stretches.

    Attributes:
        rows: Features, shape (n, f).
        shares: Of the labels of a stretch's lines, shape (n, k).
        truth: The label, shape (n,).
        groups: The dialogue's number, shape (n,).
    """

    rows: Floats
    shares: Floats
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]


class Readers:
    """Readers of single lines, fitted on dialogues.

    Each dialogue that was fitted on is read by a reader that has not seen it, so that a classifier
    learns how much to trust a reading; others are read by a reader of all.

    Args:
        talks: The dialogues to fit on.
        rows: What the encoder says of the lines of all dialogues, by number.
        recipe: How the readers are fitted.
        folds: Parts that the dialogues are cut into.
    """

    def __init__(
        self, talks: Sequence[Talk], rows: Vectors, recipe: WordsRecipe, folds: int
    ) -> None:
        self._rows = rows
        stacked = np.concatenate([rows[talk.number] for talk in talks]).astype(np.float32)
        mean, basis = principal(stacked, recipe.components)
        vectors = (stacked - mean) @ basis
        spoken = _spoken(talks)
        fold = np.concatenate(
            [
                np.full(len(talk.lines), part)
                for talk, part in zip(talks, parted(talks, folds), strict=True)
            ]
        )
        counts = (len(MESC_7), len(MESC_10))

        def fitted(chosen: NDArray[np.bool_]) -> WordsReader:
            part = Spoken(spoken.person[chosen], spoken.label[chosen], spoken.weight[chosen])
            return fit_words(vectors[chosen], mean, basis, part, counts, recipe)

        self.whole = fitted(np.ones(len(fold), np.bool_))
        apart = [fitted(fold != part) for part in range(folds)]
        self._unseen = {
            talk.number: apart[part] for talk, part in zip(talks, parted(talks, folds), strict=True)
        }
        self._coded: dict[tuple[int, bool], Coded] = {}

    def code(self, talk: Talk, protocol: Protocol) -> Coded:
        """A dialogue in numbers, read by a reader that was not fitted on it."""
        key = (talk.number, protocol == "gold")
        if key not in self._coded:
            reader = self._unseen.get(talk.number, self.whole)
            rows = self._rows[talk.number].astype(np.float64)
            self._coded[key] = reader.code(talk.lines, rows, given=protocol == "gold", text=TEXT)
        return self._coded[key]


def parted(talks: Sequence[Talk], folds: int) -> NDArray[np.int64]:
    """Each dialogue's part; drawn, so that a part is not one season."""
    order = np.random.default_rng(0).permutation(len(talks))
    part = np.empty(len(talks), np.int64)
    part[order] = np.arange(len(talks)) % folds
    return part


def stretches(talk: Talk, form: HeadForm) -> Iterator[Stretch]:
    """What the head decides of: the person's stretches, or the supporter's."""
    cut = turns if form.unit == "turn" else singly
    for stretch in cut(talk.lines):
        if talk.lines[stretch.begin].person == (form.task == "user_emotion"):
            yield stretch


def table(talks: Sequence[Talk], readers: Readers, form: HeadForm) -> Table:
    """What the head sees of every stretch of the dialogues, in order."""
    rows, share, truth, groups = list[Floats](), list[Floats](), list[int](), list[int]()
    for talk in talks:
        told = readers.code(talk, form.protocol)
        for stretch in stretches(talk, form):
            lines = talk.lines[stretch.begin : stretch.end]
            if form.task == "user_emotion":
                labels = [line.emotion for line in lines]
            else:
                labels = [line.strategy for line in lines]
            rows.append(features(told, stretch, form.parts))
            share.append(shares(labels, len(form.labels)))
            truth.append(majority(labels))
            groups.append(talk.number)
    return Table(
        np.stack(rows), np.stack(share), np.array(truth, np.int64), np.array(groups, np.int64)
    )


def fit(seen: Table, form: HeadForm, seeds: Sequence[int]) -> Perceptrons:
    """A head's classifier."""
    return fit_perceptrons(seen.rows, seen.shares, seen.truth, form.recipe, seeds)


def _spoken(talks: Sequence[Talk]) -> Spoken:
    person, label, weight = list[bool](), list[int](), list[float]()
    for talk in talks:
        for stretch in turns(talk.lines):
            lines = talk.lines[stretch.begin : stretch.end]
            person += (line.person for line in lines)
            label += (line.emotion if line.person else line.strategy for line in lines)
            # A long turn has one label in the end; its lines share most of its weight.
            weight += [len(lines) ** -0.5] * len(lines)
    return Spoken(np.array(person), np.array(label, np.int64), np.array(weight))
