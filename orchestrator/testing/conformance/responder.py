"""The suite of a responder to people at risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from affectgraph.orchestrator.testing.conformance.asynchronous import OnTheLoop
from affectgraph.orchestrator.testing.conformance.basics import want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_model
from affectgraph.policies.contracts import Responder
from affectgraph.policies.crisis import CrisisReply
from affectgraph.policies.verdict import RiskAssessment, RiskAxis

_WHO = "A responder"
ODD_RULE = "quillfeather"
Asked = tuple[RiskAssessment, tuple[str, ...]]


class ResponderSuite(OnTheLoop[Responder, Asked, CrisisReply]):
    """What every responder does."""

    contract = "responder"
    protocol = Responder

    def samples(self) -> Sequence[Asked]:
        """Every level, of every kind of risk."""
        return [(_risk(level, axis), ()) for level in range(7) for axis in get_args(RiskAxis)]

    def odd(self) -> Sequence[Asked]:
        """A triage that failed, a risk without a kind, resources that were shown or are unknown."""
        shown = tuple(f"line-{n}" for n in range(25))
        return [
            (RiskAssessment(level=3, degraded=True), ()),
            (RiskAssessment(level=6), ()),
            (_risk(4, "suicide"), shown),
            (_risk(4, "suicide"), self._all_shown()),
        ]

    def private(self) -> tuple[Asked, str]:
        """An assessment whose rule has an odd name: a responder is never given words."""
        return (RiskAssessment(level=4, axes=("suicide",), rules=(ODD_RULE,)), ()), ODD_RULE

    async def ask(self, part: Responder, sample: Asked) -> CrisisReply:
        """Answer an assessment."""
        assessment, shown = sample
        return part.respond(assessment, shown=shown)

    def verify(self, part: Responder, sample: Asked, answer: CrisisReply) -> None:
        """A reply with words that names somebody to turn to."""
        del part, sample
        verify_model(answer, CrisisReply, _WHO)
        want(answer.text.strip(), "A responder always has words.")
        want(answer.resources, "A responder always names somebody to turn to.")
        want(
            all(r.name in answer.text or r.contact in answer.text for r in answer.resources),
            "A responder's text names every resource that stands beside it.",
        )

    def test_what_it_adds_keeps_the_contract(self) -> None:
        """Beside an ordinary reply, or nothing."""
        part = self.make()
        for assessment, shown in self.samples():
            added = part.augment(assessment, shown=shown)
            if added is not None:
                self.verify(part, (assessment, shown), added)

    def test_no_risk_adds_nothing(self) -> None:
        """A crisis line beside every reply is no help in any."""
        added = self.make().augment(RiskAssessment(level=0))
        want(added is None, "A responder adds nothing to a reply where there is no risk.")

    def _all_shown(self) -> tuple[str, ...]:
        """The resources that a responder names one after the other."""
        part, shown = self.make(), list[str]()
        for _ in range(10):
            reply = part.respond(_risk(4, "suicide"), shown=tuple(shown))
            shown += [resource.id for resource in reply.resources]
        return tuple(shown)


def _risk(level: int, axis: RiskAxis) -> RiskAssessment:
    return RiskAssessment(level=level, axes=(axis,), rules=(f"{axis}-sample",))


def responder(make: Callable[[], Responder]) -> type[ResponderSuite]:
    """The suite of a responder: ``TestMine = conformance.responder(Mine)``.

    Args:
        make: Makes a fresh responder: a class whose arguments have defaults, or a function.
    """
    return suite(ResponderSuite, make)
