"""Spans for model calls, following the OpenTelemetry GenAI conventions where they fit.

Only the OpenTelemetry API is used: without a configured provider a span costs next to nothing.
No user content is ever put into a span here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer


@contextmanager
def model_span(operation: str, model: str, *, provider: str = "affectgraph") -> Iterator[Span]:
    """Open a span around one call of a model.

    Args:
        operation: What the model does: ``embeddings``, ``chat``, or a plain verb such as
            ``detect`` or ``transcribe`` where the conventions have no word.
        model: Name and version of the model.
        provider: Who runs it.
    """
    with span(
        f"{operation} {model}",
        {
            "gen_ai.operation.name": operation,
            "gen_ai.request.model": model,
            "gen_ai.provider.name": provider,
        },
        kind=SpanKind.CLIENT,
    ) as opened:
        yield opened


@cache
def tracer() -> Tracer:
    """The tracer of this package; it follows whatever provider is set later."""
    return trace.get_tracer("affectgraph")


@contextmanager
def span(
    name: str,
    attributes: dict[str, str | int | float | bool],
    *,
    kind: SpanKind = SpanKind.INTERNAL,
) -> Iterator[Span]:
    """Open a span that records the kind of an error, and never its message.

    Messages of foreign errors may quote what the person said; their type never does.
    """
    opened = tracer().start_span(name, kind=kind, attributes=attributes)
    if not opened.get_span_context().is_valid:
        # Nobody has asked for spans: a turn has dozens, and even an empty one takes its time.
        yield opened
        return
    with trace.use_span(
        opened, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ):
        try:
            yield opened
        except BaseException as error:
            opened.set_attribute("error.type", type(error).__qualname__)
            opened.set_status(Status(StatusCode.ERROR))
            raise
