"""Rows that the experts' weights are fitted on, and what each expert says of them.

User emotion: comments of GoEmotions' dev split with one of Ekman's emotions that MESC-7 has, and
situations of ESConv's train and valid splits with the emotion that their seeker named, which
bring depression. Strategy: replies of ESConv's valid split, with the gold strategies of the turns
before in the history.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Affect, Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora import esconv, goemotions
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28, MESC_7, LabelSet, mapping
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import LabelField, LabelStageName, Plan
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.esconv_dialogues import EMOTION_TYPES

Matrix = NDArray[np.float64]
Read = Callable[[Sequence[str]], Awaitable[Sequence[Distribution | None]]]
"""Beliefs over MESC-7 for texts; ``None`` where a text cannot be read."""

_THEN: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Rows:
    """Turns with the label that is right.

    Attributes:
        stage: Whose label.
        labels: Its set.
        contexts: What is known in each turn.
        truth: Index of the right label, shape (n,).
        corpus: Index into ``names``, shape (n,).
        group: Rows of one dialogue or text have one number, shape (n,); folds keep them together.
        names: What the corpora are.
    """

    stage: LabelStageName
    labels: LabelSet
    contexts: tuple[ReasoningContext, ...]
    truth: NDArray[np.int64]
    corpus: NDArray[np.int64]
    group: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def weight(self) -> Matrix:
        """Weights by which each corpus counts as much as another, their mean 1, shape (n,)."""
        weight = np.ones(len(self))
        found = np.unique(self.corpus)
        for each in found:
            rows = self.corpus == each
            weight[rows] = len(self) / (len(found) * rows.sum())
        return weight

    @property
    def sources(self) -> dict[str, int]:
        """Corpus -> rows."""
        return {name: int((self.corpus == at).sum()) for at, name in enumerate(self.names)}

    def drawn(self, count: int, seed: int) -> NDArray[np.int64]:
        """Which rows a sub-sample takes, in order: as many of each corpus; all if 0."""
        if not 0 < count < len(self):
            return np.arange(len(self))
        draw = np.random.default_rng(seed)
        share = self.weight / self.weight.sum()
        return np.sort(draw.choice(len(self), count, replace=False, p=share))

    def at(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        return replace(
            self,
            contexts=tuple(self.contexts[row] for row in rows),
            truth=self.truth[rows],
            corpus=self.corpus[rows],
            group=self.group[rows],
        )


async def emotion_rows(data: Path, read: Read, *, limit: int = 0, seed: int = 0) -> Rows:
    """Rows of the user's emotion.

    Args:
        data: Folder that holds ``goemotions`` and ``esconv``.
        read: The text reader.
        limit: Rows at most of each corpus; 0 for all.
        seed: Of the draw.
    """
    pool = BlockingPool(size=1)
    texts, names, first = await pool.run(lambda: _told_texts(data, limit, seed))
    beliefs = await read(texts)
    told = [at for at, belief in enumerate(beliefs) if belief is not None]
    return Rows(
        "user_emotion",
        MESC_7,
        tuple(_said(texts[at], beliefs[at]) for at in told),
        np.array([MESC_7.labels.index(names[at]) for at in told], np.int64),
        np.array([int(at >= first) for at in told], np.int64),
        np.arange(len(told)),
        (
            "GoEmotions dev, comments with one of Ekman's emotions but surprise",
            "ESConv train and valid, situations",
        ),
    )


async def strategy_rows(data: Path, read: Read, *, limit: int = 0, seed: int = 0) -> Rows:
    """Rows of the strategy: the first message of each of the supporter's turns.

    Args:
        data: Folder that holds ``esconv``.
        read: The text reader.
        limit: Chats at most; 0 for all.
        seed: Of the draw.
    """
    pool = BlockingPool(size=1)
    chats = await pool.run(lambda: esconv.load(data, "valid", limit=limit, seed=seed))
    field = LabelField(stage="strategy", labels=ESCONV_8)
    turns = [(number, *turn) for number, chat in enumerate(chats) for turn in _turns(chat)]
    beliefs = await read([said for _, said, _, _ in turns])
    contexts, truth, group = list[ReasoningContext](), list[int](), list[int]()
    for number, of_chat in groupby(zip(turns, beliefs, strict=True), key=lambda each: each[0][0]):
        history: tuple[Exchange, ...] = ()
        for (_, said, replied, strategy), belief in of_chat:
            if strategy in ESCONV_8:
                contexts.append(_said(said, belief).model_copy(update={"history": history}))
                truth.append(ESCONV_8.labels.index(strategy))
                group.append(number)
                plan = Plan(strategy=field.certain(strategy, "gold"))
                history = (*history, Exchange(said=said, replied=replied, plan=plan))
    return Rows(
        "strategy",
        ESCONV_8,
        tuple(contexts),
        np.array(truth, np.int64),
        np.zeros(len(truth), np.int64),
        np.array(group, np.int64),
        ("ESConv valid, supporter's turns",),
    )


def _told_texts(data: Path, limit: int, seed: int) -> tuple[list[str], list[str], int]:
    """Texts, the label of each, and how many of them are of the first corpus."""
    texts, names = list[str](), list[str]()
    comments = goemotions.load(data, "dev", limit=limit, seed=seed)
    to_ekman = mapping(GOEMOTIONS_28.name, EKMAN_7.name).table
    for text, marks in zip(comments.texts, comments.labels, strict=True):
        given = {next(iter(to_ekman[GOEMOTIONS_28.labels[at]])) for at in np.flatnonzero(marks)}
        if len(given) == 1 and (name := given.pop()) in MESC_7:
            texts.append(text)
            names.append(name)
    first = len(texts)
    for split in ("valid", "train"):
        for chat in esconv.load(data, split, limit=limit, seed=seed):
            if chat.emotion in EMOTION_TYPES and chat.situation:
                texts.append(chat.situation)
                names.append(EMOTION_TYPES[chat.emotion])
    return texts, names, first


def _turns(chat: esconv.Chat) -> list[tuple[str, str, str]]:
    """What the seeker said, what the supporter replied, the strategy of its first message."""
    runs = [list(run) for _, run in groupby(chat.lines, key=lambda line: line.speaker)]
    if runs and runs[0][0].speaker == "supporter":
        runs = runs[1:]
    return [
        (" ".join(line.text for line in asked), " ".join(line.text for line in told),
         told[0].strategy)
        for asked, told in zip(runs[::2], runs[1::2], strict=False)
    ]  # fmt: skip


def _said(text: str, belief: Distribution | None) -> ReasoningContext:
    affect = None if belief is None else Affect.read(belief, _THEN)
    return ReasoningContext(utterance=text, affect=affect)
