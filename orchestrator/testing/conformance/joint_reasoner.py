"""The suite of a joint reasoner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from itertools import dropwhile
from typing import Any

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, needs, run, want
from affectgraph.orchestrator.testing.conformance.stream import (
    OverBackend,
    StreamOverBackend,
    StreamSuite,
)
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_decision, verify_emotions
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner
from affectgraph.reasoners.plan import Decision

_WHO = "A joint reasoner"


class JointReasonerSuite(
    OverBackend[JointReasoner, ReasoningContext, list[Any]],
    StreamSuite[JointReasoner, ReasoningContext],
):
    """What every joint reasoner does."""

    contract = "joint reasoner"
    protocol = JointReasoner

    def samples(self) -> Sequence[ReasoningContext]:
        """First turns, with and without affect, and a later one with a history."""
        return given.contexts()

    def odd(self) -> Sequence[ReasoningContext]:
        """Unusual words, and none."""
        return given.odd_contexts()

    def private(self) -> tuple[ReasoningContext, str]:
        """A context with the secret wherever words can stand."""
        return given.private_context(), given.PERSONAL

    def stream(self, part: JointReasoner, sample: ReasoningContext) -> AsyncIterator[Any]:
        """Decide and speak."""
        return part.reason(sample)

    def verify(self, part: JointReasoner, sample: ReasoningContext, answer: list[Any]) -> None:
        """Decisions, each stage once, then pieces of text."""
        del part, sample
        rest = list(dropwhile(lambda item: isinstance(item, Decision), answer))
        decisions = answer[: len(answer) - len(rest)]
        want(
            all(isinstance(piece, str) for piece in rest),
            "A joint reasoner gives all its decisions first, then pieces of text and nothing"
            " else: the words cannot follow from a label that comes after them.",
        )
        stages = [decision.stage for decision in decisions]
        want(len(stages) == len(set(stages)), "A joint reasoner decides each stage once.")
        for decision in decisions:
            verify_decision(decision, decision.stage, _WHO)
            if decision.stage != "strategy":
                verify_emotions(decision.distribution, _WHO)
        want("".join(rest).strip(), "A joint reasoner says something.")

    def test_closing_the_reasoner_is_safe(self) -> None:
        """Also of one that was never used, and twice."""
        part = self.make()

        async def closed() -> None:
            await part.close()
            await part.close()

        try:
            run(closed())
        except Exception as error:
            raise NonconformityError(
                "A joint reasoner may be closed at any time, twice and unused too"
                f" ({type(error).__name__})."
            ) from error


class JointReasonerOverBackendSuite(
    JointReasonerSuite, StreamOverBackend[JointReasoner, ReasoningContext]
):
    """What a joint reasoner over a backend does besides."""


def joint_reasoner(
    make: Callable[[], JointReasoner] | Callable[..., JointReasoner], *, deterministic: bool = True
) -> type[JointReasonerSuite]:
    """The suite of a joint reasoner: ``TestMine = conformance.joint_reasoner(Mine)``.

    Args:
        make: Makes a fresh reasoner. With one argument that must be given it is handed a backend
            with a script: ``conformance.joint_reasoner(SmesJoint)``.
        deterministic: Whether the same context gives the same decisions and words.
    """
    base = JointReasonerOverBackendSuite if needs(make) else JointReasonerSuite
    return suite(base, make, deterministic=deterministic)
