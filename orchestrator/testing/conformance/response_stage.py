"""The suite of a response stage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.basics import needs, want
from affectgraph.orchestrator.testing.conformance.stream import (
    OverBackend,
    StreamOverBackend,
    StreamSuite,
)
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import ResponseStage


class ResponseStageSuite(
    OverBackend[ResponseStage, ReasoningContext, list[Any]],
    StreamSuite[ResponseStage, ReasoningContext],
):
    """What every response stage does."""

    contract = "response stage"
    protocol = ResponseStage

    def samples(self) -> Sequence[ReasoningContext]:
        """Contexts with a plan, and without where a stage before has failed."""
        return given.contexts()

    def odd(self) -> Sequence[ReasoningContext]:
        """Unusual words, and none."""
        return given.odd_contexts()

    def private(self) -> tuple[ReasoningContext, str]:
        """A context with the secret wherever words can stand."""
        return given.private_context(), given.PERSONAL

    def stream(self, part: ResponseStage, sample: ReasoningContext) -> AsyncIterator[Any]:
        """Speak."""
        return part.respond(sample)

    def verify(self, part: ResponseStage, sample: ReasoningContext, answer: list[Any]) -> None:
        """Pieces of text that say something."""
        del part, sample
        want(
            all(isinstance(piece, str) for piece in answer),
            "A response stage streams pieces of text, and nothing else.",
        )
        want("".join(answer).strip(), "A response stage says something.")


class ResponseStageOverBackendSuite(
    ResponseStageSuite, StreamOverBackend[ResponseStage, ReasoningContext]
):
    """What a response stage over a backend does besides."""


def response_stage(
    make: Callable[[], ResponseStage] | Callable[..., ResponseStage], *, deterministic: bool = True
) -> type[ResponseStageSuite]:
    """The suite of a response stage: ``TestMine = conformance.response_stage(Mine)``.

    Args:
        make: Makes a fresh stage. With one argument that must be given it is handed a backend
            with a script: ``conformance.response_stage(lambda backend: Mine(backend))``.
        deterministic: Whether the same context gives the same words.
    """
    base = ResponseStageOverBackendSuite if needs(make) else ResponseStageSuite
    return suite(base, make, deterministic=deterministic)
