"""``affectgraph chat``: a conversation in the terminal."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from affectgraph.orchestrator.agent import Agent
from affectgraph.orchestrator.cli.inputs import make_turn
from affectgraph.orchestrator.cli.render import Screen
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import InputError

HELP = "/image PATH, /audio PATH and /video PATH add to your next message, /quit ends."


@dataclass
class Draft:
    """What the person has put together for the next message."""

    images: list[Path] = field(default_factory=list)
    audio: Path | None = None
    video: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.images or self.audio or self.video)

    def command(self, line: str) -> str:
        """Carry out a line that starts with a slash; returns what to print.

        Raises:
            InputError: If there is no such command or its path is missing.
        """
        try:
            name, *rest = shlex.split(line)
        except ValueError as error:
            raise InputError(f"{line}: {error}") from None
        if name not in ("/image", "/audio", "/video"):
            raise InputError(f"{name}: no such command. {HELP}")
        if len(rest) != 1:
            raise InputError(f"{name} takes one path")
        path = Path(rest[0]).expanduser()
        if name == "/image":
            self.images.append(path)
        elif name == "/audio":
            self.audio = path
        else:
            self.video = path
        return f"{path} goes with your next message"


async def converse(
    agent: Agent, user: str, thread: str, withheld: set[str], console: Console
) -> None:
    """Take messages line by line until the input ends.

    A message that cannot be taken is named and kept out; the conversation goes on, and the text
    can be sent again with the arrow keys of the terminal's line editing.
    """
    reader = BlockingPool(size=1)
    draft = Draft()
    async with agent:
        with console.status("loading models"):
            await agent.warm_up()
        console.print(f"[dim]{HELP}[/]")
        while (line := await reader.run(lambda: _line(console))) is not None:
            try:
                if line.strip() in ("/quit", "/exit"):
                    return
                if line.startswith("/"):
                    console.print(f"[dim]{escape(draft.command(line))}[/]")
                    continue
                if not line.strip() and not draft:
                    continue
                turn = make_turn(
                    user=user,
                    thread=thread,
                    text=line,
                    images=draft.images,
                    audio=draft.audio,
                    video=draft.video,
                    withheld=withheld,
                )
                draft = Draft()
                screen = Screen(console)
                async with aclosing(agent.stream(turn)) as events:
                    async for event in events:
                        if event.kind == "done":
                            screen.finish(event.reply, timings=False)
                        else:
                            screen.show(event)
            except InputError as error:
                console.print(f"[red]{escape(str(error))}[/]", highlight=False)
            except asyncio.CancelledError:
                console.print("[dim]stopped[/]")
                raise


def _line(console: Console) -> str | None:
    try:
        return console.input("[bold green]you>[/] ")
    except EOFError:
        return None
