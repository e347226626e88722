"""``affectgraph eval``: its arguments; the work is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from affectgraph.perceivers.errors import InputError

_COMPARE: Final = "compare"


def evaluate(
    name: Annotated[
        str | None, typer.Argument(help="The evaluation; or 'compare' and two JSON files.")
    ] = None,
    files: Annotated[list[Path] | None, typer.Argument(help="For 'compare'.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Name every evaluation.")] = False,
    spec: Annotated[
        Path | None, typer.Option(help="A spec whose parts are evaluated, not the default agent's.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the corpora.", envvar="AFFECTGRAPH_DATA", show_default="data"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    rows: Annotated[
        bool, typer.Option("--rows", help="With --json: per-row predictions too, for 'compare'.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder to write report.html and its figures into.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Rows of each split at most; 0 for all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of draws and of random rows.")] = 0,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws; 0 for no intervals.")] = 1000,
    run: Annotated[
        Path | None, typer.Option(help="Folder of kept predictions.", show_default="user cache")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Whether kept predictions count.")
    ] = True,
    model: Annotated[
        Path | None,
        typer.Option(help="A language model's checkpoint that mesc and esconv ask by itself."),
    ] = None,
    agent: Annotated[
        bool, typer.Option("--agent", help="Whether mesc and esconv ask the spec's reasoner too.")
    ] = False,
    bertscore: Annotated[
        Path | None,
        typer.Option(
            "--bertscore-model",
            help="Folder of BERTScore's encoder.",
            envvar="AFFECTGRAPH_BERTSCORE",
        ),
    ] = None,
) -> None:
    """Evaluate the agent's parts: tables with intervals, beside floors and published rows."""
    from affectgraph.orchestrator.evaluation import command

    if list_all:
        command.print_list()
    elif name is None:
        raise InputError("name an evaluation: `affectgraph eval --list` names them all")
    elif name == _COMPARE:
        if files is None or len(files) != 2:
            raise InputError("compare takes two JSON files: affectgraph eval compare A.json B.json")
        command.print_comparison(files[0], files[1], draws=draws, seed=seed, as_json=as_json)
    elif files:
        raise InputError(f"eval {name} takes no further argument: {files[0]}")
    else:
        asked = command.Asked(
            name=name,
            spec=spec,
            data=data,
            run=run,
            limit=limit,
            seed=seed,
            draws=draws,
            resume=resume,
            model=model,
            agent=agent,
            bertscore=bertscore,
        )
        command.evaluate(asked, as_json=as_json, rows=rows, report=report)
