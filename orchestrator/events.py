"""What a caller sees of a turn while it runs, in order."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from affectgraph.memory.record import Recollection
from affectgraph.orchestrator.reply import Reply
from affectgraph.orchestrator.state import LeftOut
from affectgraph.perceivers.affect import Affect, Reading
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.plan import Decision


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Noticed(_Event):
    """A disclosure that the person must see before anything else."""

    kind: Literal["noticed"] = "noticed"
    text: str


class Perceived(_Event):
    """A perceiver has read, or abstained."""

    kind: Literal["perceived"] = "perceived"
    reading: Reading


class Omitted(_Event):
    """A node failed or was late; the turn goes on without it."""

    kind: Literal["omitted"] = "omitted"
    left_out: LeftOut


class Fused(_Event):
    """The readings were fused; ``None`` if nothing was perceived."""

    kind: Literal["fused"] = "fused"
    affect: Affect | None


class Assessed(_Event):
    """The triage is done."""

    kind: Literal["assessed"] = "assessed"
    risk: RiskAssessment


class Recalled(_Event):
    """Memories came to mind."""

    kind: Literal["recalled"] = "recalled"
    recollections: tuple[Recollection, ...]


class Decided(_Event):
    """One label of the plan is decided."""

    kind: Literal["decided"] = "decided"
    decision: Decision


class Token(_Event):
    """A released piece of the reply: the output policies have passed it."""

    kind: Literal["token"] = "token"
    text: str


class Replaced(_Event):
    """A policy stopped the model's words; ``text`` stands in their place."""

    kind: Literal["replaced"] = "replaced"
    text: str
    reasons: tuple[str, ...]


class Remembered(_Event):
    """The exchange was written to memory."""

    kind: Literal["remembered"] = "remembered"
    record_id: str


class Done(_Event):
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
    | Token
    | Replaced
    | Remembered
    | Done
)
