"""How soon the default agent's reply begins, and how fast it goes on, once it is warm.

    python benchmarks/default_agent.py [--turns N] [--threads N] [--json]

Text only, in one process. Each turn is a fresh thread. Figures, in seconds from the moment at which
the turn is handed in, or in tokens a second:

- ``first_token_s``: the model's first token of a response (after perception, triage and the
  labels), whatever becomes of it,
- ``delivered_token_s``: the first token of the try that is delivered: a second try where the first
  was rejected,
- ``first_words_s``: the first words that the person receives: a whole sentence, checked and passed
  by the policies,
- ``whole_s``: the end of the reply,
- ``tokens_per_second`` between the first token and the last of the model's last try.

They are told of the turns in which the model's first try was delivered (``model``) and of ``all``,
each with the number ``n`` of turns that have it: no token is of the model where written words
answer at once, and none of its tokens is delivered where written words stand for them. ``sources``
counts whose words began the replies.

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
from collections import Counter
from collections.abc import AsyncIterator, Sequence
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
    """When the model gave the pieces of its responses in the turn that runs, a list a try."""

    tries: list[list[float]] = field(default_factory=list)

    def on(self, streams: Any) -> Any:
        """A stream of a backend, watched."""

        def watched(backend: LocalBackend, *arguments: Any) -> AsyncIterator[Any]:
            return self._noted(streams(backend, *arguments))

        return watched

    async def _noted(self, source: Any) -> AsyncIterator[Any]:
        pieces = list[float]()
        self.tries.append(pieces)
        async with aclosing(source) as items:
            async for item in items:
                if isinstance(item, str):
                    pieces.append(time.perf_counter())
                yield item


@dataclass(frozen=True)
class Took:
    """One turn; ``None`` where there was no such thing."""

    source: str
    first_token: float | None
    delivered_token: float | None
    first_words: float | None
    whole: float
    tokens_per_second: float | None


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
                if number:
                    took.append(one)
    return took


async def _turn(agent: Agent, watch: Watch, thread: str, said: str) -> Took:
    watch.tries.clear()
    first_words, source = None, ""
    started = time.perf_counter()
    turn = Turn(user="ana", thread=thread, text=said, consent=Consent())
    async with aclosing(agent.stream(turn)) as events:
        async for event in events:
            if event.kind == "token" and first_words is None:
                first_words = time.perf_counter() - started
            if event.kind == "done":
                origin = event.reply.origin
                source = origin.source if origin else event.reply.source
    whole = time.perf_counter() - started
    return timed(source, watch.tries, started, first_words, whole)


def timed(
    source: str,
    tries: Sequence[Sequence[float]],
    started: float,
    first_words: float | None,
    whole: float,
) -> Took:
    """Figures of a turn.

    Args:
        source: Whose words began the reply.
        tries: When each piece of each of the model's tries came.
        started: When the turn was handed in, on the same clock.
        first_words: Seconds until the person received any.
        whole: Seconds until the reply's end.
    """
    spoken = [pieces for pieces in tries if pieces]
    last = spoken[-1] if spoken else ()
    return Took(
        source,
        spoken[0][0] - started if spoken else None,
        last[0] - started if last and source in ("model", "resampled") else None,
        first_words,
        whole,
        (len(last) - 1) / (last[-1] - last[0]) if len(last) > 1 else None,
    )


def summary(took: Sequence[Took]) -> dict[str, Any]:
    """Counts by source, and the figures of the model's own turns and of all."""
    return {
        "turns": len(took),
        "sources": dict(Counter(one.source for one in took)),
        "model": _figures([one for one in took if one.source == "model"]),
        "all": _figures(took),
    }


def _figures(took: Sequence[Took]) -> dict[str, dict[str, float | None]]:
    return {
        "first_token_s": _told([one.first_token for one in took]),
        "delivered_token_s": _told([one.delivered_token for one in took]),
        "first_words_s": _told([one.first_words for one in took]),
        "whole_s": _told([one.whole for one in took]),
        "tokens_per_second": _told([one.tokens_per_second for one in took]),
    }


def _told(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    return {
        "n": len(known),
        "median": round(statistics.median(known), 3) if known else None,
        "least": round(min(known), 3) if known else None,
        "most": round(max(known), 3) if known else None,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--threads", type=int, help="threads of torch; by default all cores")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    took = asyncio.run(measured(arguments.turns, arguments.threads))

    result = {
        "name": "default-agent",
        "metrics": {
            **summary(took),
            "cores": os.cpu_count(),
            "load_1min": round(os.getloadavg()[0], 1),
        },
        "limits": {"first_token_s": 1.5, "tokens_per_second": 25},
    }
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
