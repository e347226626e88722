"""What a model call leaves in its span."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.backends.traced import TracedBackend
from affectgraph.reasoners.backends.vllm_server import VllmServer
from affectgraph.reasoners.contracts import Message, Sampling

ASKED = (Message(role="user", content="marzipan today"),)


async def test_each_kind_of_call_tells_its_tokens(spans: InMemorySpanExporter) -> None:
    async with FakeOpenAIServer(weights={"joy": 1.0}) as server:
        backend = TracedBackend(VllmServer(server.base_url, "fake-model"))
        await backend.choose(ASKED, MESC_7)
        await backend.score("marzipan", [" joy", " fear"])
        pieces = backend.stream(ASKED, Sampling())
        async for _ in pieces:
            # What the consumer asks in between has a span of its own.
            await backend.choose(ASKED, MESC_7)
            break
        await pieces.aclose()  # type: ignore[attr-defined]
        await backend.close()
    named = {
        span.name.split(" ")[0]: dict(span.attributes or {}) for span in spans.get_finished_spans()
    }
    assert set(named) >= {"choose", "score", "chat"}
    assert named["choose"]["gen_ai.usage.input_tokens"] == 2
    assert named["choose"]["gen_ai.usage.cache_read.input_tokens"] == 1
    assert named["chat"]["gen_ai.usage.input_tokens"] == 2
    assert named["chat"]["affectgraph.stopped"] is True
    assert int(str(named["score"]["gen_ai.usage.input_tokens"])) > 0


async def test_a_failure_is_told_by_its_class(spans: InMemorySpanExporter) -> None:
    async with FakeOpenAIServer(fault="fails") as server:
        backend = TracedBackend(VllmServer(server.base_url, "fake-model", waits=()))
        with pytest.raises(BackendError):
            _ = [piece async for piece in backend.stream(ASKED, Sampling())]
        await backend.close()
    names = [span.name for span in spans.get_finished_spans()]
    assert names == ["chat fake-model"]
    (span,) = spans.get_finished_spans()
    told = dict(span.attributes or {})
    assert told["error.type"] == "ServerFailedError"
    assert "marzipan" not in str(told)
