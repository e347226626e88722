"""``affectgraph validate | explain | draw | new``: what an agent is made of, before it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from affectgraph.orchestrator.cli.scaffold import SCAFFOLDS, scaffold
from affectgraph.orchestrator.graph import support_graph
from affectgraph.orchestrator.presets import Settings, default_built
from affectgraph.orchestrator.spec import Built, SpecError, load_spec
from affectgraph.orchestrator.spec.explain import NodeUse, explain
from affectgraph.perceivers.errors import BuildError, InputError

SpecFile = Annotated[Path, typer.Argument(help="A spec of an agent, as YAML.")]
MaybeSpec = Annotated[
    Path | None, typer.Argument(help="A spec of an agent; without it the default agent.")
]


def validate(file: SpecFile) -> None:
    """Check a spec: every fault at once, each with its line. Exit code 2 if there are any."""
    try:
        support_graph(load_spec(file).build().parts)
    except BuildError as error:
        told(error, file)
        raise typer.Exit(2) from None
    typer.echo(f"{file}: ok")


def explain_agent(
    file: MaybeSpec = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print each node of the graph: what it reads, writes and runs on, and its time limit."""
    built = built_of(file)
    nodes = explain(built)
    if as_json:
        printed = {"nodes": [node.to_json() for node in nodes]}
        sys.stdout.write(json.dumps(printed, ensure_ascii=False, indent=2) + "\n")
    else:
        Console().print(_table(nodes))


def new(
    name: Annotated[str, typer.Argument(help="Name of the package, and of its folder.")],
    kind: Annotated[str, typer.Option(help=f"One of: {', '.join(SCAFFOLDS)}.")] = "perceiver",
    folder: Annotated[Path, typer.Option("--in", help="Where the folder is made.")] = Path(),
) -> None:
    """Begin a package of your own: a part, its tests, and an agent.yaml that uses it."""
    made = scaffold(name, kind, folder)
    typer.echo(f"{made}: a {kind}. Next:\n  pip install -e {made}\n  pytest {made}")
    typer.echo(f"  affectgraph validate {made / 'agent.yaml'}")


def built_of(file: Path | None) -> Built:
    """What a spec comes to, or the default agent.

    Raises:
        SpecError: With every fault of the spec.
    """
    return default_built(Settings()) if file is None else load_spec(file).build()


def told(error: BuildError, file: Path | None = None) -> None:
    """Print every fault on a line of its own to the standard error stream."""
    lines = str(error).splitlines()
    if not isinstance(error, SpecError) and file is not None:
        lines = [f"{file}: {line}" for line in lines]
    text = "".join(f"{line}\n" for line in lines)
    sys.stderr.write(text.encode("utf-8", "replace").decode("utf-8"))


def _table(nodes: tuple[NodeUse, ...]) -> Table:
    table = Table("node", "reads", "writes", "part", "model (licence)", "timeout", show_lines=True)
    for column in table.columns:
        column.overflow = "fold"
    for node in nodes:
        parts = [f"{escape(part.name)} [dim]{escape(part.origin)}[/]" for part in node.parts]
        models = [escape(f"{use.name} ({use.licence})") for use in node.models]
        table.add_row(
            node.node,
            ", ".join(node.reads) or "-",
            ", ".join(node.writes) or "-",
            "\n".join(parts) or "-",
            "\n".join(models) or "-",
            "-" if node.timeout is None else f"{node.timeout:g} s",
        )
    return table


def refuse_beside_spec(context: typer.Context, names: tuple[str, ...]) -> None:
    """Refuse options that a spec answers for.

    Raises:
        InputError: If one of them was given on the command line (an environment variable of the
            default agent's is no fault).
    """
    given = [name for name in names if _on_command_line(context, name)]
    if given:
        shown = ", ".join("--" + name.replace("_", "-") for name in given)
        raise InputError(f"--spec names the whole agent: say {shown} in the spec")


def _on_command_line(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
