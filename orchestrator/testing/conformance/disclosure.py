"""The suite of a disclosure policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from affectgraph.orchestrator.testing.conformance import samples as given
from affectgraph.orchestrator.testing.conformance.asynchronous import OnTheLoop
from affectgraph.orchestrator.testing.conformance.basics import want
from affectgraph.orchestrator.testing.conformance.suite import suite
from affectgraph.policies.contracts import Disclosure


class Moment(NamedTuple):
    """What a disclosure policy is asked with, by the names of its arguments."""

    at: datetime
    last: datetime | None
    utterance: str
    senses: tuple[str, ...]
    noticed: tuple[str, ...]


START = Moment(given.AT, None, given.WORDS[0], (), ())
SOON = START._replace(at=given.AT + timedelta(minutes=1), last=given.AT)
Notices = tuple[str, ...]


class DisclosureSuite(OnTheLoop[Disclosure, Moment, Notices]):
    """What every disclosure policy does."""

    contract = "disclosure policy"
    protocol = Disclosure

    def samples(self) -> Sequence[Moment]:
        """The start, a minute later, a day later, and senses that come on."""
        return [
            START,
            SOON,
            SOON._replace(at=given.AT + timedelta(days=1)),
            SOON._replace(senses=("camera",)),
            SOON._replace(senses=("camera", "microphone"), noticed=("camera",)),
        ]

    def odd(self) -> Sequence[Moment]:
        """Unusual words, none, and a clock that was set back."""
        back = SOON._replace(at=given.AT - timedelta(hours=1))
        return [*(START._replace(utterance=text) for text in ("", *given.ODD)), back]

    def private(self) -> tuple[Moment, str]:
        """Words with the secret."""
        return START._replace(utterance=given.PRIVATE), given.PERSONAL

    async def ask(self, part: Disclosure, sample: Moment) -> Notices:
        """Ask for the notices of a moment."""
        return part.notices(
            at=sample.at,
            last=sample.last,
            utterance=sample.utterance,
            senses=sample.senses,
            noticed=sample.noticed,
        )

    def verify(self, part: Disclosure, sample: Moment, answer: Any) -> None:
        """Notices that can be read."""
        del part, sample
        want(
            isinstance(answer, tuple) and all(isinstance(n, str) and n.strip() for n in answer),
            "A disclosure policy gives a tuple of notices, each with words.",
        )

    def test_the_start_is_disclosed(self) -> None:
        """Nobody is left to think that a person answers."""
        ((_, notices),) = self._answers([START])
        want(notices, "A disclosure policy says at the start of a conversation that this is an AI.")

    def test_a_sense_that_comes_on_is_disclosed(self) -> None:
        """Emotion recognition is never on in secret."""
        for sense in ("camera", "microphone"):
            ((_, notices),) = self._answers([SOON._replace(senses=(sense,))])
            want(
                notices,
                f"A disclosure policy says so when the {sense} is read that the person was not"
                " told of.",
            )


def disclosure(make: Callable[[], Disclosure]) -> type[DisclosureSuite]:
    """The suite of a disclosure policy: ``TestMine = conformance.disclosure(Mine)``.

    Args:
        make: Makes a fresh policy: a class whose arguments have defaults, or a function.
    """
    return suite(DisclosureSuite, make)
