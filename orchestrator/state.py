"""What flows through the graph in one turn, and what stays with the thread."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from langgraph.channels.untracked_value import UntrackedValue
from pydantic import AwareDatetime, BaseModel, ConfigDict
from typing_extensions import TypedDict

from affectgraph.memory.record import Recollection
from affectgraph.perceivers.affect import Affect, Reading, merge_readings
from affectgraph.perceivers.turn import Consent, Turn
from affectgraph.policies.consent import Sense
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.origin import ReplyOrigin


class LeftOut(BaseModel):
    """A part of the turn that could not take place; the turn went on without it.

    Attributes:
        node: Name of the node.
        reason: What kind of fault.
        detail: One line for a person, without user content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    node: str
    reason: Literal["failed", "timeout", "stopped"]
    detail: str


Source = Literal["reasoner", "crisis", "human", "fallback"]
"""Who spoke: the reasoner, the crisis responder, a person, or a written fallback."""


class TurnHead(BaseModel):
    """What is kept of a turn beside its words: everything but the media.

    Attributes:
        id: The turn's id.
        user: Who speaks.
        thread: The conversation.
        consent: What the person agreed to.
        at: When the turn was captured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    user: str
    thread: str
    consent: Consent
    at: AwareDatetime

    @classmethod
    def of(cls, turn: Turn) -> Self:
        """The head of a turn."""
        return cls(id=turn.id, user=turn.user, thread=turn.thread, consent=turn.consent, at=turn.at)


class Answer(BaseModel):
    """What was said in a turn.

    Attributes:
        delivered: What the person received.
        generated: What the model produced; differs where a policy replaced or dropped something,
            and where the turn was stopped.
        source: Who spoke last.
        resources: Names of the crisis resources that were shown.
        interrupted: Whether the turn was stopped before the person had received it all.
        origin: Whether the model's first try was said, its second, or a written reply, and why;
            ``None`` where the reasoner does not tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    delivered: str
    generated: str = ""
    source: Source
    resources: tuple[str, ...] = ()
    interrupted: bool = False
    origin: ReplyOrigin | None = None


# Keys with several writers in one superstep have reducers. `None` starts a new turn: the thread's
# last values must not leak into it.


def _fold_readings(
    old: tuple[Reading, ...], new: tuple[Reading, ...] | None
) -> tuple[Reading, ...]:
    return () if new is None else merge_readings(old, new)


def _fold_left_out(
    old: tuple[LeftOut, ...], new: tuple[LeftOut, ...] | None
) -> tuple[LeftOut, ...]:
    return () if new is None else (*old, *new)


def _fold_timings(old: dict[str, float], new: dict[str, float] | None) -> dict[str, float]:
    return {} if new is None else {**old, **new}


class TurnState(TypedDict, total=False):
    """State of the support graph.

    ``history``, ``risk_level``, ``noticed_at``, ``noticed_senses`` and ``shown_resources`` belong
    to the thread and outlive the turn. The rest is written anew in each turn. ``turn`` holds
    handles of media and is never checkpointed; ``head`` is the rest of it.
    """

    turn: Annotated[Turn, UntrackedValue]
    head: TurnHead
    notices: tuple[str, ...]
    readings: Annotated[tuple[Reading, ...], _fold_readings]
    utterance: str
    affect: Affect | None
    risk: RiskAssessment
    recalled: tuple[Recollection, ...]
    plan: Plan
    answer: Answer | None
    remembered: str | None
    left_out: Annotated[tuple[LeftOut, ...], _fold_left_out]
    timings_ms: Annotated[dict[str, float], _fold_timings]

    history: tuple[Exchange, ...]
    risk_level: int
    noticed_at: datetime | None
    noticed_senses: tuple[Sense, ...]
    shown_resources: tuple[str, ...]
