"""The suite of backends over real clients and real HTTP."""

from __future__ import annotations

import pytest

from affectgraph.orchestrator.testing import FakeOpenAIServer
from affectgraph.orchestrator.testing.conformance.backend import BackendThatFailsSuite
from affectgraph.orchestrator.testing.served import ServerThread
from affectgraph.reasoners.backends.langchain import LangChainBackend
from affectgraph.reasoners.backends.openai import OpenAIBackend
from affectgraph.reasoners.backends.vllm_server import VllmServer
from affectgraph.reasoners.contracts import Backend

NOWHERE = "http://127.0.0.1:9/v1"


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """The suite looks for blocking calls itself."""


class OverHttp(BackendThatFailsSuite):
    """Each check has a server and a client of its own."""

    __test__ = False

    def setup_method(self) -> None:
        super().setup_method()
        self._server = ServerThread(lambda: FakeOpenAIServer("I hear you. What happened?"))
        self._server.__enter__()

    def teardown_method(self) -> None:
        self._server.__exit__()
        super().teardown_method()


class TestOpenAIBackend(OverHttp):
    __test__ = True

    def make(self) -> Backend:
        return OpenAIBackend(self._server.base_url, "fake-model", api_key="none")

    @staticmethod
    def broken() -> Backend:
        return OpenAIBackend(NOWHERE, "absent", api_key="none", waits=())


class TestOpenAIBackendWithSchemas(OverHttp):
    __test__ = True

    def make(self) -> Backend:
        return OpenAIBackend(
            self._server.base_url, "fake-model", api_key="none", structured="json_schema"
        )

    @staticmethod
    def broken() -> Backend:
        return OpenAIBackend(NOWHERE, "absent", api_key="none", waits=(), structured="json_schema")


class TestVllmServer(OverHttp):
    __test__ = True

    def make(self) -> Backend:
        return VllmServer(self._server.base_url, "fake-model", api_key="none")

    @staticmethod
    def broken() -> Backend:
        return VllmServer(NOWHERE, "absent", api_key="none", waits=())


class TestVllmServerLabelByLabel(OverHttp):
    __test__ = True

    def make(self) -> Backend:
        return VllmServer(self._server.base_url, "fake-model", api_key="none", joint="labels")

    @staticmethod
    def broken() -> Backend:
        return VllmServer(NOWHERE, "absent", api_key="none", waits=(), joint="labels")


class TestSeveralReplicas(OverHttp):
    """One of them is not there."""

    __test__ = True

    def make(self) -> Backend:
        return VllmServer([NOWHERE, self._server.base_url], "fake-model", api_key="none")

    @staticmethod
    def broken() -> Backend:
        return VllmServer([NOWHERE, "http://127.0.0.1:19/v1"], "absent", api_key="none", waits=())


class TestLangChainBackend(OverHttp):
    """LangChain's own client of such servers, held by a schema."""

    __test__ = True

    def make(self) -> Backend:
        options = {"base_url": self._server.base_url, "model": "fake-model", "api_key": "none"}
        return LangChainBackend(
            "langchain_openai:ChatOpenAI", options={**options, "max_retries": 0}, structured=True
        )

    @staticmethod
    def broken() -> Backend:
        options = {"base_url": NOWHERE, "model": "absent", "api_key": "none", "max_retries": 0}
        return LangChainBackend("langchain_openai:ChatOpenAI", options=options, structured=True)
