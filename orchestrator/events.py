"""What a caller sees of a turn while it runs, in order: one typed stream, numbered.

The last event of a turn is ``Done`` or ``Failed``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from affectgraph.memory.record import Recollection
from affectgraph.orchestrator.handoff import HandOffPacket
from affectgraph.orchestrator.reply import Reply
from affectgraph.orchestrator.state import LeftOut
from affectgraph.perceivers.affect import Affect, Reading
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.replies.origin import ReplyOrigin


class TurnEvent(BaseModel):
    """What all events have.

    Attributes:
        seq: Number in the turn's stream, from 1, without gaps; 0 before it was sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int = 0

    @property
    def spoken(self) -> str:
        """What the event adds to the reply that the person receives."""
        return ""

    @property
    def urgent(self) -> bool:
        """Whether it goes out even in a turn that was stopped."""
        return False


class Noticed(TurnEvent):
    """A disclosure that the person must see before anything else."""

    kind: Literal["noticed"] = "noticed"
    text: str


class Perceived(TurnEvent):
    """A perceiver has read, or abstained."""

    kind: Literal["perceived"] = "perceived"
    reading: Reading


class Omitted(TurnEvent):
    """A node failed or was late; the turn goes on without it."""

    kind: Literal["omitted"] = "omitted"
    left_out: LeftOut


class Fused(TurnEvent):
    """The readings were fused; ``None`` if nothing was perceived."""

    kind: Literal["fused"] = "fused"
    affect: Affect | None


class Assessed(TurnEvent):
    """The triage is done."""

    kind: Literal["assessed"] = "assessed"
    risk: RiskAssessment


class Recalled(TurnEvent):
    """Memories came to mind."""

    kind: Literal["recalled"] = "recalled"
    recollections: tuple[Recollection, ...]


class Decided(TurnEvent):
    """One label of the plan is decided."""

    kind: Literal["decided"] = "decided"
    decision: Decision


class Held(TurnEvent):
    """Words were generated that nobody may see yet: the output policies have not passed them."""

    kind: Literal["held"] = "held"


class Token(TurnEvent):
    """A released piece of the reply: the output policies have passed it.

    Attributes:
        text: The words.
        crisis: Whether the crisis responder says them: another message does not stop them.
    """

    kind: Literal["token"] = "token"
    text: str
    crisis: bool = False

    @property
    def urgent(self) -> bool:
        """Whether it goes out even in a turn that was stopped."""
        return self.crisis

    @property
    def spoken(self) -> str:
        """What the event adds to the reply that the person receives."""
        return self.text


class Voiced(TurnEvent):
    """Where the words of the reply come from; told before them, and again where it changes."""

    kind: Literal["voiced"] = "voiced"
    origin: ReplyOrigin


class Replaced(TurnEvent):
    """A policy stopped the model's words; ``text`` stands in their place."""

    kind: Literal["replaced"] = "replaced"
    text: str
    reasons: tuple[str, ...]

    @property
    def spoken(self) -> str:
        """What the event adds to the reply that the person receives."""
        return self.text


class HandedOff(TurnEvent):
    """The turn waits for a person to answer in the agent's place."""

    kind: Literal["handed-off"] = "handed-off"
    packet: HandOffPacket


class Remembered(TurnEvent):
    """The exchange was written to memory."""

    kind: Literal["remembered"] = "remembered"
    record_id: str


class Failed(TurnEvent):
    """The turn could not be taken; the thread is as it was. The error itself is raised next.

    Attributes:
        error: Class of the error.
        detail: One line for a person, without user content.
    """

    kind: Literal["failed"] = "failed"
    error: str
    detail: str


class Done(TurnEvent):
    """The turn is over."""

    kind: Literal["done"] = "done"
    reply: Reply


Event = (
    Noticed
    | Perceived
    | Omitted
    | Fused
    | Assessed
    | Recalled
    | Decided
    | Held
    | Voiced
    | Token
    | Replaced
    | HandedOff
    | Remembered
    | Failed
    | Done
)
