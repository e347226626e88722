"""Handing a turn to a person: what they are shown, what they answer, what happens without one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from affectgraph.perceivers.affect import Affect
from affectgraph.perceivers.errors import BuildError
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange

CRISIS_LEVEL: Final = 3
"""From this level on the crisis responder answers (the design's ladder: active ideation)."""


@dataclass(frozen=True)
class HandOff:
    """When a person is asked to answer, and what happens if none does.

    The crisis responder has always spoken first: nobody in danger waits for a person to be free.

    Attributes:
        level: Risk from which a turn is handed off, 3 to 6.
        seconds: How long the turn waits for an answer.
        fallback: What is said when none came in time.
        exchanges: How many past exchanges the person is shown.

    Raises:
        BuildError: If the level is out of range.
    """

    level: int = 3
    seconds: float = 120.0
    fallback: str = (
        "I tried to reach a person for you and nobody is free yet. Please use one of the contacts"
        " above now if you are in danger. I am still here."
    )
    exchanges: int = 5

    def __post_init__(self) -> None:
        if not CRISIS_LEVEL <= self.level <= 6:
            raise BuildError(
                f"a hand-off at level {self.level}: the crisis responder speaks from level"
                f" {CRISIS_LEVEL} on, and nobody is handed off before it has spoken"
            )


class HandOffPacket(BaseModel):
    """What a person needs to know to answer; it holds user content and belongs in no log.

    Attributes:
        user: Whose turn it is.
        thread: Of which conversation.
        utterance: What was said.
        affect: How the person seemed; ``None`` if nothing was perceived.
        risk: What the triage found.
        risk_level: Risk of the thread so far.
        history: The latest exchanges, oldest first.
        delivered: What the agent has already answered in this turn.
        asked_at: When the turn was handed off.
        answer_by: When the agent goes on alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str
    thread: str
    utterance: str
    affect: Affect | None
    risk: RiskAssessment
    risk_level: int
    history: tuple[Exchange, ...]
    delivered: str
    asked_at: AwareDatetime
    answer_by: AwareDatetime


class HumanAnswer(BaseModel):
    """What a person answers to a hand-off.

    Attributes:
        action: ``reply`` to say ``text`` in this turn; ``release`` to let the agent go on alone
            with what it has said.
        text: The words, for ``reply``.
        author: Who answers, for the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal["reply", "release"] = "reply"
    text: str = Field(default="", max_length=20_000)
    author: str = Field(min_length=1, max_length=128)
