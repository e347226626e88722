"""Spans of a turn: one per node and model call, and nothing that the person said."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator import Agent, Parts, Turn, wrapper
from affectgraph.orchestrator.testing.fakes import FakePerceiver, FakeTextPerceiver
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.perceivers.affect import Reading

SECRET = "marzipan"


def everything(span: ReadableSpan) -> str:
    return f"{span.name} {dict(span.attributes or {})} {span.status.description} {span.events}"


async def test_a_turn_leaves_a_span_per_node_under_one_for_the_agent(
    spans: InMemorySpanExporter,
) -> None:
    parts = Parts(perceivers=(FakeTextPerceiver(),), reasoner=ScriptedReasoner())
    await Agent(parts).respond(Turn(text="hello"))
    by_name = {span.name: span for span in spans.get_finished_spans()}
    agent = by_name.pop("invoke_agent affectgraph")
    assert agent.attributes is not None
    assert agent.attributes["gen_ai.operation.name"] == "invoke_agent"
    assert set(by_name) == {
        f"node {name}"
        for name in ("admit", "text", "fuse", "triage", "recall", "escalate", "reason", "remember")
    }
    for span in by_name.values():
        assert span.parent is not None
        assert agent.context is not None
        assert span.parent.span_id == agent.context.span_id


async def test_no_span_holds_what_was_said_not_even_by_way_of_an_error(
    spans: InMemorySpanExporter,
) -> None:
    class Quoting(FakePerceiver):
        async def perceive(self, turn: Turn) -> Reading:
            raise ValueError(turn.text)

    parts = Parts(perceivers=(Quoting("text"),), reasoner=ScriptedReasoner(f"You said {SECRET}."))
    await Agent(parts).respond(Turn(text=f"I like {SECRET}."))
    finished = spans.get_finished_spans()
    assert finished
    assert not [span.name for span in finished if SECRET in everything(span)]
    failed = next(span for span in finished if span.name == "node text")
    assert failed.attributes is not None
    assert failed.attributes["affectgraph.left_out"] == "failed"


def test_spans_and_metrics_are_sent_by_otlp_to_the_endpoint_of_the_environment() -> None:
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            paths.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
            """Keep the test's output clean."""

    program = (
        "from affectgraph.orchestrator.telemetry import configure_telemetry\n"
        "from affectgraph.perceivers.tracing import span\n"
        "shutdown = configure_telemetry('otlp')\n"
        "from affectgraph.orchestrator.wrapper import _duration\n"
        "_duration().record(0.1, {})\n"
        "with span('node text', {}): pass\n"
        "shutdown()\n"
    )
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        subprocess.run([sys.executable, "-c", program], env=environment, check=True)
        server.shutdown()
        thread.join()
    assert sorted(paths) == ["/v1/metrics", "/v1/traces"]


async def test_the_time_of_each_node_is_counted_by_its_outcome(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    wrapper._duration.cache_clear()
    parts = Parts(perceivers=(FakePerceiver("text", fault="fails"),), reasoner=ScriptedReasoner())
    await Agent(parts).respond(Turn(text=f"I like {SECRET}."))
    wrapper._duration.cache_clear()
    told = reader.get_metrics_data()
    assert told is not None
    (metric,) = told.resource_metrics[0].scope_metrics[0].metrics
    assert metric.name == "affectgraph.node.duration"
    outcomes = {
        point.attributes["affectgraph.node"]: point.attributes["affectgraph.outcome"]
        for point in metric.data.data_points
        if point.attributes
    }
    assert outcomes["text"] == "failed"
    assert outcomes["reason"] == "done"
    assert SECRET not in told.to_json()
    provider.shutdown()
