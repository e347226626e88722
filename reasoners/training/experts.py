"""Fits how much each expert of a label stage counts: ``data/experts.json``.

``python -m affectgraph.reasoners.training.experts --data DIR --json`` fits what needs no language
model; with ``--model NAME`` (a pulled model, or a folder) also that model's completion scores and
constrained choices, on a sub-sample, as each costs a pass. What was fitted for other models stays
in the file.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.text import MiniLMEncoder
from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.contracts import Backend, LabelHead
from affectgraph.reasoners.stages.weights import ANY, EXPERTS, Company, Weights, merged
from affectgraph.reasoners.training.experts_fit import (
    EARNS,
    Data,
    Fitted,
    calibrations,
    companies,
    fit,
)
from affectgraph.reasoners.training.experts_readings import (
    Kept,
    KeptBeliefs,
    free_experts,
    may_be_chosen,
    read_choice,
    read_free,
    read_score,
)
from affectgraph.reasoners.training.experts_rows import Read, Rows, emotion_rows, strategy_rows

Matrix = NDArray[np.float64]
Say = Callable[[str], None]

_ROWS: Final = 400
"""Rows at most that a language model reads for a stage."""
_CHOICES: Final = 200
"""Rows of these in which it chooses: a choice costs several times a score."""
_KEPT: Final = Path("~/.cache/affectgraph/experts")
ROWS: Final = MappingProxyType({"user_emotion": emotion_rows, "strategy": strategy_rows})
"""Stage -> what reads its rows."""


@dataclass(frozen=True)
class Outcome:
    """What a run found.

    Attributes:
        weights: What was fitted.
        reports: One for each company, as JSON has it.
    """

    weights: Weights
    reports: tuple[Mapping[str, Any], ...]


async def free_of_models(rows: Rows, head: LabelHead | None, *, seed: int) -> Outcome:
    """Companies of experts that need no language model, on all rows.

    Args:
        rows: The rows of a stage.
        head: A trained head over the stage's labels.
        seed: Of the folds.
    """
    probs = {str(e.source): await read_free(rows, e) for e in free_experts(rows, head)}
    return _fitted(rows, ANY, probs, companies(tuple(probs)), seed)


async def with_a_model(
    rows: Rows,
    head: LabelHead | None,
    backend: Backend,
    kept: Kept,
    say: Say,
    *,
    choices: int = 0,
    seed: int = 0,
) -> Outcome:
    """Companies in which a language model scores or chooses.

    Args:
        rows: The sub-sample.
        head: A trained head over the stage's labels.
        backend: The model.
        kept: Where its readings are kept.
        say: Told the progress.
        choices: Rows at most in which it chooses; 0 for all.
        seed: Of the folds.
    """
    free = {str(e.source): await read_free(rows, e) for e in free_experts(rows, head)}
    mask = may_be_chosen(rows, free.get("rule"))
    mine: dict[str, Matrix] = {}
    if rows.stage == "user_emotion" and hasattr(backend, "score"):
        mine["score"] = await read_score(rows, backend, kept, say)
    mine["choice"] = await read_choice(rows, backend, mask, kept, say, count=choices, seed=seed)
    wanted = [c for c in companies((*free, *mine)) if set(c) & set(mine)]
    model = str(getattr(backend, "model", ""))
    return _fitted(rows, model, {**free, **mine}, wanted, seed)


def earned(fits: Mapping[tuple[str, ...], Fitted]) -> dict[tuple[str, ...], dict[str, float]]:
    """Exponents of each company; a model's choice that does not earn its cost has none.

    Args:
        fits: Company -> what was fitted, with those that lack the choice among them.
    """
    found = {}
    for names, each in fits.items():
        found[names] = dict(each.exponents)
        if each.unasked is not None and each.unasked.log_loss - each.fitted.log_loss < EARNS:
            without = fits[tuple(name for name in names if name != "choice")]
            found[names] = {**without.exponents, "choice": 0.0}
    return found


def _fitted(
    rows: Rows,
    model: str,
    probs: Mapping[str, Matrix],
    wanted: Sequence[tuple[str, ...]],
    seed: int,
) -> Outcome:
    mask = may_be_chosen(rows, probs.get("rule"))
    data = Data(probs, rows.truth, rows.weight, rows.group, mask)
    known = calibrations(tuple(probs), data)
    lesser = {tuple(n for n in names if n != "choice") for names in wanted} - {()}
    fits = {names: fit(names, data, seed=seed) for names in sorted({*wanted, *lesser})}
    exponents = earned(fits)
    mine = {name for names in wanted for name in names if model == ANY or name in ("score",)}
    weights = Weights(
        tuple(Company(rows.stage, rows.labels.name, model, exponents[names]) for names in wanted),
        {
            (rows.stage, rows.labels.name, model, name): known[name]
            for name in probs
            if name in mine and name not in ("rule", "choice")
        },
    )
    reports = tuple(
        {
            "stage": rows.stage,
            "labels": rows.labels.name,
            "model": model,
            "experts": "+".join(names),
            "exponents": exponents[names],
            "fitted_on": rows.sources,
            **{
                key: asdict(getattr(fits[names], key))
                for key in ("fitted", "equal", "raw", "prior")
            },
            "unasked": None if (less := fits[names].unasked) is None else asdict(less),
            "alone": {name: asdict(each) for name, each in fits[names].alone.items()},
        }
        for names in wanted
    )
    return Outcome(weights, reports)


async def run(
    data: Path,
    *,
    read: Read,
    heads: Mapping[str, LabelHead],
    backend: Backend | None,
    out: Path,
    kept: Path,
    limit: int,
    count: int,
    choices: int,
    seed: int,
    say: Say,
    stages: Sequence[str] = tuple(ROWS),
) -> dict[str, Any]:
    """Fit, and write the file.

    Args:
        data: Folder of ``goemotions`` and ``esconv``.
        read: The text reader.
        heads: Stage -> trained head.
        backend: A language model, or ``None`` to leave what was fitted for any as it is.
        out: Folder for ``experts.json``.
        kept: Folder for what the models said, so that a run that was stopped goes on.
        limit: Rows of each corpus, or chats; 0 for all.
        count: Rows of a stage that the model reads.
        choices: Rows of these in which it chooses.
        seed: Of draws and folds.
        say: Told the progress.
        stages: Which are fitted.

    Returns:
        The report.
    """
    found = list[Outcome]()
    read = KeptBeliefs(read, kept)
    for stage in stages:
        rows = await ROWS[stage](data, read, limit=limit, seed=seed)
        say(f"{rows.stage}: {len(rows)} rows")
        head = heads.get(rows.stage)
        found.append(await free_of_models(rows, head, seed=seed))
        if backend is not None:
            some = rows.at(rows.drawn(count, seed))
            readings = Kept(kept, str(getattr(backend, "model", "")))
            fitted = await with_a_model(
                some, head, backend, readings, say, choices=choices, seed=seed
            )
            found.append(fitted)
    new = Weights(
        tuple(c for each in found for c in each.weights.companies),
        {k: c for each in found for k, c in each.weights.calibrations.items()},
    )
    reports = [dict(report) for each in found for report in each.reports]
    return await BlockingPool(size=1).run(lambda: store(out / EXPERTS.name, new, reports))


def store(file: Path, new: Weights, reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Write weights, beside what the file holds of other models and stages; give the report."""
    renewed = {(company.stage, company.model) for company in new.companies}
    old: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    others = [r for r in old.get("fitted", []) if (r["stage"], r["model"]) not in renewed]
    before = Weights.parse(old) if old else Weights()
    stored = {**merged(before, new).printed(), "fitted": [*others, *reports]}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    models = sorted({model for _, model in renewed})
    return {"name": "experts", "file": file.name, "models": models, "fits": reports}


