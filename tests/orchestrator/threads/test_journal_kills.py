"""What the journal acknowledged is there after the process was killed."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from affectgraph.orchestrator.threads import SqliteThreads

CHILD = Path(__file__).with_name("journal_child.py")
KILLS = 3


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[list[tuple[Path, list[list[str]]]]]:
    """Files of killed processes, and all that each had said before it died."""
    rng = random.Random(20240506)  # noqa: S311 - when to kill
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(CHILD), str(tmp_path / f"{number}.sqlite")],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(KILLS)
        ]
        ends = []
        for number, child in enumerate(children):
            assert child.stdout is not None
            said = [child.stdout.readline() for _ in range(rng.randrange(1, 400))]
            child.send_signal(signal.SIGKILL)
            said += child.stdout.read().splitlines(keepends=True)
            lines = [line.split() for line in said if line.endswith("\n")]
            ends.append((tmp_path / f"{number}.sqlite", lines))
        yield ends


async def test_nothing_acknowledged_is_lost(killed: list[tuple[Path, list[list[str]]]]) -> None:
    for path, said in killed:
        begun = {turn for event, turn in said if event == "begun"}
        ending = {turn for event, turn in said if event == "ending"}
        pieces = Counter(turn for event, turn in said if event == "delivered")
        assert begun

        with closing(sqlite3.connect(path)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        store = SqliteThreads(path)
        await store.open()
        found = {turn.id: turn.delivered for turn in await store.open_turns()}
        await store.close()

        assert begun - ending <= set(found)
        for turn, delivered in found.items():
            # All that was acknowledged, and perhaps one piece that was about to be.
            texts = ["".join(f"{place};" for place in range(pieces[turn] + n)) for n in (0, 1)]
            assert delivered in texts
