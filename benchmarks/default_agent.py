"""How soon the default agent's reply begins, and how fast it goes on, once it is warm.

    python benchmarks/default_agent.py [--turns N] [--threads N] [--json]

Text only, in one process. Each turn is a fresh thread. Four figures, all in seconds from the moment
at which the turn is handed in, or in tokens a second:

- the model's first token of the response (after perception, triage and the labels),
- the first words that the person receives: a whole sentence, checked and passed by the policies,
- the end of the reply,
- tokens a second between the response's first token and its last.

On a machine that does other work at the same time the least of several turns says more than the
median; both are printed, with the load.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it runs by its path, too

from affectgraph.orchestrator import Agent, Consent, Settings, Turn
from affectgraph.orchestrator.presets import settings_spec
from affectgraph.reasoners.backends.local import LocalBackend

SAID: Final = (
    "My best friend forgot my birthday and I feel awful.",
    "I have my final exam tomorrow and my hands are shaking.",
    "My boss shouted at me in front of everybody today.",
    "I got into the university that I wanted!",
    "I moved to a new city and know nobody here.",
    "My cat is ill and the vet is closed.",
)


@dataclass
class Watch:
    """When the model gave the pieces of its responses in the turn that runs."""

    pieces: list[float] = field(default_factory=list)

    def on(self, streams: Any) -> Any:
        """A stream of a backend, watched."""

        def watched(backend: LocalBackend, *arguments: Any) -> AsyncIterator[Any]:
            return self._noted(streams(backend, *arguments))

        return watched

    async def _noted(self, source: Any) -> AsyncIterator[Any]:
        async with aclosing(source) as items:
            async for item in items:
                if isinstance(item, str):
                    self.pieces.append(time.perf_counter())
                yield item


@dataclass(frozen=True)
class Took:
    """One turn."""

    first_token: float
    first_words: float
    whole: float
    tokens_per_second: float
    source: str


async def measured(turns: int, threads: int | None) -> list[Took]:
    """Warm an agent up, with one turn that does not count, and measure the next ones."""
    watch = Watch()
    # A piece of the model in process is one token of plain English.
    LocalBackend.stream = watch.on(LocalBackend.stream)  # type: ignore[method-assign]
    LocalBackend.stream_joint = watch.on(LocalBackend.stream_joint)  # type: ignore[method-assign]
    took = []
    with tempfile.TemporaryDirectory() as folder:
        spec = settings_spec(Settings(memory=Path(folder) / "memory"))
        async with Agent(spec.build().parts) as agent:
            await agent.warm_up()
            if threads:
                import torch

                torch.set_num_threads(threads)
            for number in range(turns + 1):
                one = await _turn(agent, watch, str(number), SAID[number % len(SAID)])
                if number and one is not None:
                    took.append(one)
    return took


async def _turn(agent: Agent, watch: Watch, thread: str, said: str) -> Took | None:
    watch.pieces.clear()
    first_words, source = 0.0, ""
    started = time.perf_counter()
    turn = Turn(user="ana", thread=thread, text=said, consent=Consent())
    async with aclosing(agent.stream(turn)) as events:
        async for event in events:
            if event.kind == "token" and not first_words:
                first_words = time.perf_counter() - started
            if event.kind == "done":
                origin = event.reply.origin
                source = origin.source if origin else event.reply.source
    whole = time.perf_counter() - started
    pieces = watch.pieces
    if len(pieces) < 2:
        return None
    # A second try begins anew: the pause before it counts, as the person waits through it.
    rate = (len(pieces) - 1) / (pieces[-1] - pieces[0])
    return Took(pieces[0] - started, first_words, whole, rate, source)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--threads", type=int, help="threads of torch; by default all cores")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    took = asyncio.run(measured(arguments.turns, arguments.threads))

    def told(values: list[float]) -> dict[str, float]:
        return {
            "median": round(statistics.median(values), 3),
            "least": round(min(values), 3),
            "most": round(max(values), 3),
        }

    result = {
        "name": "default-agent",
        "metrics": {
            "first_token_s": told([one.first_token for one in took]),
            "first_words_s": told([one.first_words for one in took]),
            "whole_s": told([one.whole for one in took]),
            "tokens_per_second": told([one.tokens_per_second for one in took]),
            "turns": len(took),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 1),
        },
        "limits": {"first_token_s": 1.5, "tokens_per_second": 25},
    }
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
