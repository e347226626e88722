"""How a turn looks in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from affectgraph.orchestrator.events import (
    Assessed,
    Decided,
    Event,
    Fused,
    Noticed,
    Omitted,
    Perceived,
    Recalled,
    Remembered,
    Replaced,
    Token,
)
from affectgraph.orchestrator.reply import Reply
from affectgraph.perceivers.affect import Affect, Reading

_STAGE = {
    "user_emotion": "user emotion",
    "strategy": "strategy",
    "system_emotion": "system emotion",
}


class Screen:
    """Prints a turn's events as they come: what was perceived and decided, then the reply.

    Args:
        console: Where to print.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._speaking = False

    def show(self, event: Event) -> None:
        """Print one event."""
        line = _line(event)
        if line is not None:
            self._end_speech()
            self._console.print(line, highlight=False)
        elif isinstance(event, Token | Replaced):
            if not self._speaking:
                self._console.print()
                self._speaking = True
            self._console.print(escape(event.text), end="", highlight=False, soft_wrap=True)

    def finish(self, reply: Reply, *, timings: bool) -> None:
        """End the turn: what was left out, and the time that each node took."""
        self._end_speech()
        if reply.left_out:
            said = "; ".join(f"{part.node} ({part.detail})" for part in reply.left_out)
            self._console.print(f"[yellow]left out: {escape(said)}[/]", highlight=False)
        if timings:
            table = Table("node", "ms", title="time per node", title_justify="left")
            table.columns[1].justify = "right"
            for node, spent in reply.timings_ms.items():
                table.add_row(node, f"{spent:,.1f}")
            self._console.print(table)

    def _end_speech(self) -> None:
        if self._speaking:
            self._console.print("\n")
            self._speaking = False


def _line(event: Event) -> str | None:
    """One line for every event but the spoken ones."""
    match event:
        case Noticed(text=text):
            return f"[dim italic]{escape(text)}[/]"
        case Perceived(reading=reading):
            return f"[cyan]{reading.modality:<8}[/] {_reading(reading)}"
        case Fused(affect=affect):
            return f"[cyan]affect[/]   {_affect(affect) if affect else 'nothing was perceived'}"
        case Assessed(risk=risk):
            axes = f" ({', '.join(risk.axes)})" if risk.axes else ""
            return f"[cyan]risk[/]     level {risk.level}{axes}"
        case Recalled(recollections=found):
            return (
                f"[cyan]recalled[/] {len(found)} memor{'y' if len(found) == 1 else 'ies'}"
                + "".join(
                    f"\n         {r.record.at:%Y-%m-%d}  {escape(_short(r.record.text))}"
                    for r in found
                )
            )
        case Decided(decision=d):
            share = d.distribution[d.label]
            return f"[magenta]{_STAGE[d.stage]}[/]: {escape(d.label)} ({share:.2f})"
        case Omitted(left_out=part):
            return f"[yellow]{part.node} left out: {escape(part.detail)}[/]"
        case Remembered():
            return "[dim]remembered[/]"
        case _:
            return None


def _reading(reading: Reading) -> str:
    heard = f'"{escape(_short(reading.transcript))}"  ' if reading.transcript else ""
    if reading.affect is None:
        assert reading.abstention is not None
        return f"{heard}[dim]abstains: {escape(reading.abstention.detail)}[/]"
    return heard + _affect(reading.affect)


def _affect(affect: Affect) -> str:
    vad = affect.vad
    return (
        f"[bold]{affect.top}[/] ({affect.confidence:.2f})"
        f"  [dim]valence {vad.valence:+.2f}, arousal {vad.arousal:+.2f}[/]"
    )


def _short(text: str, limit: int = 100) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
