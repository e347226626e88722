"""Tokens of texts: counted by the backend, else estimated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace

from affectgraph.perceivers.errors import BackendError
from affectgraph.reasoners.contracts import Backend
from affectgraph.reasoners.history.contracts import Count

BYTES_PER_TOKEN: Final = 4.0
"""Of English under the byte-pair vocabularies in use; ``benchmarks/history.py`` prints what the
default model's own gives. Other scripts take more bytes a token, so they are counted too high."""


def estimated(text: str) -> int:
    """Tokens of a text by its bytes, rounded up."""
    return -int(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def tell_fault(what: str, error: Exception) -> None:
    """Leave in the span in which a history is compressed why something was done otherwise.

    Args:
        what: ``count`` (tokens are estimated), ``model`` or ``encoder`` (a summary does without).
        error: What was raised. A backend's error names the backend and the fault, without any
            content; of others only the type is told, as their messages may quote.
    """
    reason = str(error) if isinstance(error, BackendError) else type(error).__qualname__
    trace.get_current_span().set_attribute(f"affectgraph.history.{what}_fault", reason)


def counter(backend: Backend | None) -> Count:
    """Counts by the backend's tokenizer if it has ``count_tokens``, else estimates."""
    own: Count | None = getattr(backend, "count_tokens", None)

    async def count(texts: Sequence[str]) -> list[int]:
        if own is not None and texts:
            try:
                return await own(texts)
            except BackendError as error:
                # A budget is no reason to fail: the estimate is good enough.
                tell_fault("count", error)
        return [estimated(text) for text in texts]

    return count
