"""``affectgraph eval``: run an evaluation, list them, compare two results."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Printed

from affectgraph.orchestrator.evaluation.bench import Bench, default_data, default_run
from affectgraph.orchestrator.evaluation.bench import Progress as Report
from affectgraph.orchestrator.evaluation.bootstrap import Bootstrap
from affectgraph.orchestrator.evaluation.compare import compare
from affectgraph.orchestrator.evaluation.metrics import check_metrics
from affectgraph.orchestrator.evaluation.report import (
    Circumstances,
    check_installed,
    figure,
    interval,
    told,
    write_report,
)
from affectgraph.orchestrator.evaluation.result import Fact, Result, Table
from affectgraph.orchestrator.evaluation.subjects import Subjects
from affectgraph.orchestrator.evaluation.tasks import targets, task
from affectgraph.perceivers.errors import BuildError

_LIBRARIES: Final = (
    "affectgraph",
    "numpy",
    "scikit-learn",
    "audmetric",
    "onnxruntime",
    "sacrebleu",
    "nltk",
    "rouge-score",
)


@dataclass(frozen=True)
class Asked:
    """What is to be evaluated, and how.

    Attributes:
        name: The evaluation.
        spec: Whose parts; the default agent's without.
        data: Folder of the corpora; ``None`` for the usual one.
        run: Folder of kept predictions; ``None`` for the user's cache.
        limit: Rows of each split at most; 0 for all.
        seed: Of draws and of random rows.
        draws: Of the bootstrap; 0 for no intervals.
        resume: Whether kept predictions count.
        model: A language model's checkpoint that `mesc` and `esconv` ask by itself.
        agent: Whether they ask the spec's reasoner.
        bertscore: Folder of BERTScore's encoder.
    """

    name: str
    spec: Path | None = None
    data: Path | None = None
    run: Path | None = None
    limit: int = 0
    seed: int = 0
    draws: int = 1000
    resume: bool = True
    model: Path | None = None
    agent: bool = False
    bertscore: Path | None = None

    def bench(self, progress: Report) -> Bench:
        """The bench, with nothing loaded.

        Raises:
            SpecError: With every fault of the spec.
        """
        return Bench(
            subjects=Subjects.of(self.spec),
            data=self.data or default_data(),
            run=self.run or default_run(),
            limit=self.limit,
            seed=self.seed,
            bootstrap=Bootstrap(draws=self.draws, seed=self.seed),
            resume=self.resume,
            progress=progress,
            model=self.model,
            agent=self.agent,
            bertscore=self.bertscore,
        )

    @property
    def settings(self) -> dict[str, Fact]:
        """What the figures depend on besides the data."""
        settings: dict[str, Fact] = {
            "spec": self.spec.name if self.spec else "default",
            "limit": self.limit,
            "seed": self.seed,
            "bootstrap draws": self.draws,
        }
        if self.model is not None:
            settings["model"] = self.model.name
        if self.bertscore is not None:
            settings["bertscore's encoder"] = self.bertscore.name
        for library in _LIBRARIES:
            try:
                settings[library] = installed(library)
            except PackageNotFoundError:
                settings[library] = "from its source"
        return settings

    @property
    def command(self) -> str:
        """What to type to get the same result; the data folder stays the reader's own."""
        words = ["affectgraph", "eval", self.name, "--data", "DIR"]
        words += ["--spec", self.spec.name] if self.spec else []
        words += ["--limit", str(self.limit)] if self.limit else []
        words += ["--seed", str(self.seed)] if self.seed else []
        words += ["--draws", str(self.draws)] if self.draws != 1000 else []
        words += ["--model", self.model.name] if self.model else []
        words += ["--agent"] if self.agent else []
        words += ["--bertscore-model", self.bertscore.name] if self.bertscore else []
        return shlex.join(words)


def evaluate(asked: Asked, *, as_json: bool, rows: bool, report: Path | None) -> None:
    """Run an evaluation and print it.

    Args:
        asked: What.
        as_json: Whether one JSON object is printed, and no progress.
        rows: Whether the per-row predictions go into it.
        report: Folder of a report; ``None`` for none.

    Raises:
        ExtraMissingError: If the extra ``eval`` is not installed.
        BuildError: If there is no such evaluation.
        SetupError: If the corpus or a model is absent.
    """
    check_metrics()
    if report is not None:
        check_installed()
    task_ = task(asked.name)
    with _shown(quiet=as_json) as progress:
        bench = asked.bench(progress)
        result = asyncio.run(task_.run(bench))
    if as_json:
        printed = {**result.as_json(rows=rows), "settings": asked.settings}
        sys.stdout.write(json.dumps(printed, allow_nan=False) + "\n")
    else:
        print_result(result, Console())
    if report is not None:
        how = Circumstances(task_.about, asked.command, asked.settings, bench.bootstrap.level)
        file = write_report(result, how, report)
        Console(stderr=True).print(f"wrote {escape(str(file))}")


def print_result(result: Result, console: Console) -> None:
    """Print every table and fact."""
    for table in result.tables:
        console.print(_table(table))
        if table.note:
            console.print(f"[dim]{escape(table.note)}[/]\n")
    for name, fact in result.facts.items():
        console.print(f"{escape(name)}: {escape(told(fact))}")


def _table(table: Table) -> Printed:
    shown = Printed("system", *table.columns, "rows", title=table.title, title_justify="left")
    for column in shown.columns[1:]:
        column.justify = "right"
    for row in table.rows:
        style = {"ours": "bold", "ablation": "bold", "published": "italic dim"}.get(row.kind, "")
        cells = [
            f"{figure(row.metrics[name])}\n[dim]{interval(row.metrics[name])}[/]".rstrip()
            if name in row.metrics
            else ""
            for name in table.columns
        ]
        name = escape(row.name) + (" [dim](published)[/]" if row.kind == "published" else "")
        name += f"\n[dim]{escape(row.note)}[/]" if row.note else ""
        shown.add_row(name, *cells, "" if row.n is None else f"{row.n:,}", style=style)
    return shown


def print_list() -> None:
    """Print every evaluation with what it measures."""
    table = Printed("name", "what it measures")
    for name in targets():
        try:
            about = task(name).about
        except BuildError as error:
            about = f"cannot be used: {error}"
        table.add_row(escape(name), escape(about))
    Console().print(table)


def print_comparison(first: Path, second: Path, *, draws: int, seed: int, as_json: bool) -> None:
    """Print how two results of ``eval NAME --json`` differ.

    Raises:
        ExtraMissingError: If the extra ``eval`` is not installed.
        InputError: If they cannot be compared.
    """
    check_metrics()
    found = compare(first, second, Bootstrap(draws=draws, seed=seed))
    if as_json:
        printed = {"name": "compare", "differences": [each.as_json() for each in found]}
        sys.stdout.write(json.dumps(printed, allow_nan=False) + "\n")
        return
    table = Printed("table", "metric", "first", "second", "second - first", "95 % interval")
    for each in found:
        table.add_row(
            escape(each.title), each.metric, f"{each.first:.3f}", f"{each.second:.3f}",
            f"{each.gain.value:+.3f}", interval(each.gain) or "[dim]needs --rows in both[/]",
        )  # fmt: skip
    Console().print(table)


@contextmanager
def _shown(*, quiet: bool) -> Iterator[Report]:
    """Progress bars on the standard error stream; none with ``quiet``."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:
        known = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in known:
                known[what] = bars.add_task(escape(what), total=total)
            bars.update(known[what], completed=done, total=total)

        yield show
