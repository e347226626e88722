"""What a policy is."""

from __future__ import annotations

from typing import Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from affectgraph.policies.verdict import Verdict

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
