"""Where spans and metrics go: nowhere, to the console (spans alone), or to a collector by OTLP."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from opentelemetry import metrics, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

Exporter = Literal["none", "console", "otlp"]

CAPTURE_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The conventions' own switch; user content is in spans only when it is ``true``."""


def configure_telemetry(exporter: Exporter) -> Callable[[], None]:
    """Send the process's spans and metrics somewhere.

    The OTLP exporter takes its endpoint and headers from the standard environment variables
    (``OTEL_EXPORTER_OTLP_ENDPOINT`` and so on).

    Args:
        exporter: ``none`` records nothing; ``console`` prints each span to the standard error
            stream as JSON; ``otlp`` sends spans, and the time that each node takes by outcome
            (``affectgraph.node.duration``), by OTLP over HTTP.

    Returns:
        What to call before the process ends, so that nothing is lost.
    """
    if exporter == "none":
        return lambda: None
    resource = Resource.create({"service.name": "affectgraph"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(_processor(exporter))
    trace.set_tracer_provider(provider)
    if exporter == "console":
        return provider.shutdown
    meters = _meters(resource)
    metrics.set_meter_provider(meters)

    def shutdown() -> None:
        provider.shutdown()
        meters.shutdown()

    return shutdown


def captures_content() -> bool:
    """Whether the person's words may be put into spans."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() == "true"


def _meters(resource: Resource) -> MeterProvider:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    return MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource)


def _processor(exporter: Literal["console", "otlp"]) -> SpanProcessor:
    if exporter == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())
