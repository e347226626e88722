"""The dialogue head, the tuned encoder and the video model's clue, weighed on the val split.

Experts that are to be weighed learn from the train split alone, so that val says what each is
worth; then the weights are kept, and the plain heads learn from val as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.heads.features import Floats, Part
from affectgraph.reasoners.heads.runs import HeadRun, HeadTask, Protocol
from affectgraph.reasoners.heads.words import softmax
from affectgraph.reasoners.training.heads_fit import principal, softmax_regression
from affectgraph.reasoners.training.heads_mesc_data import Talk
from affectgraph.reasoners.training.heads_mesc_fit import (
    HeadForm,
    Readers,
    Table,
    fit,
    parted,
    stretches,
    table,
)
from affectgraph.reasoners.training.heads_mesc_forms import (
    CHOSEN,
    CLUES,
    FELT,
    WORDS,
    chosen_how,
    felt_how,
)
from affectgraph.reasoners.training.heads_mesc_kept import Arrays, digest, store, stored
from affectgraph.reasoners.training.heads_mesc_mix import fit_mixture
from affectgraph.reasoners.training.heads_mesc_tune import Lessons, Tuner, Tuning

Progress = Callable[[str, int, int], None]

NAME: Final = "dialogue head and tuned encoder"
_HEADS: Final = ("emotion.free", "emotion.gold", "strategy.free", "strategy.gold")
_CLUE_FOLDS: Final = 10


@dataclass(frozen=True)
class Splits:
    """The dialogues, and what the encoder says of their lines and of the clues to them."""

    train: tuple[Talk, ...]
    val: tuple[Talk, ...]
    test: tuple[Talk, ...]
    rows: Mapping[int, NDArray[Any]]
    clues: Mapping[int, NDArray[Any]]


@dataclass(frozen=True)
class Blend:
    """Makes the rows of the blended experts.

    Attributes:
        splits: The corpus.
        seeds: Of the plain heads' ensembles.
        tuned: Seeds of the tuned encoder.
        tuning: How the encoder is tuned.
        run: A folder for what was predicted.
        version: Changes when the predictions would.
        progress: Told of what is done.
    """

    splits: Splits
    seeds: Sequence[int]
    tuned: Sequence[int]
    tuning: Tuning
    run: Path
    version: str
    progress: Progress | None = None

    def runs(self) -> list[HeadRun]:
        """Rows of both labels in both protocols; of the emotion with timing and clue as well."""
        whole = (*self.splits.train, *self.splits.val)
        alone = Readers(self.splits.train, self.splits.rows, WORDS, felt_how().folds)
        both = Readers(whole, self.splits.rows, WORDS, felt_how().folds)
        told = [self._encoder(alone, seed) for seed in self.tuned]
        found: list[HeadRun] = []
        for head, name in enumerate(_HEADS):
            form = _form(head)
            found.append(self._row(form, name, told, alone, both, clue=False))
            if form.task == "user_emotion" and self.splits.clues:
                timed = replace(form, parts=form.parts | {"timing"})
                found.append(self._row(timed, name, told, alone, both, clue=True))
            if self.progress:
                self.progress("blends", head + 1, len(_HEADS))
        return found

    def _row(
        self,
        form: HeadForm,
        name: str,
        told: Sequence[Arrays],
        alone: Readers,
        both: Readers,
        *,
        clue: bool,
    ) -> HeadRun:
        splits = self.splits
        learned, judged = table(splits.train, alone, form), table(splits.val, alone, form)
        last = table(splits.test, both, form)
        trial = fit(learned, form, self.seeds).probs(judged.rows)
        plain = fit(table((*splits.train, *splits.val), both, form), form, self.seeds).probs(
            last.rows
        )
        encoder = [np.asarray(each[f"val.{name}"]) for each in told]
        trials = [trial, np.mean(encoder, axis=0)]
        seen = [[plain, np.asarray(each[f"test.{name}"])] for each in told]
        if clue:
            unseen, read = self._clue(form, judged)
            trials.append(unseen)
            seen = [[*each, read] for each in seen]
        usual = np.bincount(learned.truth, minlength=learned.shares.shape[1]) / len(learned.truth)
        mix = fit_mixture(trials, judged.truth, usual)
        joined = [np.mean([each[at] for each in seen], axis=0) for at in range(len(seen[0]))]
        weights = ", ".join(f"{weight:.2f}" for weight in mix.exponents)
        return HeadRun(
            task=form.task,
            protocol=form.protocol,
            unit="turn",
            name=f"{NAME}, with clue and speech timing" if clue else NAME,
            kind="ablation" if clue else "ours",
            split="official",
            probs=mix(joined),
            truth=last.truth,
            groups=last.groups,
            seeds=tuple(mix(each) for each in seen),
            note=(
                f"{len(self.seeds)} and {len(self.tuned)} seeds, {len(trials)} experts with"
                f" exponents {weights} and shift {mix.shift:.1f}, fitted on val"
            ),
        )

    def _encoder(self, readers: Readers, seed: int) -> Arrays:
        """The tuned encoder's probabilities on val and test, kept under the folder of the run."""
        parts = self.splits.train, self.splits.val, self.splits.test
        numbers = [[talk.number for talk in part] for part in parts]
        facts = (self.version, self.tuning, numbers, seed, sorted(FELT), sorted(CHOSEN))
        file = self.run / f"tuned-{digest(facts)}.npz"
        names = [f"{split}.{head}" for split in ("val", "test") for head in _HEADS]
        ready = stored(file, names)
        if ready is None:
            known, val, test = (_lessons(part, readers) for part in parts)
            title = f"tuned encoder, seed {seed}"
            progress = self.progress
            say = (lambda at, of: progress(title, at, of)) if progress else None
            each = Tuner(self.tuning, say).tell(known, [val, test], seed)
            flat = [probs for part in each for probs in part]
            ready = dict(zip(names, flat, strict=True))
            store(file, ready)
        return ready

    def _clue(self, form: HeadForm, judged: Table) -> tuple[Floats, Floats]:
        """What the clue tells: of val by readers that have not seen a dialogue, and of test."""
        val, test = self._clues(self.splits.val, form), self._clues(self.splits.test, form)
        mean, basis = principal(val, CLUES.components)
        seen, later = (val - mean) @ basis, (test - mean) @ basis
        fold = dict(
            zip(
                (talk.number for talk in self.splits.val),
                parted(self.splits.val, _CLUE_FOLDS),
                strict=True,
            )
        )
        part = np.array([fold[number] for number in judged.groups])

        def fitted(chosen: NDArray[np.bool_], rows: Floats) -> Floats:
            even = np.ones(int(chosen.sum()))
            inner, bias = softmax_regression(
                seen[chosen], judged.truth[chosen], even, len(MESC_7), CLUES
            )
            return softmax(rows @ inner + bias)

        unseen = np.zeros((len(seen), len(MESC_7)))
        for number in range(_CLUE_FOLDS):
            held = part == number
            if held.any():
                unseen[held] = fitted(~held, seen[held])
        return unseen, fitted(np.ones(len(seen), np.bool_), later)

    def _clues(self, talks: Sequence[Talk], form: HeadForm) -> Floats:
        """The mean of the encoder's numbers of the clues to each stretch's lines, (n, r)."""
        return np.stack(
            [
                self.splits.clues[talk.number][stretch.begin : stretch.end].mean(
                    axis=0, dtype=np.float64
                )
                for talk in talks
                for stretch in stretches(talk, form)
            ]
        )


def _form(head: int) -> HeadForm:
    task: HeadTask = "user_emotion" if head < 2 else "strategy"
    protocol: Protocol = "gold" if head % 2 else "free"
    parts: frozenset[Part] = FELT if task == "user_emotion" else CHOSEN
    how = felt_how() if task == "user_emotion" else chosen_how()
    return HeadForm(task, protocol, parts, recipe=how)


def _lessons(talks: Sequence[Talk], readers: Readers) -> Lessons:
    tables = [table(talks, readers, _form(head)) for head in range(len(_HEADS))]
    return Lessons(talks, (tables[0], tables[1]), (tables[2], tables[3]))
