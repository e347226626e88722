"""The dialogue head, the tuned encoder and the video model's clue, weighed on the val split.

Experts that are to be weighed learn from the train split alone, so that val says what each is
worth; then the weights are kept, and the plain heads learn from val as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.reasoners.heads.features import Floats, Part
from affectgraph.reasoners.heads.runs import HeadRun, HeadTask, Protocol
from affectgraph.reasoners.training.heads_kept import Arrays, Shelf, digest, shipped_encoder
from affectgraph.reasoners.training.heads_mesc_clue import read_clues
from affectgraph.reasoners.training.heads_mesc_data import Talk, content
from affectgraph.reasoners.training.heads_mesc_fit import (
    HeadForm,
    Readers,
    Table,
    fit,
    table,
)
from affectgraph.reasoners.training.heads_mesc_forms import (
    CHOSEN,
    FELT,
    HOW,
    WORDS,
)
from affectgraph.reasoners.training.heads_mesc_mix import fit_mixture
from affectgraph.reasoners.training.heads_mesc_tune import Lessons, Tuner, Tuning

Progress = Callable[[str, int, int], None]

NAME: Final = "dialogue head and tuned encoder"
_HEADS: Final = ("emotion.free", "emotion.gold", "strategy.free", "strategy.gold")


@dataclass(frozen=True)
class Splits:
    """The dialogues, and what the encoder says of their lines and of the clues to them."""

    train: tuple[Talk, ...]
    val: tuple[Talk, ...]
    test: tuple[Talk, ...]
    rows: Mapping[int, NDArray[Any]]
    clues: Mapping[int, NDArray[Any]]


@dataclass(frozen=True)
class _Expert:
    """What one kind of model tells; s models of the kind, k labels.

    Attributes:
        val: Probabilities of val's units, by models that have not seen it, shape (m, k).
        test: Of the test split's units, a model at a time, shape (s, n, k).
    """

    val: Floats
    test: Floats


@dataclass(frozen=True)
class _Units:
    """What is decided, as the dialogue head sees it: of train, val and test."""

    form: HeadForm
    train: Table
    val: Table
    test: Table


@dataclass(frozen=True)
class Blend:
    """Makes the rows of the blended experts.

    Attributes:
        splits: The corpus.
        seeds: Of the plain heads' ensembles.
        tuned: Seeds of the tuned encoder.
        tuning: How the encoder is tuned.
        shelf: Keeps what the tuned encoder tells.
        version: Changes when the predictions would.
        progress: Told of what is done.
    """

    splits: Splits
    seeds: Sequence[int]
    tuned: Sequence[int]
    tuning: Tuning
    shelf: Shelf
    version: str
    progress: Progress | None = None

    def runs(self) -> list[HeadRun]:
        """Rows of both labels in both protocols; with the clue, and of it alone, where it is."""
        splits = self.splits
        whole = (*splits.train, *splits.val)
        alone = Readers(splits.train, splits.rows, WORDS, HOW.folds)
        both = Readers(whole, splits.rows, WORDS, HOW.folds)
        told = [self._encoder(alone, seed) for seed in self.tuned]
        found: list[HeadRun] = []
        for head, name in enumerate(_HEADS):
            tuned = _Expert(
                np.mean([each[f"val.{name}"] for each in told], axis=0),
                np.stack([each[f"test.{name}"] for each in told]),
            )
            form = _form(head)
            units, plain = self._plain(form, alone, both)
            found.append(_row(NAME, units, [plain, tuned], "ours"))
            if splits.clues:
                clue = _Expert(*read_clues(splits.val, splits.test, splits.clues, form, units.val))
                found.append(_row(f"{NAME}, with clue", units, [plain, tuned, clue]))
                if form.task == "user_emotion":
                    timed = replace(form, parts=form.parts | {"timing"})
                    units, plain = self._plain(timed, alone, both)
                    title = f"{NAME}, with clue and speech timing"
                    found.append(_row(title, units, [plain, tuned, clue]))
                found.append(_by_clue(units, clue))
            if self.progress:
                self.progress("blends", head + 1, len(_HEADS))
        return found

    def _plain(self, form: HeadForm, alone: Readers, both: Readers) -> tuple[_Units, _Expert]:
        """The dialogue head: fitted on train to be judged on val, and then on both."""
        splits = self.splits
        units = _Units(
            form,
            table(splits.train, alone, form),
            table(splits.val, alone, form),
            table(splits.test, both, form),
        )
        whole = table((*splits.train, *splits.val), both, form)
        trial = fit(units.train, form, self.seeds).probs(units.val.rows)
        return units, _Expert(trial, fit(whole, form, self.seeds).each(units.test.rows))

    def _encoder(self, readers: Readers, seed: int) -> Arrays:
        """The tuned encoder's probabilities on val and test, kept."""
        splits = self.splits
        parts = splits.train, splits.val, splits.test
        of = [content(part, splits.rows) for part in parts]
        kept = tuned_name(self.version, self.tuning, of, seed)
        names = [f"{split}.{head}" for split in ("val", "test") for head in _HEADS]
        ready = self.shelf.stored(kept, names)
        if ready is None:
            known, val, test = (_lessons(part, readers) for part in parts)
            title = f"tuned encoder, seed {seed}"
            progress = self.progress
            say = (lambda at, of: progress(title, at, of)) if progress else None
            each = Tuner(self.tuning, say).tell(known, [val, test], seed)
            flat = [probs for part in each for probs in part]
            ready = dict(zip(names, flat, strict=True))
            self.shelf.store(kept, ready)
        return ready


