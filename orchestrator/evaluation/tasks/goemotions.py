"""``goemotions``: emotions of short messages, many labels at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.classified import Classified
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    MACRO_F1,
    SET_MACRO_F1,
    WEIGHTED_F1,
    measure,
)
from affectgraph.orchestrator.evaluation.result import Bars, Kept, Result, Row, Table
from affectgraph.orchestrator.evaluation.texts import Floats, Told, latency, read_texts
from affectgraph.perceivers.corpora import goemotions
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28
from affectgraph.perceivers.training.text_scores import thresholds

GROUPS: Final = ("positive", "negative", "ambiguous", "neutral")
_GROUP_OF: Final = {
    "negative": "anger annoyance disappointment disapproval disgust embarrassment fear grief"
    " nervousness remorse sadness",
    "ambiguous": "confusion curiosity realization surprise",
    "neutral": "neutral",
}
_THRESHOLDS: Final = (
    "Multi-label macro-F1 on the test split; each label's threshold is chosen on dev, as the mean"
    " over resampled rows. Published rows have one threshold for all labels."
)


@dataclass(frozen=True)
class _View:
    """The labels told in one way: as they are, by Ekman's seven, by sentiment.

    Attributes:
        title: Of the table.
        labels: Its labels.
        grouping: 0 or 1, shape (28, k).
        published: Macro-F1 of other systems.
    """

    title: str
    labels: tuple[str, ...]
    grouping: Floats
    published: tuple[Row, ...]

    def truth(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Labels of the corpus, shape (n, 28), in this view, shape (n, k)."""
        return np.asarray(labels @ self.grouping > 0, dtype=np.int64)


def _group(label: str) -> str:
    return next((g for g, members in _GROUP_OF.items() if label in members.split()), "positive")


def _views() -> dict[int, _View]:
    """Each view by its number of labels."""
    sentiment = np.array([[_group(label) == g for g in GROUPS] for label in GOEMOTIONS_28.labels])

    def rows(demszky: float, pytorch: float) -> tuple[Row, ...]:
        return (
            Row.published("BERT-base (Demszky et al., 2020)", macro_f1=demszky),
            Row.published("BERT-base (GoEmotions-pytorch)", macro_f1=pytorch),
        )

    return {
        28: _View("GoEmotions, 28 labels", GOEMOTIONS_28.labels, np.eye(28), rows(0.46, 0.503)),
        7: _View("GoEmotions, Ekman's 7", EKMAN_7.labels, goemotions.ekman(), rows(0.64, 0.624)),
        4: _View("GoEmotions, 4 sentiments", GROUPS, sentiment.astype(float), rows(0.69, 0.701)),
    }


@dataclass(frozen=True)
class _Split:
    """The corpus's labels and what was told of the texts."""

    texts: tuple[str, ...]
    labels: NDArray[Any]
    told: Told


class GoEmotions:
    """Demszky et al. (2020); a reader over 28 labels, or over any set that maps to Ekman's 7."""

    name = "goemotions"
    about = "28 emotions, Ekman's 7 and sentiment of Reddit comments; calibration; latency"

    async def run(self, bench: Bench) -> Result:
        """Read dev and test; choose thresholds on dev."""
        train = await bench.aside(lambda: goemotions.load(bench.data, "train"))
        dev, test = await self._split(bench, "dev"), await self._split(bench, "test")
        views = _views()
        whole = test.told.label_set.name == GOEMOTIONS_28.name
        asked = [views[28], views[7], views[4]] if whole else [views[7]]
        drawn = [
            await bench.aside(partial(_sets, bench, view, train.labels, dev, test))
            for view in asked
        ]
        top = await bench.aside(lambda: _top(bench, train.labels, test))
        parts = [*drawn, top]
        return Result(
            self.name,
            tables=tuple(table for part in parts for table in part.tables),
            figures=tuple(figure for part in parts for figure in part.figures),
            facts={
                "texts": len(test.texts),
                "abstained": int(test.told.abstained.sum()),
                **await latency(bench, test.texts),
            },
            kept=tuple(kept for part in parts for kept in part.kept),
        )

    async def _split(self, bench: Bench, split: goemotions.Split) -> _Split:
        read = await bench.aside(
            lambda: goemotions.load(bench.data, split, limit=bench.limit, seed=bench.seed)
        )
        told = await read_texts(bench, f"goemotions-{split}", read.texts)
        return _Split(read.texts, read.labels, told)


