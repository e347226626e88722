"""The suite of a triage."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.basics import run, want
from affectgraph.orchestrator.testing.conformance.suite import Suite, suite
from affectgraph.orchestrator.testing.conformance.values import CODE, verify_model
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.policies.contracts import Triage
from affectgraph.policies.verdict import RiskAssessment

_WHO = "A triage"


class TriageSuite(Suite[Triage, str, RiskAssessment]):
    """What every triage does. It is asked on worker threads, as an agent asks it."""

    contract = "triage"
    protocol = Triage
    risky: tuple[str, ...] = ("I want to kill myself.", "I am going to end my life tonight.")
    calm: tuple[str, ...] = given.WORDS

    def setup_method(self) -> None:
        """A pool beside the folder."""
        super().setup_method()
        self._pool = BlockingPool(size=4)

    async def prepare(self, part: Triage) -> None:
        """Load its rules on a thread."""
        await self._pool.run(part.warm_up)

    def samples(self) -> Sequence[str]:
        """Calm words and plain risk."""
        return (*self.calm, *self.risky)

    def odd(self) -> Sequence[str]:
        """Unusual words, and none."""
        return ("", *given.ODD)

    def private(self) -> tuple[str, str]:
        """Words with the secret."""
        return f"{given.PRIVATE} {self.risky[0]}", given.PERSONAL

    async def ask(self, part: Triage, sample: str) -> RiskAssessment:
        """Assess words."""
        return await self._pool.run(lambda: part.assess(sample))

    def verify(self, part: Triage, sample: str, answer: RiskAssessment) -> None:
        """A level in range, spans inside of the words, rules by their names."""
        del part
        verify_model(answer, RiskAssessment, _WHO)
        want(
            all(0 <= start < end <= len(sample) for start, end in answer.spans),
            "A triage gives spans inside of the words: first character, one past the last.",
        )
        want(
            all(CODE.fullmatch(rule) for rule in answer.rules),
            "A triage names rules by short codes, and repeats none of the person's words.",
        )

    def test_plain_risk_is_found(self) -> None:
        """From level 3 on people, and not a model, have written the answer."""
        for _, risk in self._answers(self.risky):
            want(
                risk.level >= 3 and not risk.degraded,
                "A triage finds level 3 or more where somebody plainly says that they want to"
                " die by their own hand; give risky=[...] if yours reads another language.",
            )

    def test_everyday_words_are_no_crisis(self) -> None:
        """Who is answered with a crisis line for nothing does not come back."""
        for _, risk in self._answers(self.calm):
            want(risk.level < 3, "A triage finds no crisis in everyday words; give calm=[...].")

    def test_it_is_safe_on_threads(self) -> None:
        """Several turns are assessed at the same time."""
        part = self.make()
        samples = list(self.samples()) * 3
        alone = [risk for _, risk in self._answers(samples)]

        async def together() -> list[RiskAssessment]:
            await asyncio.gather(self.prepare(part), self.prepare(part))
            return await asyncio.gather(*(self.ask(part, sample) for sample in samples))

        if self.deterministic:
            want(
                run(together()) == alone,
                "A triage is safe on threads: an assessment depends on its own words alone.",
            )

    def test_it_answers_before_it_is_warmed_up(self) -> None:
        """The first turn does not wait."""
        part = self.make()
        risk = run(self.ask(part, self.risky[0]))
        want(risk.level >= 3, "A triage that is asked before warm_up loads what it needs.")


def triage(
    make: Callable[[], Triage],
    *,
    risky: Sequence[str] = (),
    calm: Sequence[str] = (),
    deterministic: bool = True,
) -> type[TriageSuite]:
    """The suite of a triage: ``TestMine = conformance.triage(Mine)``.

    Args:
        make: Makes a fresh triage: a class whose arguments have defaults, or a function.
        risky: Words that must be found at level 3 or above; by default two in English.
        calm: Words in which no crisis may be found; by default everyday English.
        deterministic: Whether the same words get the same assessment.
    """
    options: dict[str, object] = {}
    if risky:
        options["risky"] = tuple(risky)
    if calm:
        options["calm"] = tuple(calm)
    return suite(TriageSuite, make, deterministic=deterministic, **options)
