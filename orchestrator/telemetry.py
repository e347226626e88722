"""Where spans go: nowhere, to the console, or to a collector by OTLP."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
)

Exporter = Literal["none", "console", "otlp"]

CAPTURE_CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The conventions' own switch; user content is in spans only when it is ``true``."""


def configure_tracing(exporter: Exporter) -> Callable[[], None]:
    """Send the process's spans somewhere.

    The OTLP exporter takes its endpoint and headers from the standard environment variables
    (``OTEL_EXPORTER_OTLP_ENDPOINT`` and so on).

    Args:
        exporter: ``none`` leaves spans unrecorded; ``console`` prints each to the standard error
            stream as JSON; ``otlp`` sends them by OTLP over HTTP.

    Returns:
        What to call before the process ends, so that no span is lost.
    """
    if exporter == "none":
        return lambda: None
    provider = TracerProvider(resource=Resource.create({"service.name": "affectgraph"}))
    provider.add_span_processor(_processor(exporter))
    trace.set_tracer_provider(provider)
    return provider.shutdown


def captures_content() -> bool:
    """Whether the person's words may be put into spans."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() == "true"


def _processor(exporter: Literal["console", "otlp"]) -> SpanProcessor:
    if exporter == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())