def _in_view(view: _View, told: Told, shares: Floats) -> Floats:
    """Probabilities in a view, shape (n, k); a text that was abstained on has the prior's."""
    if told.label_set.name != GOEMOTIONS_28.name:
        return told.to(EKMAN_7, shares @ view.grouping)
    probs = np.where(told.abstained[:, None], shares, told.probs)
    return np.minimum(1.0, probs @ view.grouping)


def _sets(bench: Bench, view: _View, train: NDArray[Any], dev: _Split, test: _Split) -> Result:
    """Multi-label decisions in one view."""
    shares, truth = _shares(train), view.truth(test.labels)
    cuts = thresholds(
        _in_view(view, dev.told, shares), view.truth(dev.labels).astype(np.float64), seed=bench.seed
    )
    decided = (_in_view(view, test.told, shares) > cuts).astype(np.int64)
    one = np.eye(28)
    n, most, drawn = len(truth), int(shares.argmax()), _drawn(shares, len(truth), bench.seed)

    def row(name: str, guess: NDArray[np.int64]) -> Row:
        figures = measure([SET_MACRO_F1], truth, guess, bench.bootstrap)
        return Row(name, "ours" if guess is decided else "baseline", figures, n)

    title = f"{view.title}, test, multi-label"
    rows = (
        row(f"majority (always {GOEMOTIONS_28.labels[most]})", view.truth(one[[most] * n])),
        row("random (one label by training shares)", view.truth(one[drawn])),
        row(bench.subjects.name, decided),
        *view.published,
    )
    return Result(
        title,
        tables=(Table(title, rows, _THRESHOLDS),),
        figures=(_bars(title, view.labels, truth, decided),),
        kept=(Kept(title, "set_macro_f1", truth, decided),),
    )


def _top(bench: Bench, train: NDArray[Any], test: _Split) -> Result:
    """The most probable of Ekman's seven, over the texts whose labels all fall into one."""
    view = _views()[7]
    truth_sets, shares = view.truth(test.labels), _shares(train)
    alone = truth_sets.sum(axis=1) == 1
    truth = truth_sets[alone].argmax(axis=1)
    probs = test.told.to(EKMAN_7, shares @ view.grouping)[alone]
    single = view.truth(train)
    known = single[single.sum(axis=1) == 1].argmax(axis=1)

    classified = Classified(
        "GoEmotions, Ekman's 7, test, most probable label",
        EKMAN_7.labels,
        truth,
        probs,
        (ACCURACY, MACRO_F1, WEIGHTED_F1),
    )
    rows = (
        classified.floor(bench, "majority", floors.majority(known, len(truth))),
        classified.floor(bench, "random", floors.random(known, len(truth), bench.seed)),
        classified.ours(bench),
    )
    note = "Texts whose labels all fall into one of the seven. Nothing is chosen."
    return Result(
        classified.title,
        tables=(Table(classified.title, rows, note),),
        figures=classified.figures(),
        kept=classified.kept(),
    )


def _shares(labels: NDArray[Any]) -> Floats:
    """How often each of the 28 labels is given, the labels of a text sharing it; shape (28,)."""
    return np.asarray((labels / labels.sum(axis=1, keepdims=True)).mean(axis=0), dtype=np.float64)


def _drawn(shares: Floats, n: int, seed: int) -> NDArray[np.int64]:
    drawn = np.random.default_rng(seed).choice(len(shares), size=n, p=shares / shares.sum())
    return np.asarray(drawn, dtype=np.int64)


def _bars(
    title: str, labels: tuple[str, ...], truth: NDArray[np.int64], told: NDArray[np.int64]
) -> Bars:
    from sklearn.metrics import f1_score

    scores = f1_score(truth, told, average=None, zero_division=0.0)
    return Bars(title, labels, {"F1": tuple(float(score) for score in scores)})
