"""Keeps a journal until it is killed, and says on its output what it was promised."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from affectgraph.orchestrator.threads import OpenTurn, SqliteThreads

PIECES = 5
SIDE_BY_SIDE = 4


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


async def converse(store: SqliteThreads, person: int) -> None:
    for number in count():
        turn = OpenTurn(
            id=f"{person}-{number}", thread=f"t{person}", payload="{}", begun_at=datetime.now(UTC)
        )
        await store.begin(turn)
        say("begun", turn.id)
        for place in range(PIECES):
            await store.delivered(turn.id, f"{place};")
            say("delivered", turn.id)
        say("ending", turn.id)
        await store.end(turn.id)


async def main() -> None:
    store = SqliteThreads(Path(sys.argv[1]))
    await store.open()
    await asyncio.gather(*(converse(store, person) for person in range(SIDE_BY_SIDE)))


if __name__ == "__main__":
    asyncio.run(main())
