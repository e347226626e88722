"""What the policies are: one that reviews, and three that have more to say than a verdict."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from affectgraph.policies.crisis import CrisisReply
from affectgraph.policies.verdict import RiskAssessment, Verdict

Subject = TypeVar("Subject", contravariant=True)


@runtime_checkable
class Policy(Protocol[Subject]):
    """Reviews one kind of subject. Quick and pure: no input or output, no model calls."""

    @property
    def name(self) -> str:
        """Name in verdicts, spans and the audit."""
        ...

    def review(self, subject: Subject) -> Verdict:
        """Say what may be done with the subject, with reasons."""
        ...


class Sentence(BaseModel):
    """One generated sentence, before anyone has seen it.

    Attributes:
        text: The sentence with its closing mark and following space.
        before: What was already delivered of this reply.
        utterance: What the person said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    before: str
    utterance: str


@runtime_checkable
class Triage(Protocol):
    """Says how much risk a person's words show.

    Called on a worker thread, so it may compute. One that is quick for short texts may say so by
    an attribute ``quick_below``, a number of characters: shorter ones are assessed in the event
    loop, which saves a turn the way to a thread and back. It is asked in every turn; before what
    is needed is loaded it must be 0.
    """

    def warm_up(self) -> None:
        """Load rules or models; called once, before the first turn."""
        ...

    def assess(self, text: str) -> RiskAssessment:
        """Assess the words of one turn; thread-safe."""
        ...


@runtime_checkable
class Disclosure(Protocol):
    """Decides what the person must be told before the reply."""

    def notices(
        self,
        at: datetime,
        last: datetime | None,
        utterance: str,
        senses: tuple[str, ...],
        *,
        noticed: Collection[str] = (),
    ) -> tuple[str, ...]:
        """The notices to show, in order; often none.

        Args:
            at: Time of the turn (time zone aware).
            last: When the person was last told that this is an AI; ``None`` if never.
            utterance: What the person said.
            senses: Which of ``camera`` and ``microphone`` are being read now.
            noticed: Senses that the person has been told of since ``last``.
        """
        ...


@runtime_checkable
class Responder(Protocol):
    """Answers a person at risk with written words; asks no language model."""

    def respond(self, assessment: RiskAssessment, shown: Collection[str] = ()) -> CrisisReply:
        """The whole reply; ``shown`` are ids of resources named before in the conversation."""
        ...

    def augment(
        self, assessment: RiskAssessment, shown: Collection[str] = ()
    ) -> CrisisReply | None:
        """What to add to an ordinary reply; ``None`` for nothing."""
        ...
