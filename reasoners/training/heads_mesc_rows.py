"""What the dialogue heads tell of MESC's test split, for ``affectgraph eval mesc``.

The heads are trained here, on the train and val splits together; everything about them was chosen
by cross-validation over those (``python -m affectgraph.reasoners.training.heads_mesc``). The blends
were chosen on val, with experts of train alone. Weights that learned from MESC stay in the folder
of the run. Importing this imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.reasoners.heads.runs import HeadRun, Test
from affectgraph.reasoners.training.heads_kept import Arrays, Shelf, digest
from affectgraph.reasoners.training.heads_mesc_blend import Blend, Splits
from affectgraph.reasoners.training.heads_mesc_data import (
    Encodes,
    Progress,
    Talk,
    content,
    encoded,
    talks,
)
from affectgraph.reasoners.training.heads_mesc_fit import HeadForm, Readers, fit, table
from affectgraph.reasoners.training.heads_mesc_forms import FORMS, WORDS, NamedForm
from affectgraph.reasoners.training.heads_mesc_tune import Tuning

VERSION: Final = "heads-mesc.v1"
"""Changes when the predictions would."""
SEEDS: Final = (0, 1, 2, 3, 4)
TUNED: Final = SEEDS[:2]
"""Seeds of the tuned encoder, which takes minutes each."""
_EPISODES: Final = 10
"""One part in so many of the episodes is the test of the split by episode."""


@dataclass(frozen=True)
class _Fold:
    """Dialogues to learn from, and to be tested on."""

    train: tuple[Talk, ...]
    test: tuple[Talk, ...]
    split: Test


async def predictions(
    data: Path,
    encoder: Encodes,
    *,
    version: str,
    run: Path,
    resume: bool = True,
    limit: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[HeadRun, ...]:
    """Train the heads, and tell the distributions of each over the units of the test split.

    Args:
        data: MESC's folder, or the one that holds it as ``mesc``.
        encoder: The encoder of words, warmed up.
        version: What the encoder's numbers depend on.
        run: A folder for what is encoded and predicted; a second call reads it back.
        resume: Whether what an earlier call kept there counts.
        limit: Utterances of each split at most, in whole dialogues, one seed; 0 for all.
        seed: Of the draw of dialogues, and the first of the ensemble's.
        progress: Told how much of the lines and heads is done.

    Raises:
        SetupError: If the corpus or a library for training is absent.
    """
    pool = BlockingPool()
    learned = await pool.run(lambda: talks(data, "train", limit=limit))
    val = await pool.run(lambda: talks(data, "val", limit=limit))
    test = await pool.run(lambda: talks(data, "test", limit=limit, seed=seed))
    train = (*learned, *val)
    shelf = Shelf(run, resume)
    rows = await encoded((*train, *test), encoder, shelf, progress, version=version)
    told_of = any(line.clue for talk in (*val, *test) for line in talk.lines)
    clues = (
        await encoded((*val, *test), encoder, shelf, progress, version=version, clues=True)
        if told_of
        else {}
    )
    seeds = SEEDS[:1] if limit else tuple(seed + each for each in SEEDS)
    folds = (_Fold(train, test, "official"), _by_episode((*train, *test)))
    told: list[HeadRun] = []
    for fold in folds:
        forms = [each for each in FORMS if fold.split == "official" or each.both]
        told += await pool.run(partial(_runs, fold, forms, rows, seeds, shelf, progress))
    splits = Splits(learned, val, test, rows, clues)
    tuning = Tuning(epochs=1) if limit else Tuning()
    blend = Blend(splits, seeds, seeds[: len(TUNED)], tuning, shelf, VERSION, progress)
    return (*told, *await pool.run(blend.runs))


def _by_episode(known: Sequence[Talk]) -> _Fold:
    """Whole episodes to learn from and to be tested on; drawn once, the same for everybody."""
    places = sorted({talk.place for talk in known})
    order = np.random.default_rng(0).permutation(len(places))
    held = {places[at] for at in order[: max(1, len(places) // _EPISODES)]}
    return _Fold(
        tuple(talk for talk in known if talk.place not in held),
        tuple(talk for talk in known if talk.place in held),
        "episodes",
    )


def _runs(
    fold: _Fold,
    forms: Sequence[NamedForm],
    rows: dict[int, NDArray[Any]],
    seeds: Sequence[int],
    shelf: Shelf,
    progress: Progress | None,
) -> list[HeadRun]:
    readers: Readers | None = None
    told: list[HeadRun] = []
    of = (content(fold.train, rows), content(fold.test, rows))
    for done, named in enumerate(forms):
        name = head_name(fold.split, named.form, of, seeds)
        ready = shelf.stored(name, ("each", "truth", "groups"))
        if ready is None:
            readers = readers or Readers(fold.train, rows, WORDS, named.form.recipe.folds)
            head = fit(table(fold.train, readers, named.form), named.form, seeds)
            seen = table(fold.test, readers, named.form)
            ready = {"each": head.each(seen.rows), "truth": seen.truth, "groups": seen.groups}
            shelf.store(name, ready)
        told.append(_told(named, fold, ready))
        if progress:
            progress(f"heads, {fold.split} split", done + 1, len(forms))
    return told


def _told(named: NamedForm, fold: _Fold, ready: Arrays) -> HeadRun:
    form = named.form
    return HeadRun(
        task=form.task,
        protocol=form.protocol,
        unit=form.unit,
        name=f"{named.name}, {len(ready['each'])} seeds",
        kind=named.kind,
        split=fold.split,
        probs=ready["each"].mean(axis=0),
        truth=ready["truth"],
        groups=ready["groups"],
        seeds=tuple(ready["each"]),
        note=named.note,
    )


def head_name(split: Test, form: HeadForm, of: tuple[str, str], seeds: Sequence[int]) -> str:
    """The name under which a head's predictions are kept; it tells everything they hang on.

    Args:
        split: Which test.
        form: The head.
        of: The content of the dialogues that it learns from and is tested on.
        seeds: Of the ensemble.
    """
    facts = (VERSION, *of, form.recipe, WORDS, sorted(form.parts), tuple(seeds))
    return f"{split}-{form.task}-{form.protocol}-{form.unit}-{digest(facts)}"
