"""The suite of backends over a real client and real HTTP."""

from __future__ import annotations

import asyncio
import threading

import pytest

from affectgraph.orchestrator.testing import FakeOpenAIServer
from affectgraph.orchestrator.testing.conformance.backend import BackendThatFailsSuite
from affectgraph.reasoners.backends.openai import OpenAIBackend
from affectgraph.reasoners.contracts import Backend


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """The suite looks for blocking calls itself."""


class ServerThread:
    """The fake server on a loop of its own: every check has another loop."""

    def __init__(self) -> None:
        self.base_url = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with FakeOpenAIServer("I hear you. What happened?") as server:
            self.base_url = server.base_url
            self._ready.set()
            await self._over.wait()


class TestOpenAIBackend(BackendThatFailsSuite):
    """Each check has a server and a client of its own."""

    def setup_method(self) -> None:
        super().setup_method()
        self._server = ServerThread()
        self._server.start()

    def teardown_method(self) -> None:
        self._server.stop()
        super().teardown_method()

    def make(self) -> Backend:
        return OpenAIBackend(self._server.base_url, "fake-model", api_key="none")

    @staticmethod
    def broken() -> Backend:
        return OpenAIBackend("http://127.0.0.1:9/v1", "absent", api_key="none", waits=())
