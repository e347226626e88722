"""What a policy says, and how risk is told."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RiskAxis = Literal["suicide", "self-harm", "harm-to-others", "abuse", "medical-emergency"]


class Verdict(BaseModel):
    """A policy's say on a subject.

    Attributes:
        action: ``allow`` it, ``revise`` or ``replace`` it with ``replacement``, ``escalate`` to
            a person or the crisis responder, or ``block`` it.
        policy: Name of the policy.
        reasons: Short codes such as ``method-information``; never user content.
        replacement: What to use instead, for ``revise`` and ``replace``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["allow", "revise", "replace", "escalate", "block"]
    policy: str
    reasons: tuple[str, ...] = ()
    replacement: str | None = None


class RiskAssessment(BaseModel):
    """How much risk a person's words show; a triage, not a diagnosis.

    Attributes:
        level: 0 none; 1 distress or hopelessness; 2 passive ideation (a wish to be dead);
            3 active thoughts of suicide; 4 with a method; 5 with intent; 6 with plan and intent,
            a preparatory act, or an emergency under way. After the ladder of the Columbia scale.
        axes: What kind of risk.
        spans: Where in the utterance: first character and one past the last.
        rules: Names of the rules that fired.
        degraded: Whether part of the triage failed, so that the level may be too low.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: int = Field(ge=0, le=6)
    axes: tuple[RiskAxis, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()
    rules: tuple[str, ...] = ()
    degraded: bool = False
