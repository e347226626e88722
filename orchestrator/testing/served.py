"""The fake OpenAI-compatible server on a thread of its own, for tests with loops of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Final, Self

from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer

_PATIENCE: Final = 10.0


class ServerThread:
    """Runs a fake server, as ``with ServerThread(lambda: FakeOpenAIServer()) as server``.

    Args:
        make: Makes the server, on the thread's loop.

    Attributes:
        base_url: Address to give to a client; set once it runs.
    """

    def __init__(self, make: Callable[[], FakeOpenAIServer] = FakeOpenAIServer) -> None:
        self.base_url = ""
        self._make = make
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_PATIENCE), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the server did not end"
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with self._make() as server:
            self.base_url = server.base_url
            self._ready.set()
            await self._over.wait()
