"""An ensemble for strategies, trained by cross-validation and balanced on what it had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.training.calibration import fit_temperature
from affectgraph.reasoners.heads.strategy_lines import STRATEGY_COUNT, LineVector
from affectgraph.reasoners.heads.strategy_net import StrategyNet
from affectgraph.reasoners.training.heads_esconv_data import (
    Chat,
    Projection,
    Say,
    history_of,
    marks_of,
)
from affectgraph.reasoners.training.heads_esconv_net import Lesson, Talk, fit, told

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

_STEPS: Final = (0.4, 0.2, 0.1, 0.05)


@dataclass(frozen=True)
class Recipe:
    """How the ensemble is made.

    Attributes:
        lesson: How a member is trained.
        folds: Parts of the chats; a member is not shown one of them.
        seeds: Members a fold.
        components: Directions of the encoder's features that are seen.
        seed: Of the folds and the members.
    """

    lesson: Lesson
    folds: int = 5
    seeds: int = 2
    components: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Ensemble:
    """Members, and what they said of the chats that they had not been shown.

    Attributes:
        tensors: Of the run-time network, float16 but for the shift and the temperature.
        unseen: Log probabilities by seed, of members that had not seen the chat, (seeds, n, 8).
        truth: Shape (n,).
        fold: Of each unit, shape (n,).
        chat: Of each unit, shape (n,).
    """

    tensors: Mapping[str, NDArray[Any]]
    unseen: Doubles
    truth: Ints
    fold: Ints
    chat: Ints

    @property
    def net(self) -> StrategyNet:
        """The run-time network."""
        return StrategyNet(self.tensors, "strategy head")

    def nested(self) -> Ints:
        """Decisions on unseen chats, with the shift fitted on the other folds, shape (n,)."""
        mean = self.unseen.mean(axis=0)
        found = np.zeros(len(self.truth), np.int64)
        for fold in np.unique(self.fold):
            here = self.fold == fold
            shift = fit_shift(mean[~here], self.truth[~here])
            found[here] = (mean[here] + shift).argmax(axis=1)
        return found


def train(
    chats: Sequence[Chat],
    extra: Sequence[Chat],
    vectors: Mapping[str, LineVector],
    recipe: Recipe,
    say: Say,
) -> Ensemble:
    """Train an ensemble.

    Args:
        chats: What it learns from and is balanced on.
        extra: What every member learns from and nothing is measured on.
        vectors: Of every text.
        recipe: How.
        say: Told of the progress.
    """
    texts = dict.fromkeys(line.text for chat in chats for line in chat)
    rows = np.stack([vectors[text].encoded for text in texts])
    projection = Projection.fit(rows, recipe.components)
    talks = [_talk(chat, vectors, projection) for chat in chats]
    more = [_talk(chat, vectors, projection) for chat in extra]
    truth = np.concatenate([talk.truth[talk.truth >= 0] for talk in talks])
    chat = np.repeat(np.arange(len(talks)), [(talk.truth >= 0).sum() for talk in talks])
    place = np.zeros(len(talks), np.int64)
    place[np.random.default_rng(recipe.seed).permutation(len(talks))] = np.arange(len(talks))
    fold = (place % recipe.folds)[chat]
    unseen = np.zeros((recipe.seeds, len(truth), STRATEGY_COUNT))
    members = []
    for part in range(recipe.folds):
        shown = [talk for talk, at in zip(talks, place, strict=True) if at % recipe.folds != part]
        held = [talk for talk, at in zip(talks, place, strict=True) if at % recipe.folds == part]
        for seed in range(recipe.seeds):
            member = fit([*shown, *more], recipe.lesson, 1000 * recipe.seed + 10 * part + seed)
            unseen[seed, fold == part] = told(member, held)
            members.append(member.exported())
            say(f"member {len(members)} of {recipe.folds * recipe.seeds}")
    mean = unseen.mean(axis=0)
    shift = fit_shift(mean, truth)
    wanted = np.eye(STRATEGY_COUNT)[truth]
    tensors: dict[str, NDArray[Any]] = {
        name: np.stack([member[name] for member in members]).astype(np.float16)
        for name in members[0]
    }
    tensors |= {
        "mean": projection.mean.astype(np.float16),
        "basis": projection.basis.astype(np.float16),
        "shift": shift.astype(np.float32),
        "temperature": np.array([fit_temperature(mean + shift, wanted)], np.float32),
    }
    return Ensemble(tensors, unseen, truth, fold, chat)


def fit_shift(logs: Doubles, truth: Ints) -> Doubles:
    """One number a strategy that makes decisions balanced, shape (8,), of mean 0.

    Coordinate ascent on the sum of macro and weighted F1 of the most probable strategy; the loss
    is likelihood, and by it alone the rare strategies would hardly ever be decided for.

    Args:
        logs: Log probabilities, shape (n, 8).
        truth: Shape (n,).
    """
    shift = np.zeros(STRATEGY_COUNT)
    best = _sum_of_f1(logs, truth)
    for step in _STEPS:
        for _ in range(3):
            for at in range(STRATEGY_COUNT):
                for move in (-step, step):
                    tried = shift.copy()
                    tried[at] += move
                    found = _sum_of_f1(logs + tried, truth)
                    if found > best + 1e-9:
                        best, shift = found, tried
    return np.asarray(shift - shift.mean(), np.float64)


def _sum_of_f1(logs: Doubles, truth: Ints) -> float:
    counts = np.zeros((STRATEGY_COUNT, STRATEGY_COUNT))
    np.add.at(counts, (truth, logs.argmax(axis=1)), 1)
    given = counts.sum(axis=1)
    each = 2 * counts.diagonal() / np.maximum(given + counts.sum(axis=0), 1)
    return float(each.mean() + (each * given).sum() / given.sum())


def _talk(chat: Chat, vectors: Mapping[str, LineVector], projection: Projection) -> Talk:
    seen = [vectors[line.text] for line in chat]
    encoded = (np.stack([each.encoded for each in seen]) - projection.mean) @ projection.basis
    lines = np.concatenate([encoded, np.stack([each.dense for each in seen])], axis=1)
    strategies = [-1 if line.strategy is None else line.strategy for line in chat]
    return Talk(
        lines.astype(np.float32),
        np.stack([marks_of(line) for line in chat]),
        history_of(chat),
        np.array(strategies, np.int64),
    )
