"""A backend whose calls leave spans after the OpenTelemetry GenAI conventions."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from typing import Any, Final, TypeVar

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from affectgraph.perceivers import tracing
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.backends.usage import OnUsage, Usage, overhearing
from affectgraph.reasoners.contracts import Backend, JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision

Item = TypeVar("Item")

_NO_CALLS: Final = frozenset({"close", "count_tokens"})
"""Abilities that ask no model."""


class TracedBackend:
    """Wraps a backend; every model call becomes a client span.

    Args:
        backend: The backend that does the work.
        capture_content: Put prompts and completions into the spans. Off by default: they hold
            what the person said.
    """

    def __init__(self, backend: Backend, *, capture_content: bool = False) -> None:
        self._backend = backend
        self._capture = capture_content

    @property
    def name(self) -> str:
        """Name of the wrapped backend."""
        return self._backend.name

    @property
    def constrains(self) -> bool:
        """Whether the wrapped backend can hold a form."""
        return self._backend.constrains

    @property
    def weighs(self) -> bool:
        """Whether the wrapped backend multiplies its probabilities with priors."""
        return self._backend.weighs

    def __getattr__(self, attribute: str) -> Any:
        """Optional abilities of the wrapped backend; they are model calls too."""
        ability = getattr(self._backend, attribute)
        calls_model = iscoroutinefunction(ability) and attribute not in _NO_CALLS
        return self._spanned(attribute, ability) if calls_model else ability

    async def warm_up(self) -> None:
        """Warm the wrapped backend up."""
        await self._backend.warm_up()

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """Choose a label, inside a span."""
        span = self._open("choose", messages)
        try:
            with overhearing(_counter(span)):
                chosen = await self._backend.choose(messages, labels)
        except BaseException as error:
            _fail(span, error)
            raise
        else:
            self._content(span, "gen_ai.output.messages", chosen.top)
            return chosen
        finally:
            span.end()

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Stream text; the span lasts until the last piece and holds the time to the first."""
        span = self._open("chat", messages, sampling)
        return self._watched(self._backend.stream(messages, sampling), span)

    def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """Stream decisions and text, inside one span."""
        span = self._open("chat", messages, sampling)
        return self._watched(self._backend.stream_joint(messages, form, sampling), span)

    def _spanned(
        self, name: str, ability: Callable[..., Awaitable[Item]]
    ) -> Callable[..., Awaitable[Item]]:
        async def call(*arguments: object) -> Item:
            span = self._open(name, ())
            try:
                with overhearing(_counter(span)):
                    return await ability(*arguments)
            except BaseException as error:
                _fail(span, error)
                raise
            finally:
                span.end()

        return call

    async def _watched(self, source: AsyncIterator[Item], span: Span) -> AsyncIterator[Item]:
        # The span is not made current: a generator may be resumed in another context.
        started, pieces, first = time.perf_counter(), list[str](), True
        counted = _counter(span)
        try:
            while True:
                # Step by step, as the consumer's own calls must not be counted here.
                with overhearing(counted):
                    item = await anext(source, None)
                if item is None:
                    return
                if isinstance(item, str):
                    if first:
                        waited = time.perf_counter() - started
                        span.set_attribute("gen_ai.response.time_to_first_chunk", waited)
                        first = False
                    pieces.append(item)
                yield item
        except GeneratorExit:
            span.set_attribute("affectgraph.stopped", True)
            raise
        except BaseException as error:
            _fail(span, error)
            raise
        finally:
            try:
                with overhearing(counted):
                    await source.aclose()  # type: ignore[attr-defined]
            finally:
                self._content(span, "gen_ai.output.messages", "".join(pieces))
                span.end()

    def _open(
        self, operation: str, messages: Sequence[Message], sampling: Sampling | None = None
    ) -> Span:
        model = str(getattr(self._backend, "model", self._backend.name))
        attributes: dict[str, str | int | float] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": str(getattr(self._backend, "provider", "affectgraph")),
            "gen_ai.request.model": model,
        }
        if sampling is not None:
            attributes["gen_ai.request.max_tokens"] = sampling.max_tokens
            attributes["gen_ai.request.temperature"] = sampling.temperature
        span = tracing.tracer().start_span(
            f"{operation} {model}", kind=SpanKind.CLIENT, attributes=attributes
        )
        if self._capture:
            printed = json.dumps([message.model_dump() for message in messages])
            self._content(span, "gen_ai.input.messages", printed)
        return span

    def _content(self, span: Span, attribute: str, text: str) -> None:
        if self._capture:
            span.set_attribute(attribute, text)


def _counter(span: Span) -> OnUsage:
    """Adds what the calls of a span cost, and tells the span."""
    total = Usage()

    def count(usage: Usage) -> None:
        nonlocal total
        total += usage
        span.set_attribute("gen_ai.usage.input_tokens", total.prompt_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", total.completion_tokens)
        span.set_attribute("gen_ai.usage.cache_read.input_tokens", total.cached_tokens)

    return count


def _fail(span: Span, error: BaseException) -> None:
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR))
