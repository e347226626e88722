"""A process that is killed in mid-turn, a hundred times: nothing is lost and nothing said twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from affectgraph.orchestrator import SqliteThreads
from tests.orchestrator import kill_nursery

KILLS = 100
THREADS = ("a", "b", "c")
SEED = 20_240_607


class Nursery:
    """The process that takes turns in processes of its own."""

    def __init__(self, requests: IO[str], told: IO[str]) -> None:
        self._requests, self._told = requests, told
        self.heard: Counter[str] = Counter()
        self.received: dict[str, str] = dict.fromkeys((*THREADS, "warm"), "")
        self._facts("warm", None)

    def turn(self, thread: str, text: str, seconds: float | None = None) -> tuple[str, float]:
        """Take a turn and kill its process after some seconds.

        Gives the last that was heard of it, and how long it lived once it was ready.
        """
        self._requests.write(json.dumps([thread, text]) + "\n")
        self._requests.flush()
        return self._facts(thread, seconds)

    def _facts(self, thread: str, seconds: float | None) -> tuple[str, float]:
        last, ready = "", 0.0
        for line in self._told:
            fact: dict[str, Any] = json.loads(line)
            if fact["kind"] == "ended":
                assert fact["status"] in (0, -signal.SIGKILL)
                break
            last = fact["kind"]
            self.received[thread] += fact.get("text", "")
            if last == "ready":
                ready = time.perf_counter()
                if seconds is not None:
                    time.sleep(seconds)
                    with suppress(ProcessLookupError):
                        os.kill(fact["pid"], signal.SIGKILL)
            if last == "done" and thread == "warm":
                break
        return last, time.perf_counter() - ready


@contextmanager
def nursery(database: Path) -> Iterator[Nursery]:
    with subprocess.Popen(
        [sys.executable, kill_nursery.__file__, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Nursery(process.stdin, process.stdout)
        process.stdin.close()


def test_a_hundred_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    draw = random.Random(SEED)  # noqa: S311 - repeatable, not secret
    database = tmp_path / "threads.db"
    sent: dict[str, list[str]] = {thread: [] for thread in THREADS}
    fell: Counter[str] = Counter()
    with nursery(database) as processes:
        # How long an undisturbed turn takes here decides when the kills fall.
        whole = 0.0
        for number in range(KILLS + 3):
            thread = draw.choice(THREADS)
            sent[thread].append(f"turn {number}")
            seconds = draw.uniform(0, whole) if whole else None
            last, lived = processes.turn(thread, f"turn {number}", seconds)
            whole = whole or lived * (number > 1)
            if seconds is not None:
                fell[last] += 1
        for thread in THREADS:
            assert processes.turn(thread, f"last of {thread}")[0] == "done"
            sent[thread].append(f"last of {thread}")
    # Every kill fell before the end, and many while the reply was being received.
    assert fell["ready"] + fell["piece"] > KILLS // 2
    assert fell["piece"] > KILLS // 10

    for thread, history in asyncio.run(histories(database)).items():
        said = [utterance for utterance, _ in history]
        assert said == [text for text in sent[thread] if text in said], "a turn was taken twice"
        assert said[-1] == f"last of {thread}"
        rest = processes.received[thread]
        for utterance, replied in history:
            assert kill_nursery.reply_to(utterance).startswith(replied.strip())
            # What was received is remembered, once and in order. The piece that was on its way
            # when the process died may be remembered without having been received.
            got = next((part for part in cuts(replied) if rest.startswith(part)), None)
            assert got is not None, "something was remembered that was never received"
            rest = rest[len(got) :]
        assert rest == "", "something was received that is not remembered"


async def histories(database: Path) -> dict[str, list[tuple[str, str]]]:
    async with kill_nursery.agent_over(SqliteThreads(database)) as agent:
        found = {}
        for thread in THREADS:
            (moment, *_) = await agent.timeline.moments("ana", thread)
            found[thread] = [(e.said, e.replied) for e in moment.history]
        return found


def cuts(replied: str) -> tuple[str, str]:
    """A reply, and the same without its last piece."""
    at = replied.rstrip().rstrip(".").rfind(". ")
    return replied, replied[: at + 2] if at >= 0 else ""
