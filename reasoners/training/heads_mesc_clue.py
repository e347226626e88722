"""What the clues of a video model tell of MESC's labels; only val and test hold such clues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.reasoners.heads.features import Floats
from affectgraph.reasoners.heads.lines import Line, Stretch
from affectgraph.reasoners.heads.words import softmax
from affectgraph.reasoners.training.heads_fit import principal, softmax_regression
from affectgraph.reasoners.training.heads_mesc_data import Talk
from affectgraph.reasoners.training.heads_mesc_fit import HeadForm, Table, parted, stretches
from affectgraph.reasoners.training.heads_mesc_forms import CLUES

_FOLDS: Final = 10


def read_clues(
    val: Sequence[Talk],
    test: Sequence[Talk],
    clues: Mapping[int, NDArray[Any]],
    form: HeadForm,
    judged: Table,
) -> tuple[Floats, Floats]:
    """Fit a regression on val's clues.

    Args:
        val: Dialogues to fit on.
        test: Dialogues to tell of.
        clues: What the encoder says of the clue to every line, by dialogue's number.
        form: What is decided.
        judged: The units of val.

    Returns:
        Probabilities of val's units (m, k), by regressions that have not seen the dialogue, and
        of the test split's, shape (1, n, k).
    """
    rows, others = _clues(val, clues, form), _clues(test, clues, form)
    usual = np.nanmean(rows, axis=0)
    rows, others = (np.where(np.isnan(each), usual, each) for each in (rows, others))
    mean, basis = principal(rows, CLUES.components)
    seen, later = (rows - mean) @ basis, (others - mean) @ basis
    fold = dict(zip((talk.number for talk in val), parted(val, _FOLDS), strict=True))
    part = np.array([fold[number] for number in judged.groups])

    def fitted(chosen: NDArray[np.bool_], rows: Floats) -> Floats:
        even = np.ones(int(chosen.sum()))
        inner, bias = softmax_regression(
            seen[chosen], judged.truth[chosen], even, len(form.labels), CLUES
        )
        return softmax(rows @ inner + bias)

    unseen = np.zeros(judged.shares.shape)
    for number in range(_FOLDS):
        held = part == number
        if held.any():
            unseen[held] = fitted(~held, seen[held])
    return unseen, fitted(np.ones(len(seen), np.bool_), later)[None]


def _clues(talks: Sequence[Talk], clues: Mapping[int, NDArray[Any]], form: HeadForm) -> Floats:
    """The mean of the encoder's numbers of the clues to the person's turn, shape (n, r).

    A reply has the turn that it answers: how the supporter looks while replying is not known
    before. NaN where nothing is answered.
    """
    found = list[Floats]()
    for talk in talks:
        rows = clues[talk.number]
        for decided in stretches(talk, form):
            replies = form.task == "strategy"
            stretch = _answered(talk.lines, decided.begin) if replies else decided
            told = rows[stretch.begin : stretch.end]
            none = np.full(rows.shape[1], np.nan)
            found.append(told.mean(axis=0, dtype=np.float64) if len(told) else none)
    return np.stack(found)


def _answered(lines: Sequence[Line], at: int) -> Stretch:
    """The person's lines right before a reply; empty where it opens the dialogue."""
    begin = at
    while begin and lines[begin - 1].person:
        begin -= 1
    return Stretch(begin, at)
