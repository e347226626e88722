"""The suite of a label stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import needs, want
from affectgraph.orchestrator.testing.conformance.stream import FailsWithItsBackend, OverBackend
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_decision, verify_emotions
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import LabelStage
from affectgraph.reasoners.plan import Decision, LabelStageName

_WHO = "A label stage"


class LabelStageSuite(
    OverBackend[LabelStage, ReasoningContext, Decision],
    AsyncSuite[LabelStage, ReasoningContext, Decision],
):
    """What every label stage does."""

    contract = "label stage"
    protocol = LabelStage

    def samples(self) -> Sequence[ReasoningContext]:
        """First turns, with and without affect, and a later one with a history and a plan."""
        return given.contexts()

    def odd(self) -> Sequence[ReasoningContext]:
        """Unusual words, and none."""
        return given.odd_contexts()

    def private(self) -> tuple[ReasoningContext, str]:
        """A context with the secret wherever words can stand."""
        return given.private_context(), given.PERSONAL

    async def ask(self, part: LabelStage, sample: ReasoningContext) -> Decision:
        """Decide."""
        return await part.decide(sample)

    def verify(self, part: LabelStage, sample: ReasoningContext, answer: Decision) -> None:
        """A decision of this stage, for a label that has weight."""
        del sample
        verify_decision(answer, part.stage, _WHO)
        if part.stage != "strategy":
            verify_emotions(answer.distribution, f"{_WHO} of an emotion")

    def test_its_stage_is_known_and_constant(self) -> None:
        """Its place in the graph follows from it."""
        first, again = self.make(), self.make()
        want(
            first.stage in get_args(LabelStageName) and first.stage == again.stage,
            f"A label stage's stage is one of {', '.join(get_args(LabelStageName))} from the"
            " start, and always the same.",
        )

    def test_its_label_set_is_always_the_same(self) -> None:
        """Histories and evaluations compare the decisions of many turns."""
        sets = {
            (decision.distribution.label_set, decision.distribution.labels)
            for _, decision in self._answers(self.samples())
        }
        want(len(sets) == 1, "A label stage decides over one label set, the whole of it.")


class LabelStageOverBackendSuite(
    LabelStageSuite, FailsWithItsBackend[LabelStage, ReasoningContext, Decision]
):
    """What a label stage over a backend does besides."""


def label_stage(
    make: Callable[[], LabelStage] | Callable[..., LabelStage], *, deterministic: bool = True
) -> type[LabelStageSuite]:
    """The suite of a label stage: ``TestMine = conformance.label_stage(Mine)``.

    Args:
        make: Makes a fresh stage. With one argument that must be given it is handed a backend
            with a script: ``conformance.label_stage(lambda backend: Mine(backend))``.
        deterministic: Whether the same context gives the same decision.
    """
    base = LabelStageOverBackendSuite if needs(make) else LabelStageSuite
    return suite(base, make, deterministic=deterministic)
