"""Tables of systems that give each unit of a dialogue one label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats, Groups
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    ECE,
    MACRO_F1,
    WEIGHTED_F1,
    class_f1,
    confusion,
    difference,
    measure,
)
from affectgraph.orchestrator.evaluation.result import (
    Bars,
    Estimate,
    Fact,
    Figure,
    Kept,
    Kind,
    Result,
    Row,
    Table,
)
from affectgraph.perceivers.errors import SetupError

Labels = NDArray[np.int64]
METRICS = (ACCURACY, WEIGHTED_F1, MACRO_F1)


@dataclass(frozen=True)
class Units:
    """What a table counts.

    Attributes:
        title: Corpus, task, split, unit and protocol.
        labels: Names of the classes.
        truth: Class of each unit, shape (n,).
        dialogues: Whose each unit is, shape (n,); those of one are drawn together.
        note: The protocol.
    """

    title: str
    labels: tuple[str, ...]
    truth: Labels
    dialogues: Groups
    note: str = ""


@dataclass(frozen=True)
class System:
    """What one system told of each unit.

    Attributes:
        name: In the table.
        told: Class of each unit, shape (n,).
        probs: Probabilities, shape (n, k), for the calibration error; ``None`` without any.
        kind: Whether it is ours, a floor, or a variant of ours.
        note: What a reader must know.
        seeds: What each of several models told by itself, where ``told`` is their mean's.
    """

    name: str
    told: Labels
    probs: Floats | None = None
    kind: Kind = "ours"
    note: str = ""
    seeds: tuple[Labels, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        probs: Floats,
        *,
        kind: Kind = "ours",
        note: str = "",
        seeds: Sequence[Floats] = (),
    ) -> System:
        """The most probable class of each unit, probabilities of shape (n, k)."""
        each = tuple(np.asarray(seed.argmax(axis=1), np.int64) for seed in seeds)
        told = np.asarray(probs.argmax(axis=1), np.int64)
        return cls(name, told, np.asarray(probs, np.float64), kind, note, each)


def label_table(
    bench: Bench,
    units: Units,
    floors: Mapping[str, Labels],
    systems: Sequence[System],
    published: Sequence[Row] = (),
    *,
    over: str | None = None,
    extra: Mapping[str, Callable[[Labels], Estimate]] | None = None,
) -> Result:
    """One table, with what the report and a later comparison need.

    Args:
        bench: How intervals are drawn.
        units: What is counted.
        floors: Name -> what is told without looking.
        systems: Ours; the first is drawn and kept.
        published: Rows of papers.
        over: The floor that ours are compared with, paired over dialogues; ``None`` for none.
        extra: More figures by name, each of what a system told.

    Raises:
        SetupError: If a system tells of other units than these.
    """
    more = extra or {}
    rows = [
        Row(name, "baseline", _measured(bench, units, told, more), len(units.truth))
        for name, told in floors.items()
    ]
    facts: dict[str, Fact] = {}
    for system in systems:
        if len(system.told) != len(units.truth):
            raise SetupError(
                f"{units.title}: {system.name} tells {len(system.told)} labels, want"
                f" {len(units.truth)}; were its predictions made with another --limit or --seed?"
            )
        measured = _measured(bench, units, system.told, more)
        if over is not None:
            measured |= _gains(bench, units, system.told, floors[over])
        rows.append(_row(bench, units, system, measured, over))
        facts |= _spread(units, system)
    table = Table(units.title, (*rows, *published), units.note)
    drawn = _figures(units, systems[0]) if systems else ()
    kept = (
        (Kept(units.title, "accuracy", units.truth, systems[0].told, units.dialogues),)
        if systems
        else ()
    )
    return Result(units.title, (table,), drawn, facts, kept)


def joined(name: str, parts: Sequence[Result]) -> Result:
    """Several results as one."""
    return Result(
        name,
        tuple(table for part in parts for table in part.tables),
        tuple(figure for part in parts for figure in part.figures),
        {key: fact for part in parts for key, fact in part.facts.items()},
        tuple(kept for part in parts for kept in part.kept),
    )


def _measured(
    bench: Bench, units: Units, told: Labels, more: Mapping[str, Callable[[Labels], Estimate]]
) -> dict[str, Estimate]:
    figures = measure(METRICS, units.truth, told, bench.bootstrap, units.dialogues)
    return figures | {name: figure(told) for name, figure in more.items()}


def _gains(bench: Bench, units: Units, told: Labels, floor: Labels) -> dict[str, Estimate]:
    """What a system has over a floor, paired over dialogues."""
    return {
        f"{metric.name} gain": difference(
            metric, units.truth, told, floor, bench.bootstrap, units.dialogues
        )
        for metric in (ACCURACY, WEIGHTED_F1)
    }


def _row(
    bench: Bench, units: Units, system: System, figures: dict[str, Estimate], over: str | None
) -> Row:
    if system.probs is not None:
        figures = figures | measure(
            [ECE], units.truth, system.probs, bench.bootstrap, units.dialogues
        )
    notes = [system.note, f"gain over: {over}" if over else ""]
    return Row(
        system.name, system.kind, figures, len(units.truth), "; ".join(n for n in notes if n)
    )


def _spread(units: Units, system: System) -> dict[str, Fact]:
    """Mean and standard deviation over single models, where a system is the mean of several."""
    if len(system.seeds) < 2:
        return {}
    told = f"{units.title}, {system.name}, single models"
    facts: dict[str, Fact] = {}
    for metric in METRICS:
        scores = [metric.score(units.truth, seed) for seed in system.seeds]
        facts[f"{told}, {metric.name}"] = (
            f"{np.mean(scores):.3f}, standard deviation {np.std(scores, ddof=1):.3f} over"
            f" {len(scores)} seeds"
        )
    return facts


def _figures(units: Units, system: System) -> tuple[Figure, ...]:
    scores = class_f1(units.truth, system.told, len(units.labels))
    return (
        confusion(units.title, units.labels, units.truth, system.told),
        Bars(units.title, units.labels, {"F1": scores}),
    )
