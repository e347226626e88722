"""The suite of a fusion."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, alike, want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_affect
from affectgraph.perceivers.affect import Affect, Evidence, Reading
from affectgraph.perceivers.contracts import Fusion
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EKMAN_7, MESC_7

Readings = list[Reading]


class FusionSuite(AsyncSuite[Fusion, Readings, Affect | None]):
    """What every fusion does."""

    contract = "fusion"
    protocol = Fusion

    def samples(self) -> Sequence[Readings]:
        """Readings in several label sets, some that differ, some that abstain."""
        return [list(readings) for readings in given.reading_sets()]

    def private(self) -> tuple[Readings, str]:
        """A reading whose transcript holds the secret."""
        heard = given.reading("speech", "fear").model_copy(update={"transcript": given.PRIVATE})
        return [heard], given.PERSONAL

    async def ask(self, part: Fusion, sample: Readings) -> Affect | None:
        """Fuse readings."""
        return await part.fuse(sample)

    def verify(self, part: Fusion, sample: Readings, answer: Affect | None) -> None:
        """One affect in range, dated within its readings."""
        del part
        verify_affect(answer, "A fusion of readings that hold an affect")
        assert answer is not None
        try:
            answer.distribution.to(MESC_7)
        except BuildError as error:
            raise NonconformityError(
                f"A fusion's affect is over {EKMAN_7.name}, or a label set with a declared mapping"
                f" to {MESC_7.name}: the stages of a reasoner read it so."
            ) from error
        heard = [reading.affect for reading in sample if reading.affect]
        times = [affect.captured_at for affect in heard]
        want(
            min(times) <= answer.captured_at <= max(times),
            "A fusion dates its affect within its readings' capture times.",
        )
        kept = {_key(evidence) for affect in heard for evidence in affect.evidence}
        want(
            {_key(evidence) for evidence in answer.evidence} <= kept,
            "A fusion gives no evidence that no reading gave.",
        )

    def test_nothing_makes_nothing(self) -> None:
        """No reading is no neutral mood."""
        for _, affect in self._answers([[], [given.ABSENT]]):
            want(affect is None, "A fusion of no readings, or of abstentions only, is None.")

    def test_the_order_of_readings_does_not_matter(self) -> None:
        """Perceivers run side by side and report in any order."""
        there = [affect for _, affect in self._answers(self.samples())]
        back = [affect for _, affect in self._answers([s[::-1] for s in self.samples()])]
        for one, other in zip(there, back, strict=True):
            want(
                one is not None and other is not None and alike(_core(one), _core(other)),
                "A fusion gives the same affect whatever the order of its readings.",
            )

    def test_agreement_is_kept(self) -> None:
        """Where all senses say the same, so does the fusion."""
        agreed = [
            [given.reading(modality, label, p=0.9) for modality in ("text", "face", "speech")]
            for label in EKMAN_7.labels
        ]
        for label, (_, affect) in zip(EKMAN_7.labels, self._answers(agreed), strict=True):
            want(
                affect is not None and affect.distribution.to(EKMAN_7).top == label,
                "A fusion of readings that agree puts the emotion first that they put first.",
            )


def _core(affect: Affect) -> tuple[object, ...]:
    return affect.distribution, affect.vad, affect.confidence, affect.captured_at


def _key(evidence: Evidence) -> str:
    return evidence.model_dump_json()


def fusion(make: Callable[[], Fusion], *, deterministic: bool = True) -> type[FusionSuite]:
    """The suite of a fusion: ``TestMine = conformance.fusion(Mine)``.

    Args:
        make: Makes a fresh fusion: a class whose arguments have defaults, or a function.
        deterministic: Whether the same readings give the same affect.
    """
    return suite(FusionSuite, make, deterministic=deterministic)
