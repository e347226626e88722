"""Takes turns in processes that may be killed, for ``test_kills.py``.

Imports everything once and forks for each request: a line of JSON on the standard input, ``[thread,
text]``. What the forked process does is told on the standard output, a line a fact.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from affectgraph.orchestrator import Agent, MemoryThreads, Parts, SqliteThreads, Turn
from affectgraph.orchestrator.events import Event
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.orchestrator.threads import ThreadStore
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Decision

SENTENCES = 6


def reply_to(utterance: str) -> str:
    """The reply to an utterance; no two are the same."""
    return " ".join(f"I hear {utterance} part {n}." for n in range(SENTENCES))


class Telling(ScriptedReasoner):
    """Tells each utterance a reply of its own."""

    async def reason(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """The decisions, then the words of the reply."""
        self._says = reply_to(context.utterance)
        async for item in super().reason(context):
            yield item


def agent_over(threads: ThreadStore) -> Agent:
    """An agent that remembers every exchange."""
    reasoner = Telling(seconds_per_word=0.001)
    return Agent(Parts(perceivers=(), reasoner=reasoner, keep_exchanges=10_000), threads=threads)


def report(**fact: Any) -> None:
    """Tell a fact by a plain write: what the kernel has, no signal can take back."""
    os.write(1, (json.dumps(fact) + "\n").encode())


async def serve(threads: ThreadStore, thread: str, text: str) -> None:
    """Take up what was lost in a thread, then take a turn; report every piece received."""

    async def hear(stream: AsyncGenerator[Event, None]) -> None:
        async with aclosing(stream) as events:
            async for event in events:
                if event.spoken:
                    report(kind="piece", text=event.spoken)

    async with agent_over(threads) as agent:
        await agent.open()
        report(kind="ready", pid=os.getpid())
        await hear(agent.resume("ana", thread))
        await hear(agent.stream(Turn(user="ana", thread=thread, text=text)))
        report(kind="done")


def main(database: Path) -> None:
    """Fork for each request and see the process to its end, whatever that is."""
    # All that is loaded on the way, once, before anything is forked.
    asyncio.run(serve(MemoryThreads(), "warm", "warm"))
    for line in sys.stdin:
        thread, text = json.loads(line)
        process = os.fork()
        if process == 0:
            asyncio.run(serve(SqliteThreads(database), thread, text))
            os._exit(0)
        _, status = os.waitpid(process, 0)
        report(kind="ended", status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
