"""The suite of a trained head that reads one label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_model
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import LabelHead
from affectgraph.reasoners.plan import LabelStageName

_WHO: Final = "A label head"


class LabelHeadSuite(AsyncSuite[LabelHead, ReasoningContext, Distribution | None]):
    """What every head does."""

    contract = "label head"
    protocol = LabelHead

    def samples(self) -> Sequence[ReasoningContext]:
        """First turns, with and without affect, and a later one with a history and a plan."""
        return given.contexts()

    def odd(self) -> Sequence[ReasoningContext]:
        """Unusual words, and none."""
        return given.odd_contexts()

    def private(self) -> tuple[ReasoningContext, str]:
        """A context with the secret wherever words can stand."""
        return given.private_context(), given.PERSONAL

    async def ask(self, part: LabelHead, sample: ReasoningContext) -> Distribution | None:
        """Read."""
        return await part.read(sample)

    def verify(
        self, part: LabelHead, sample: ReasoningContext, answer: Distribution | None
    ) -> None:
        """A distribution over the whole of its label set, or nothing."""
        del sample
        if answer is None:
            return
        verify_model(answer, Distribution, _WHO)
        want(
            answer.labels == part.labels.labels and answer.label_set == part.labels.name,
            f"{_WHO} reads over the whole of its label set, in its order; the stage bars what may"
            " not be chosen.",
        )

    def test_it_says_what_it_reads(self) -> None:
        """The stage that it joins follows from it, before it is warmed up."""
        first, again = self.make(), self.make()
        want(
            first.stage in get_args(LabelStageName) and first.stage == again.stage,
            f"A label head's stage is one of {', '.join(get_args(LabelStageName))} from the start,"
            " and always the same.",
        )
        labels: Any = first.labels
        want(
            isinstance(labels, LabelSet) and labels == again.labels,
            "A label head's label set is known from the start, and always the same.",
        )

    def test_it_has_something_to_go_by(self) -> None:
        """One that never reads anything is no expert."""
        want(
            any(answer is not None for _, answer in self._answers(self.samples())),
            "A label head reads something of an ordinary turn.",
        )


def label_head(
    make: Callable[[], LabelHead], *, deterministic: bool = True
) -> type[LabelHeadSuite]:
    """The suite of a head: ``TestMine = conformance.label_head(Mine)``.

    Args:
        make: Makes a fresh head: a class whose arguments have defaults, or a function.
        deterministic: Whether the same context gives the same distribution.
    """
    return suite(LabelHeadSuite, make, deterministic=deterministic)