def head_named(target: str) -> LabelHead:
    """A head by ``module:Class`` or ``module:Class@weights``; given the text encoder if it asks.

    Raises:
        SetupError: If there is none.
    """
    path, _, weights = target.partition("@")
    module, _, name = path.partition(":")
    try:
        maker = getattr(import_module(module), name)
        wanted: dict[str, Any] = {"weights": Path(weights)} if weights else {}
        if "encoder" in signature(maker).parameters:
            wanted["encoder"] = MiniLMEncoder()
        made = maker(**wanted)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SetupError(
            f"head {target!r}: {type(error).__name__}: want module:Class, or module:Class@weights"
        ) from error
    if not isinstance(made, LabelHead):
        raise SetupError(f"head {target!r} is no LabelHead")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    from affectgraph.reasoners.training.reading import TextBeliefs

    parser = argparse.ArgumentParser(
        prog="python -m affectgraph.reasoners.training.experts",
        description="Fit how much each expert of a label stage counts.",
    )
    parser.add_argument("--data", type=Path, required=True, help="holds goemotions and esconv")
    parser.add_argument("--out", type=Path, default=EXPERTS.parent, help="for experts.json")
    parser.add_argument(
        "--run", type=Path, default=_KEPT, help="for what was read, so that a run can go on"
    )
    parser.add_argument(
        "--model", default="", help="pulled language model, or a checkpoint's folder"
    )
    parser.add_argument("--head", action="append", default=[], help="module:Class[@weights]")
    parser.add_argument("--stage", choices=tuple(ROWS), action="append", help="by default both")
    parser.add_argument("--rows", type=int, default=_ROWS, help="rows that the model reads a stage")
    parser.add_argument("--choices", type=int, default=_CHOICES, help="of them, rows it chooses in")
    parser.add_argument("--limit", type=int, default=0, help="rows of a corpus at most; 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="no progress, JSON on one line")
    given = parser.parse_args(arguments)

    def say(line: str) -> None:
        if not given.json:
            sys.stderr.write(line + "\n")

    async def work() -> dict[str, Any]:
        heads = {str(head.stage): head for head in map(head_named, given.head)}
        folder = Path(given.model) if "/" in given.model else None
        backend = LocalBackend(model=given.model or "none", folder=folder) if given.model else None
        return await run(
            given.data,
            read=TextBeliefs(),
            heads=heads,
            backend=backend,
            out=given.out,
            kept=given.run.expanduser(),
            limit=given.limit,
            count=given.rows,
            choices=given.choices,
            seed=given.seed,
            say=say,
            stages=given.stage or tuple(ROWS),
        )

    result = asyncio.run(work())
    sys.stdout.write(json.dumps(result, indent=None if given.json else 1) + "\n")


if __name__ == "__main__":
    main()
