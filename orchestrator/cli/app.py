"""``affectgraph``: talk to the agent, run one turn, check, show and evaluate an agent, pull models.

Exit codes: 0 done, 1 the machine lacks something, 2 the input cannot be taken.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from affectgraph.orchestrator.agent import Agent
from affectgraph.orchestrator.cli.chat import converse
from affectgraph.orchestrator.cli.evaluate import evaluate
from affectgraph.orchestrator.cli.inputs import make_turn, read_text
from affectgraph.orchestrator.cli.models import models, pull_missing
from affectgraph.orchestrator.cli.render import Screen
from affectgraph.orchestrator.cli.specs import (
    MaybeSpec,
    built_of,
    explain_agent,
    new,
    refuse_beside_spec,
    told,
    validate,
)
from affectgraph.orchestrator.cli.train import train
from affectgraph.orchestrator.graph import support_graph
from affectgraph.orchestrator.presets import Settings, default_built
from affectgraph.orchestrator.spec import Built, SpecError
from affectgraph.orchestrator.telemetry import configure_telemetry
from affectgraph.perceivers.errors import AffectGraphError, InputError


class Form(StrEnum):
    """The two forms of the reasoner."""

    joint = "joint"
    staged = "staged"


class Trace(StrEnum):
    """Where spans go."""

    none = "none"
    console = "console"
    otlp = "otlp"


class Withhold(StrEnum):
    """What the person does not agree to."""

    camera = "camera"
    microphone = "microphone"
    memory = "memory"


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Agents that see, hear and read how a person is, and answer in a way that helps.",
)
app.add_typer(models, name="models")
app.add_typer(train, name="train")
app.command()(validate)
app.command("explain")(explain_agent)
app.command()(new)
app.command("eval")(evaluate)

User = Annotated[str, typer.Option(help="Whose memory is used.")]
Region = Annotated[
    str | None,
    typer.Option(
        help="Country for crisis resources, such as US or DE.", envvar="AFFECTGRAPH_REGION"
    ),
]
FormOption = Annotated[Form, typer.Option(help="How the reasoner runs.")]
Order = Annotated[
    str | None,
    typer.Option(help="Order of the stages, comma separated; the response comes last."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        help="An OpenAI-compatible server, such as vLLM; without it the model runs in process.",
        envvar="AFFECTGRAPH_BASE_URL",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="Model that the server serves.", envvar="AFFECTGRAPH_MODEL"),
]
MemoryPath = Annotated[
    Path | None,
    typer.Option("--memory", help="Folder of the memory.", envvar="AFFECTGRAPH_MEMORY"),
]
Withheld = Annotated[
    list[Withhold] | None,
    typer.Option("--withhold", help="What you do not agree to. May be given several times."),
]
SpecOption = Annotated[
    Path | None, typer.Option("--spec", help="A spec of the agent, in place of the default one.")
]
TraceOption = Annotated[Trace, typer.Option(help="Where spans go.", envvar="AFFECTGRAPH_TRACE")]


# What a spec answers for.
_SPECIFIED = ("region", "form", "order", "base_url", "model", "memory")


@app.command()
def run(
    context: typer.Context,
    text: Annotated[str | None, typer.Option(help="The message; - reads standard input.")] = None,
    text_file: Annotated[Path | None, typer.Option(help="A file that holds the message.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A photo of the person.")] = None,
    audio: Annotated[Path | None, typer.Option(help="A voice note of the person.")] = None,
    video: Annotated[Path | None, typer.Option(help="A video of the person.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    spec: SpecOption = None,
    thread: Annotated[
        str | None, typer.Option(help="A conversation to go on with; without it nothing goes on.")
    ] = None,
    user: User = "me",
    region: Region = None,
    form: FormOption = Form.joint,
    order: Order = None,
    base_url: BaseUrl = None,
    model: Model = None,
    memory: MemoryPath = None,
    withhold: Withheld = None,
    trace: TraceOption = Trace.none,
) -> None:
    """Do one turn: what is perceived, decided, replied and remembered, with the time it took.

    Naming a photo, a voice note or a video on the command line is the consent to read it in this
    turn; --withhold takes it back.
    """
    turn = make_turn(
        user=user,
        thread=thread or uuid.uuid4().hex,
        text=read_text(text, text_file),
        images=image or [],
        audio=audio,
        video=video,
        withheld={str(w) for w in withhold or ()},
    )
    if spec is not None:
        refuse_beside_spec(context, _SPECIFIED)
    settings = _settings(region, form, order, base_url, model, memory)

    async def one_turn(agent: Agent) -> None:
        screen = Screen(Console())
        async with agent, aclosing(agent.stream(turn)) as events:
            async for event in events:
                if event.kind == "done":
                    if as_json:
                        sys.stdout.write(json.dumps(event.reply.to_json(), ensure_ascii=False))
                        sys.stdout.write("\n")
                    else:
                        screen.finish(event.reply, timings=True)
                elif not as_json:
                    screen.show(event)

    # Media are checked before models are pulled or loaded: a wrong file costs no waiting.
    turn.check_media()
    built = default_built(settings) if spec is None else built_of(spec)
    keeps = thread is not None and Withhold.memory not in (withhold or ())
    _with_models(built, trace, one_turn, keeps=keeps)


@app.command()
def chat(
    context: typer.Context,
    spec: SpecOption = None,
    thread: Annotated[
        str | None, typer.Option(help="A conversation to go on with; a new one without.")
    ] = None,
    user: User = "me",
    region: Region = None,
    form: FormOption = Form.joint,
    order: Order = None,
    base_url: BaseUrl = None,
    model: Model = None,
    memory: MemoryPath = None,
    withhold: Withheld = None,
    trace: TraceOption = Trace.none,
) -> None:
    """Talk to the agent. /image, /audio and /video PATH add to the next message, /quit ends."""
    if spec is not None:
        refuse_beside_spec(context, _SPECIFIED)
    settings = _settings(region, form, order, base_url, model, memory)
    built = default_built(settings) if spec is None else built_of(spec)
    withheld = {str(w) for w in withhold or ()}

    keeps = "memory" not in withheld
    name = thread or uuid.uuid4().hex[:8]

    async def conversation(agent: Agent) -> None:
        console = Console()
        await converse(agent, user, name, withheld, console)
        if keeps and built.threads is not None:
            console.print(f"[dim]affectgraph chat --thread {escape(name)} goes on from here[/]")

    _with_models(built, trace, conversation, keeps=keeps)


@app.command()
def draw(
    context: typer.Context,
    file: MaybeSpec = None,
    form: FormOption = Form.joint,
    order: Order = None,
) -> None:
    """Print the graph of an agent as Mermaid text."""
    if file is not None:
        refuse_beside_spec(context, ("form", "order"))
    settings = _settings(None, form, order, None, None, None)
    built = default_built(settings) if file is None else built_of(file)
    typer.echo(support_graph(built.parts).compile().get_graph().draw_mermaid())


def main() -> None:
    """Entry point: errors of ours are one line each, and an exit code."""
    try:
        app()
    except InputError as error:
        _complain(error)
        sys.exit(2)
    except SpecError as error:
        told(error)
        sys.exit(2)
    except AffectGraphError as error:
        _complain(error)
        sys.exit(1)


def _complain(error: AffectGraphError) -> None:
    line = f"affectgraph: {error}".replace("\n", " ")
    sys.stderr.write(line.encode("utf-8", "replace").decode("utf-8") + "\n")


def _settings(
    region: str | None,
    form: Form,
    order: str | None,
    base_url: str | None,
    model: str | None,
    memory: Path | None,
) -> Settings:
    stages = tuple(part.strip() for part in order.split(",")) if order else None
    return Settings.of(
        region=region,
        form=form.value,
        order=stages,
        base_url=base_url,
        model=model,
        memory=memory,
    )


def _with_models(
    built: Built,
    trace: Trace,
    work: Callable[[Agent], Coroutine[None, None, None]],
    *,
    keeps: bool,
) -> None:
    """Pull what is missing, then run the work on the agent with tracing configured.

    Without ``keeps`` the conversation is in this process's memory and ends with it.
    """
    pull_missing(built.needed_models, Console(stderr=True))
    shutdown = configure_telemetry(trace.value)
    threads = built.threads if keeps else None
    try:
        asyncio.run(work(Agent(built.parts, threads=threads, on_busy=built.on_busy)))
    finally:
        shutdown()
