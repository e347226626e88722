"""Cross-validate the dialogue heads on MESC, and train the two that an agent can run.

Run::

    python -m affectgraph.reasoners.training.heads_mesc --data DIR --out DIR --json

``DIR`` holds ``mesc``. Every dialogue head that ``affectgraph eval mesc`` shows is cross-validated
over the dialogues of train and val together: what was chosen about them was chosen by these
figures, and the test split stays shut. The blends of a dialogue head with a tuned encoder and the
clue are not among them: they were chosen on val, with experts that learn from train alone
(:mod:`~affectgraph.reasoners.training.heads_mesc_blend`). Then the heads of the free-running
protocol are fitted on all of them and written to ``--out`` for
:class:`~affectgraph.reasoners.heads.dialogue.DialogueHead`. The corpus states no licence, so the
weights are the user's own and ship nowhere. Standard output is one JSON object. Needs the extra
``train``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.text.encoder import MiniLMEncoder
from affectgraph.perceivers.training import command
from affectgraph.reasoners.heads.dialogue import HeadWeights
from affectgraph.reasoners.heads.lines import turns
from affectgraph.reasoners.training.heads_kept import Shelf, shipped_encoder
from affectgraph.reasoners.training.heads_mesc_data import Talk, encoded, talks

if TYPE_CHECKING:
    from affectgraph.reasoners.training.heads_mesc_fit import HeadForm, Readers, Table

NAME: Final = "heads-mesc.v1"
_FOLDS: Final = 4


def run(
    data: Path, out: Path, say: command.Say, *, limit: int = 0, seed: int = 0, members: int = 3
) -> dict[str, Any]:
    """Cross-validate every head, and write the ones for an agent into ``out``.

    Args:
        data: The folder that holds ``mesc``.
        out: Where the weights are written, and what was encoded is kept.
        say: Told of the progress.
        limit: Utterances of each split at most; 0 for all.
        seed: The first of the ensemble's.
        members: Seeds of an ensemble.

    Returns:
        ``{"name", "rows", "metrics", "baselines"}``, ready for JSON.

    Raises:
        SetupError: If the corpus is not there or not as it should be.
    """
    from affectgraph.reasoners.training.heads_mesc_fit import Readers, table
    from affectgraph.reasoners.training.heads_mesc_forms import FORMS, WORDS

    known = [*talks(data, "train", limit=limit), *talks(data, "val", limit=limit)]
    rows = asyncio.run(_encoded(known, out, say))
    say("readers of single lines")
    readers = Readers(known, rows, WORDS, FORMS[0].form.recipe.folds)
    seeds = range(seed, seed + members)
    metrics: dict[str, Any] = {}
    for named in FORMS:
        form = named.form
        title = f"{form.task}, {form.protocol} history, {form.unit}s: {named.name}"
        say(title)
        seen = table(known, readers, form)
        metrics[title] = _unseen(seen, known, form, seeds)
        if named.kind == "ours" and (form.protocol, form.unit) == ("free", "turn"):
            _write(readers, seen, form, seeds, out)
    return {
        "name": NAME,
        "rows": {"dialogues": len(known), "lines": sum(len(talk.lines) for talk in known)},
        "metrics": metrics,
        "baselines": {"persistence, the client's last utterance (gold)": _persistence(known)},
    }


async def _encoded(
    known: Sequence[Talk], out: Path, say: command.Say
) -> dict[int, NDArray[np.float16]]:
    version = await BlockingPool().run(shipped_encoder)
    return await encoded(
        known,
        MiniLMEncoder(cache_size=0),
        Shelf(out),
        lambda what, at, of: say(f"{what}: {at} of {of}"),
        version=version,
    )


def _unseen(
    seen: Table, known: Sequence[Talk], form: HeadForm, seeds: Sequence[int]
) -> dict[str, float]:
    """What heads say of dialogues that they have not seen."""
    from affectgraph.reasoners.training.heads_mesc_fit import Table, fit, parted

    part = dict(zip((talk.number for talk in known), parted(known, _FOLDS), strict=True))
    fold = np.array([part[number] for number in seen.groups])
    each = np.zeros((len(seeds), *seen.shares.shape))
    for number in range(_FOLDS):
        held = fold == number
        others = Table(seen.rows[~held], seen.shares[~held], seen.truth[~held], seen.groups[~held])
        each[:, held] = fit(others, form, seeds).each(seen.rows[held])
    told = each.mean(axis=0)
    logs = np.log(told[np.arange(len(told)), seen.truth] + 1e-9)
    single = [float((one.argmax(axis=1) == seen.truth).mean()) for one in each]
    return {
        **_figures(seen.truth, told.argmax(axis=1)),
        "accuracy_of_one_seed": float(np.mean(single)),
        "spread_over_seeds": float(np.std(single)),
        "log_loss": float(-logs.mean()),
    }


def _figures(truth: NDArray[np.int64], told: NDArray[np.int64]) -> dict[str, float]:
    from sklearn.metrics import f1_score

    return {
        "accuracy": float((truth == told).mean()),
        "weighted_f1": float(f1_score(truth, told, average="weighted", zero_division=0)),
        "macro_f1": float(f1_score(truth, told, average="macro", zero_division=0)),
    }


def _persistence(known: Sequence[Talk]) -> dict[str, float]:
    """What repeating the client's last label says of the next turn; "neutral" to begin with."""
    from affectgraph.perceivers.labels import MESC_7
    from affectgraph.reasoners.heads.lines import majority

    truth, told = list[int](), list[int]()
    for talk in known:
        last = MESC_7.labels.index("neutral")
        for turn in turns(talk.lines):
            emotions = [line.emotion for line in talk.lines[turn.begin : turn.end]]
            if talk.lines[turn.begin].person:
                truth.append(majority(emotions))
                told.append(last)
                last = emotions[-1]
    return _figures(np.array(truth), np.array(told))


def _write(readers: Readers, seen: Table, form: HeadForm, seeds: Sequence[int], out: Path) -> None:
    from affectgraph.reasoners.training.heads_mesc_fit import TEXT, fit

    head = HeadWeights(form.task, form.parts, TEXT, readers.whole, fit(seen, form, seeds))
    head.save(out / f"{form.task.replace('_', '-')}-mesc.safetensors")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, train, print."""
    parser = command.options(
        "heads_mesc",
        "Cross-validate and train the dialogue heads on MESC.",
        data="the folder that holds mesc",
        limit="utterances of each split",
        out="the folder for the weights, which must not be passed on",
        out_required=True,
    )
    parser.prog = "python -m affectgraph.reasoners.training.heads_mesc"
    given = parser.parse_args(arguments)
    if find_spec("torch") is None or find_spec("sklearn") is None:
        raise ExtraMissingError("heads_mesc", "train")
    told = run(given.data, given.out, command.sayer(given), limit=given.limit, seed=given.seed)
    command.write(given, told)


if __name__ == "__main__":
    main()
