"""What the support graph costs beside the same graph written by hand in bare LangGraph.

    python benchmarks/overhead.py [--blocks N] [--turns N] [--json]

Both take the same turns over the same parts, none of which does anything, in alternating blocks of
one process: what else the machine does falls on both. The cost of a turn is that of a reply of one
sentence; the cost of a streamed token is what each token of a longer reply adds, to the moment at
which the caller has it. Both run with ``durability="exit"``; in sqlite, ours keeps its journal of
what was delivered. Wall time is what a caller waits; processor time is what the machine works, and
is hardly touched by what else it does.

The same turn in haystack and in pipecat stands beside it (extra ``compare``). They keep no threads:
compare them with the rows in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.metadata
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs by its path, too

from affectgraph.orchestrator import Consent, Parts, Turn
from benchmarks.graphs.machines import Bare, Machine, Ours, Store
from benchmarks.graphs.noop import SENTENCE, NoReasoner, noop_parts

LIMIT: Final = 1.3
"""What ours may cost, as a multiple of bare LangGraph."""

SHORT: Final = 1
LONG: Final = 14
"""Sentences of a reply; the agent's own replies end after 80 words."""

_EXTRA_TOKENS: Final = (LONG - SHORT) * len(SENTENCE)


@dataclass(frozen=True)
class Cost:
    """What a turn took in one block, in microseconds."""

    wall: float
    cpu: float


@dataclass
class Row:
    """The blocks of one machine."""

    short: list[Cost] = field(default_factory=list)
    long: list[Cost] = field(default_factory=list)

    def turn(self, clock: str) -> list[float]:
        """Microseconds of a turn with a short reply, one number a block."""
        return [getattr(cost, clock) for cost in self.short]

    def token(self, clock: str) -> list[float]:
        """Microseconds that a token adds, one number a block."""
        pairs = zip(self.short, self.long, strict=True)
        return [(getattr(b, clock) - getattr(a, clock)) / _EXTRA_TOKENS for a, b in pairs]


async def measured(
    machines: dict[str, Callable[[Parts], Machine]], blocks: int, turns: int
) -> dict[str, Row]:
    """Let machines take turns in alternating blocks.

    Args:
        machines: Name to what makes the machine over parts.
        blocks: Blocks of each machine and each length of reply.
        turns: Turns in a block, all of one thread that is new.
    """
    made: dict[tuple[str, int], Machine] = {}
    # Those that are compared run next to each other: same length, then machine by machine.
    for sentences in (SHORT, LONG):
        for name, make in machines.items():
            made[name, sentences] = make(noop_parts(NoReasoner(sentences)))
            await made[name, sentences].open()
    rows = {name: Row() for name in machines}
    for machine in made.values():
        await _block(machine, "warm-up", turns)
    for block in range(blocks):
        # Each machine is first as often as last.
        order = list(made) if block % 2 else list(reversed(made))
        for name, sentences in order:
            cost = await _block(made[name, sentences], f"block {block}", turns)
            (rows[name].short if sentences == SHORT else rows[name].long).append(cost)
    for machine in made.values():
        await machine.close()
    return rows


async def _block(machine: Machine, thread: str, turns: int) -> Cost:
    consent = Consent(memory=True)
    given = [Turn(user="u", thread=thread, text="hello", consent=consent) for _ in range(turns)]
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for turn in given:
        await machine.take(turn)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(wall=wall / turns * 1e6, cpu=cpu / turns * 1e6)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "q1": round(low, 3), "q3": round(high, 3)}


def compared(ours: Row, bare: Row) -> dict[str, Any]:
    """Ours as a multiple of bare LangGraph, block by block."""
    told: dict[str, Any] = {}
    for clock in ("wall", "cpu"):
        turn = [a / b for a, b in zip(ours.turn(clock), bare.turn(clock), strict=True)]
        told[f"turn_over_bare_{clock}"] = spread(turn)
        # A token is the small difference of two blocks: the medians of both, then their ratio.
        token, its = (statistics.median(row.token(clock)) for row in (ours, bare))
        told[f"token_over_bare_{clock}"] = round(token / its, 3)
        told[f"turn_us_{clock}"] = spread(ours.turn(clock))
        told[f"token_us_{clock}"] = spread(ours.token(clock))
    return told


def alone(row: Row) -> dict[str, Any]:
    """What a machine took."""
    return {
        f"{what}_us_{clock}": spread(getattr(row, what)(clock))
        for clock in ("wall", "cpu")
        for what in ("turn", "token")
    }


def others() -> tuple[dict[str, Callable[[Parts], Machine]], dict[str, str]]:
    """What else is installed, and why what is not is left out."""
    found: dict[str, Callable[[Parts], Machine]] = {}
    absent: dict[str, str] = {}
    for name in ("haystack", "pipecat"):
        try:
            importlib.metadata.version(f"{name}-ai")
        except importlib.metadata.PackageNotFoundError:
            absent[name] = f"{name}-ai is not installed: pip install 'affectgraph[compare]'"
            continue
        if name == "haystack":
            from benchmarks.graphs.in_haystack import HaystackTurns

            found[name] = HaystackTurns
        else:
            from benchmarks.graphs.in_pipecat import PipecatTurns

            found[name] = PipecatTurns
    return found, absent


async def run(blocks: int, turns: int) -> dict[str, Any]:
    """Measure everything."""
    metrics: dict[str, Any] = {"limit": LIMIT, "blocks": blocks, "turns_a_block": turns}
    baselines: dict[str, Any] = {}
    stores: tuple[Store, ...] = ("memory", "sqlite")
    more, absent = others()
    for store in stores:
        with tempfile.TemporaryDirectory() as folder:
            machines: dict[str, Callable[[Parts], Machine]] = {
                "ours": _placed(Ours, store, Path(folder)),
                "bare": _placed(Bare, store, Path(folder)),
                **(more if store == "memory" else {}),
            }
            rows = await measured(machines, blocks, turns)
        metrics[store] = compared(rows["ours"], rows["bare"])
        baselines[f"bare_langgraph_{store}"] = alone(rows["bare"])
        for name in machines.keys() & more.keys():
            version = importlib.metadata.version(f"{name}-ai")
            baselines[name] = {"version": version, **alone(rows[name])}
    baselines.update({name: {"skipped": why} for name, why in absent.items()})
    return {"name": "overhead", "metrics": metrics, "baselines": baselines}


def _placed(
    kind: type[Ours] | type[Bare], store: Store, folder: Path
) -> Callable[[Parts], Machine]:
    places = iter(range(2))

    def make(parts: Parts) -> Machine:
        place = folder / f"{kind.__name__.lower()}-{next(places)}"
        place.mkdir()
        return kind(parts, store, place)

    return make


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = asyncio.run(run(arguments.blocks, arguments.turns))
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
