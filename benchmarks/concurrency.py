"""Many conversations at once: is anything lost, does anything cross over, and how fast is it?

    python benchmarks/concurrency.py [--sessions N] [--turns N] [--rounds N] [--json]

Every session has a word of its own, and the reasoner says back what it was told and what the
thread's history holds: a crossed or a lost turn shows in a reply or in the history.

Twice for each store: each session waits for its reply before it speaks again, which is what
throughput is taken from, in alternating rounds with the same graph in bare LangGraph; and each
session says everything at once, where a turn that begins before the one ahead of it has ended would
overwrite it. Bare LangGraph does the same beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs by its path, too

from affectgraph.orchestrator import Consent, Turn
from benchmarks.graphs.machines import Bare, Keeping, Ours, Store
from benchmarks.graphs.noop import EchoingReasoner, noop_parts

LIMIT: Final = 0.8
"""Share of bare LangGraph's throughput that ours must have."""


class Sessions:
    """Sessions that talk with one machine, and what went wrong in them.

    Attributes:
        replies: Turns that were answered.
        crossed: Replies and kept exchanges that hold another session's word.
        lost: Turns that are not in their thread's history.
        disordered: Threads whose history is not in the order in which it was said.
        wrong: Replies that do not tell the thread's own words, in order; counted only where each
            session waits for its reply.
    """

    def __init__(self, machine: Keeping, sessions: int, turns: int, name: str) -> None:
        self.replies = self.crossed = self.lost = self.disordered = self.wrong = 0
        self._machine, self._turns, self._name = machine, turns, name
        self._users = [f"user{number}" for number in range(sessions)]

    async def one_by_one(self) -> float:
        """All sessions at once, each waiting for its replies; turns a second."""
        started = time.perf_counter()
        await asyncio.gather(*(self._talk(user) for user in self._users))
        took = time.perf_counter() - started
        await self._check()
        return len(self._users) * self._turns / took

    async def all_at_once(self) -> None:
        """All turns of all sessions at once."""
        turns = [self._turn(user, n) for user in self._users for n in range(self._turns)]
        said = await asyncio.gather(*(self._machine.take(turn) for turn in turns))
        for turn, reply in zip(turns, said, strict=True):
            self._count(turn.user, reply)
        await self._check()

    async def _talk(self, user: str) -> None:
        for number in range(self._turns):
            reply = await self._machine.take(self._turn(user, number))
            self._count(user, reply)
            # The turn's own words, then the history's.
            own = (number, *range(number))
            self.wrong += reply.split() != [self._word(user, n) for n in own]

    def _turn(self, user: str, number: int) -> Turn:
        said = self._word(user, number)
        return Turn(user=user, thread=self._name, text=said, consent=Consent(memory=True))

    def _word(self, user: str, number: int) -> str:
        return f"{user}-says-{number}"

    def _count(self, user: str, reply: str) -> None:
        self.replies += 1
        self.crossed += self._holds_another(user, reply)

    def _holds_another(self, user: str, words: str) -> bool:
        return any(not word.startswith(f"{user}-says-") for word in words.split())

    async def _check(self) -> None:
        for user in self._users:
            kept = await self._machine.history(user, self._name)
            said = [exchange.said for exchange in kept]
            expected = [self._word(user, number) for number in range(self._turns)]
            self.crossed += sum(self._holds_another(user, f"{e.said} {e.replied}") for e in kept)
            self.lost += len(set(expected) - set(said))
            self.disordered += said != expected

    def counts(self) -> dict[str, int]:
        """What went wrong."""
        return {
            "replies": self.replies,
            "lost_updates": self.lost,
            "crossed_states": self.crossed,
            "threads_out_of_order": self.disordered,
            "wrong_replies": self.wrong,
        }


async def run(sessions: int, turns: int, rounds: int) -> dict[str, Any]:
    """Measure both stores."""
    metrics: dict[str, Any] = {
        "limit": LIMIT,
        "sessions": sessions,
        "turns_a_session": turns,
        "rounds": rounds,
    }
    baselines: dict[str, Any] = {}
    stores: tuple[Store, ...] = ("memory", "sqlite")
    for store in stores:
        with tempfile.TemporaryDirectory() as folder:
            parts = noop_parts(EchoingReasoner())
            ours, bare = Ours(parts, store, Path(folder)), Bare(parts, store, Path(folder))
            await ours.open()
            await bare.open()
            fast = await _throughput((ours, bare), sessions, turns, rounds)
            metrics[store] = {
                "throughput_over_bare": _spread([a / b for a, b in fast["pairs"]]),
                "turns_a_second": _spread([a for a, _ in fast["pairs"]]),
                "one_by_one": fast["counts"][0],
                "all_at_once": await _at_once(ours, sessions, turns),
            }
            baselines[f"bare_langgraph_{store}"] = {
                "turns_a_second": _spread([b for _, b in fast["pairs"]]),
                "one_by_one": fast["counts"][1],
                "all_at_once": await _at_once(bare, sessions, turns),
            }
            await ours.close()
            await bare.close()
    return {"name": "concurrency", "metrics": metrics, "baselines": baselines}


async def _throughput(
    machines: tuple[Keeping, Keeping], sessions: int, turns: int, rounds: int
) -> dict[str, Any]:
    """Turns a second of two machines in alternating rounds, after one that is not counted."""
    pairs = []
    counts: list[dict[str, int]] = [{}, {}]
    for round_ in range(rounds + 1):
        speeds = [0.0, 0.0]
        for which in (0, 1) if round_ % 2 else (1, 0):
            talking = Sessions(machines[which], sessions, turns, f"round{round_}")
            gc.collect()
            speeds[which] = await talking.one_by_one()
            for key, count in talking.counts().items():
                counts[which][key] = counts[which].get(key, 0) + count
        if round_:
            pairs.append((speeds[0], speeds[1]))
    return {"pairs": pairs, "counts": counts}


async def _at_once(machine: Keeping, sessions: int, turns: int) -> dict[str, int]:
    talking = Sessions(machine, sessions, turns, "at-once")
    await talking.all_at_once()
    counts = talking.counts()
    del counts["wrong_replies"]
    return counts


def _spread(values: Sequence[float]) -> dict[str, float]:
    if len(values) < 2:
        return {"median": round(values[0], 3)}
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "q1": round(low, 3), "q3": round(high, 3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = asyncio.run(run(arguments.sessions, arguments.turns, arguments.rounds))
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
