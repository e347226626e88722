"""Fakes of the policies: each says what it was told to say, or goes wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, cast

from affectgraph.orchestrator.testing.faults import Fault, WrongType, take_blocking
from affectgraph.perceivers.affect import Modality
from affectgraph.policies.consent import ConsentPolicy, ConsentRequest
from affectgraph.policies.contracts import Sentence
from affectgraph.policies.crisis import CrisisReply, Resource
from affectgraph.policies.disclosure import AI_NOTICE
from affectgraph.policies.verdict import RiskAssessment, Verdict

Wrong = Literal["fails", "wrong type"]
"""Faults of a policy that runs on the event loop: one that hangs there would hang everything."""

LEVELS: Final[Mapping[str, int]] = MappingProxyType({"kill myself": 4, "end my life": 4})
"""Words that :class:`FakeTriage` knows by default, and their levels."""


class FakeConsent:
    """Honours the person's consent, and refuses what it is told to refuse besides.

    Args:
        refuses: Modalities, or ``memory``, that are refused whatever was agreed to.
        fault: What goes wrong.

    Attributes:
        reviewed: What it was asked, oldest first.
    """

    name = "fake-consent"

    def __init__(
        self,
        refuses: Collection[Modality | Literal["memory"]] = (),
        *,
        fault: Wrong | None = None,
    ) -> None:
        self.reviewed: list[ConsentRequest] = []
        self._refuses, self._fault = frozenset(refuses), fault
        self._real = ConsentPolicy()

    def review(self, subject: ConsentRequest) -> Verdict:
        """Allow what was agreed to and is not refused."""
        self.reviewed.append(subject)
        if (wrong := _wrong(self._fault, "consent policy")) is not None:
            return cast("Verdict", wrong)
        if subject.modality in self._refuses:
            return Verdict(action="block", policy=self.name, reasons=("refused",))
        return self._real.review(subject).model_copy(update={"policy": self.name})


class FakeOutput:
    """An output policy that stops sentences with certain words in them.

    Args:
        stops: Words, in lower case, that no sentence may hold.
        replacement: What is said instead; without it the sentence is blocked.
        fault: What goes wrong.

    Attributes:
        reviewed: The sentences, oldest first.
    """

    name = "fake-output"

    def __init__(
        self,
        stops: Collection[str] = (),
        *,
        replacement: str | None = None,
        fault: Wrong | None = None,
    ) -> None:
        self.reviewed: list[Sentence] = []
        self._stops, self._replacement, self._fault = frozenset(stops), replacement, fault

    def review(self, subject: Sentence) -> Verdict:
        """Stop a sentence that holds one of the words."""
        self.reviewed.append(subject)
        if (wrong := _wrong(self._fault, "output policy")) is not None:
            return cast("Verdict", wrong)
        if not any(word in subject.text.lower() for word in self._stops):
            return Verdict(action="allow", policy=self.name)
        return Verdict(
            action="block" if self._replacement is None else "replace",
            policy=self.name,
            reasons=("stopped-word",),
            replacement=self._replacement,
        )


class FakeDisclosure:
    """Shows the same notices at the start, and again where a sense is newly read.

    Args:
        shows: The notices.
        fault: What goes wrong.
    """

    name = "fake-disclosure"

    def __init__(self, shows: Sequence[str] = (AI_NOTICE,), *, fault: Wrong | None = None) -> None:
        self._notices, self._fault = tuple(shows), fault

    def notices(
        self,
        at: datetime,  # noqa: ARG002 - part of the contract
        last: datetime | None,
        utterance: str,  # noqa: ARG002
        senses: tuple[str, ...],
        *,
        noticed: Collection[str] = (),
    ) -> tuple[str, ...]:
        """The notices, where the person has not had them."""
        if (wrong := _wrong(self._fault, "disclosure policy")) is not None:
            return cast("tuple[str, ...]", wrong)
        return self._notices if last is None or set(senses) - set(noticed) else ()


class FakeTriage:
    """Finds the risk in certain words, at the pace of rules.

    Args:
        levels: Words, in lower case, and the level that each shows.
        seconds: Time that an assessment takes.
        fault: What goes wrong.

    Attributes:
        calls: How often it was asked.
        warmed: How often it was warmed up.
    """

    name = "fake-triage"

    def __init__(
        self,
        levels: Mapping[str, int] = LEVELS,
        *,
        seconds: float = 0.001,
        fault: Fault | None = None,
    ) -> None:
        self.calls = 0
        self.warmed = 0
        self._levels, self._seconds, self._fault = dict(levels), seconds, fault

    def warm_up(self) -> None:
        """Nothing to load."""
        self.warmed += 1

    def assess(self, text: str) -> RiskAssessment:
        """The highest level of the words that it knows; 0 without any."""
        self.calls += 1
        take_blocking(self._seconds, self._fault, "triage")
        if self._fault == "wrong type":
            return cast("RiskAssessment", WrongType())
        found = [(level, word) for word, level in self._levels.items() if word in text.lower()]
        if not found:
            return RiskAssessment(level=0)
        level, _ = max(found)
        return RiskAssessment(level=level, axes=("suicide",), rules=("fake",))


class FakeResponder:
    """Answers a person at risk with one text and one line.

    Args:
        says: What is said; ``{line}`` stands for the line to turn to.
        from_level: From this level up to 2 something is added to an ordinary reply.
        fault: What goes wrong.

    Attributes:
        asked: The assessments that it answered, oldest first.
    """

    name = "fake-responder"

    def __init__(
        self,
        says: str = "I'm an AI, and this sounds serious. You can turn to {line}.",
        *,
        from_level: int = 2,
        fault: Wrong | None = None,
    ) -> None:
        self.asked: list[RiskAssessment] = []
        self._says, self._from, self._fault = says, from_level, fault

    def respond(
        self,
        assessment: RiskAssessment,
        shown: Collection[str] = (),  # noqa: ARG002 - part of the contract
    ) -> CrisisReply:
        """The text, whatever the level."""
        self.asked.append(assessment)
        if (wrong := _wrong(self._fault, "responder")) is not None:
            return cast("CrisisReply", wrong)
        return CrisisReply(text=self._says.replace("{line}", LINE.told()), resources=(LINE,))

    def augment(
        self, assessment: RiskAssessment, shown: Collection[str] = ()
    ) -> CrisisReply | None:
        """The same text at level 2; nothing below it, and nothing where the reply is replaced."""
        return self.respond(assessment, shown) if self._from <= assessment.level <= 2 else None


LINE: Final = Resource(
    id="fake-line",
    name="the test line",
    contact="555-0100",
    hours="always",
    emergency="555-0199",
    source="https://example.org",
    status="unconfirmed",
    verified_on=None,
)
"""The line that :class:`FakeResponder` names; the number is one that nobody has."""


def _wrong(fault: Wrong | None, part: str) -> WrongType | None:
    if fault == "fails":
        raise RuntimeError(f"this {part} was made to fail")
    return WrongType() if fault == "wrong type" else None
