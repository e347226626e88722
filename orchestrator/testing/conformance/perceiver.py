"""The suite of a perceiver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import get_args

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError, want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.orchestrator.testing.conformance.values import verify_reading, verify_span
from affectgraph.perceivers.affect import Evidence, Modality, Reading
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import InputError
from affectgraph.perceivers.turn import Turn

_WHO = "A perceiver"


class PerceiverSuite(AsyncSuite[Perceiver, Turn, Reading]):
    """What every perceiver does."""

    contract = "perceiver"
    protocol = Perceiver
    turns: tuple[Turn, ...] = ()

    def samples(self) -> Sequence[Turn]:
        """The author's turns, or ours for the modality."""
        return self.turns or given.turns(self.folder, self._modality())

    def odd(self) -> Sequence[Turn]:
        """Unusual words; media have oddities of their own, which the author may give."""
        if self._modality() != "text":
            return ()
        return [Turn(text=text, at=given.AT) for text in given.ODD]

    def private(self) -> tuple[Turn, str]:
        """A turn with the secret in its words and in the names of its files."""
        if self._modality() == "text":
            return Turn(text=given.PRIVATE, at=given.AT), given.PERSONAL
        return self.samples()[0].model_copy(update={"text": given.PRIVATE}), given.PERSONAL

    async def ask(self, part: Perceiver, sample: Turn) -> Reading:
        """Perceive a turn."""
        return await part.perceive(sample)

    def verify(self, part: Perceiver, sample: Turn, answer: Reading) -> None:
        """A reading in range, of the right modality, that points into the turn."""
        verify_reading(answer, _WHO)
        want(
            answer.modality == part.modality,
            "A perceiver puts its own modality into every reading.",
        )
        want(
            answer.transcript is None or part.modality == "speech",
            "Only a perceiver of speech gives a transcript.",
        )
        if answer.affect is None:
            return
        want(
            answer.affect.captured_at <= sample.at,
            "A perceiver dates an affect by when it was captured, Turn.at, not by the clock.",
        )
        want(
            0 < answer.covers <= len(sample.text)
            if part.modality == "text"
            else answer.covers == 0,
            "A perceiver of text says in Reading.covers how many characters it rests on; others"
            " leave it at 0.",
        )
        for evidence in answer.affect.evidence:
            _verify_evidence(evidence, sample, part.modality)

    # Checks of its own.

    def test_its_modality_is_known_and_constant(self) -> None:
        """Consent and the place in the graph follow from it, before anything is loaded."""
        first, again = self.make(), self.make()
        want(
            first.modality in get_args(Modality) and first.modality == again.modality,
            f"A perceiver's modality is one of {', '.join(get_args(Modality))} from the start,"
            " and always the same.",
        )

    def test_it_reads_what_it_is_for(self) -> None:
        """Abstaining is right on bad input only."""
        if self._modality() != "text" and not self.turns:
            return  # our photos and sounds show nobody
        want(
            any(reading.affect is not None for _, reading in self._answers(self.samples())),
            "A perceiver reads at least one of the suite's turns; give turns=[...] that yours is"
            " made for.",
        )

    def test_it_abstains_where_there_is_nothing_to_read(self) -> None:
        """An absent sense is no neutral face."""
        turn = given.turn_without(self.folder, self._modality())
        contract = "A perceiver abstains from a turn that has nothing of its modality"
        ((_, outcome),) = self._outcomes([turn])
        if isinstance(outcome, Exception):
            raise NonconformityError(
                f"{contract}: it does not raise ({type(outcome).__name__})."
            ) from outcome
        want(outcome.affect is None, f"{contract}: it does not guess.")
        verify_reading(outcome, _WHO)

    def test_broken_media_are_refused(self) -> None:
        """A file that cannot be opened ends in one of our errors or in an abstention."""
        if self._modality() == "text":
            return
        turn = given.turn_with_broken_media(self.folder, self._modality())
        ((_, outcome),) = self._outcomes([turn])
        if isinstance(outcome, Exception):
            want(
                isinstance(outcome, InputError),
                "A perceiver raises an InputError, such as MediaError, for a file that it cannot"
                f" use, not {type(outcome).__name__}.",
            )
            return
        want(outcome.affect is None, "A perceiver does not guess from a file that it cannot use.")

    def _modality(self) -> Modality:
        return self.make().modality


def _verify_evidence(evidence: Evidence, turn: Turn, modality: Modality) -> None:
    if modality == "text":
        verify_span(evidence, turn.text, _WHO)
    elif modality == "face":
        sizes = [image.pixels.shape[1::-1] for image in turn.images]
        if turn.video is not None:
            sizes.append((turn.video.info.width, turn.video.info.height))
            ends = evidence.end is None or evidence.end <= turn.video.info.seconds + 0.05
            want(ends, "A perceiver of faces gives as evidence times inside of the video.")
        # A stretch of the video needs no box; its times were looked at above.
        fits = (evidence.kind == "segment" and turn.video is not None) or (
            evidence.box is not None
            and any(
                evidence.box.x + evidence.box.width <= width
                and evidence.box.y + evidence.box.height <= height
                for width, height in sizes
            )
        )
        want(fits, "A perceiver of faces gives as evidence boxes inside of the photo, in pixels.")
    else:
        fits = (
            evidence.kind == "segment"
            and (sound := turn.sound) is not None
            and (evidence.end or 0) <= sound.seconds + 0.05
        )
        want(fits, "A perceiver of speech gives as evidence segments of the sound, in seconds.")


def perceiver(
    make: Callable[[], Perceiver],
    *,
    turns: Sequence[Turn] = (),
    deterministic: bool = True,
) -> type[PerceiverSuite]:
    """The suite of a perceiver: ``TestMine = conformance.perceiver(Mine)``.

    Args:
        make: Makes a fresh perceiver: a class whose arguments have defaults, or a function.
        turns: Turns that it is made for, two at least, one of which it must read. By default
            invented messages; of photos and sounds the default has no person in it.
        deterministic: Whether the same turn gives the same reading.
    """
    return suite(PerceiverSuite, make, turns=tuple(turns), deterministic=deterministic)