def tuned_name(version: str, tuning: Tuning, of: Sequence[str], seed: int) -> str:
    """The name under which what a tuned encoder tells is kept.

    Args:
        version: Of the heads.
        tuning: How it is tuned.
        of: The content of train, val and test.
        seed: Its own.
    """
    facts = (version, tuning, *of, seed, HOW.folds, WORDS, sorted(FELT), sorted(CHOSEN))
    return f"tuned-{digest((*facts, shipped_encoder()))}"


def _row(
    name: str,
    units: _Units,
    experts: Sequence[_Expert],
    kind: Literal["ours", "ablation"] = "ablation",
) -> HeadRun:
    """Weigh experts on val, and let them tell test together.

    A single model is one of each kind; of the kind that has fewest there is one each.
    """
    learned, judged = units.train, units.val
    usual = np.bincount(learned.truth, minlength=learned.shares.shape[1]) / len(learned.truth)
    mix = fit_mixture([each.val for each in experts], judged.truth, usual)
    counts = [len(each.test) for each in experts]
    pairs = min((count for count in counts if count > 1), default=1)
    weights = ", ".join(f"{weight:.2f}" for weight in mix.exponents)
    return _run(
        name,
        units,
        mix([each.test.mean(axis=0) for each in experts]),
        kind=kind,
        seeds=tuple(
            mix([each.test[at % len(each.test)] for each in experts]) for at in range(pairs)
        ),
        note=(
            f"{', '.join(map(str, counts))} models of {len(experts)} experts; exponents {weights}"
            f" and shift {mix.shift:.1f} fitted on val; chosen on val, not by cross-validation"
        ),
    )


def _by_clue(units: _Units, clue: _Expert) -> HeadRun:
    return _run(
        "clue alone",
        units,
        clue.test[0],
        kind="ablation",
        note=(
            "a regression on what a video model wrote of the person's turn, fitted on val: no"
            " words and no labels, so it is the same in both protocols"
        ),
    )


def _run(name: str, units: _Units, probs: Floats, **more: Any) -> HeadRun:
    form = units.form
    return HeadRun(
        task=form.task,
        protocol=form.protocol,
        unit="turn",
        name=name,
        split="official",
        probs=probs,
        truth=units.test.truth,
        groups=units.test.groups,
        **more,
    )


def _form(head: int) -> HeadForm:
    task: HeadTask = "user_emotion" if head < 2 else "strategy"
    protocol: Protocol = "gold" if head % 2 else "free"
    parts: frozenset[Part] = FELT if task == "user_emotion" else CHOSEN
    return HeadForm(task, protocol, parts, recipe=HOW)


def _lessons(talks: Sequence[Talk], readers: Readers) -> Lessons:
    tables = [table(talks, readers, _form(head)) for head in range(len(_HEADS))]
    return Lessons(talks, (tables[0], tables[1]), (tables[2], tables[3]))
