"""What the reasoner knows when it decides."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from affectgraph.memory.record import Recollection
from affectgraph.perceivers.affect import Affect
from affectgraph.reasoners.plan import Plan


class Exchange(BaseModel):
    """One past exchange of the conversation.

    Attributes:
        said: What the person said.
        replied: What was delivered to them (not merely generated).
        plan: What had been decided, the agent's own labels.
        risk_level: Risk at that turn, 0 to 6.
        turn: Id of the turn; empty where it is not known.
        interrupted: Whether the reply was cut short by the person.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    said: str
    replied: str
    plan: Plan = Plan()
    risk_level: int = Field(default=0, ge=0, le=6)
    turn: str = ""
    interrupted: bool = False


class ReasoningContext(BaseModel):
    """Everything that a stage may condition on.

    Attributes:
        utterance: The person's words: typed text and transcript.
        affect: Fused perception; ``None`` if nothing was perceived.
        recollections: Memories that came to mind.
        history: Past exchanges of this thread, oldest first.
        plan: Decisions of the stages before this one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    utterance: str
    affect: Affect | None = None
    recollections: tuple[Recollection, ...] = ()
    history: tuple[Exchange, ...] = ()
    plan: Plan = Plan()
