"""What a turn comes to."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from affectgraph.memory.record import Recollection
from affectgraph.orchestrator.state import LeftOut, Source, TurnState
from affectgraph.perceivers.affect import Affect, Reading
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.replies.origin import ReplyOrigin


class Reply(BaseModel):
    """The whole result of a turn.

    Attributes:
        text: What the person received.
        source: Who spoke last: the reasoner, the crisis responder, a person, or a fallback.
        interrupted: Whether the turn was stopped before the person had received it all.
        origin: Whether the model's first try was said, its second, or a written reply, with codes
            of why; ``None`` where that is not known.
        notices: Disclosures that were shown first.
        readings: One reading a modality.
        affect: Fused perception; ``None`` if nothing was perceived.
        risk: What the triage found in this turn.
        recalled: Memories that came to mind.
        user_emotion: First decision of the plan; ``None`` where the crisis responder spoke.
        strategy: Support strategy of the reply.
        system_emotion: Emotion that the reply carries.
        remembered: Id of the written memory; ``None`` if nothing was written.
        left_out: Parts of the turn that failed or were late.
        timings_ms: Wall time of each node in milliseconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    source: Source
    interrupted: bool = False
    origin: ReplyOrigin | None = None
    notices: tuple[str, ...] = ()
    readings: tuple[Reading, ...] = ()
    affect: Affect | None = None
    risk: RiskAssessment
    recalled: tuple[Recollection, ...] = ()
    user_emotion: Decision | None = None
    strategy: Decision | None = None
    system_emotion: Decision | None = None
    remembered: str | None = None
    left_out: tuple[LeftOut, ...] = ()
    timings_ms: dict[str, float]

    @classmethod
    def of(cls, state: TurnState, timings_ms: dict[str, float] | None = None) -> Reply:
        """Read the result out of a finished turn's state; timings too, if none are given."""
        answer, plan = state["answer"], state["plan"]
        assert answer is not None
        return cls(
            text=answer.delivered,
            source=answer.source,
            interrupted=answer.interrupted,
            origin=answer.origin,
            notices=state["notices"],
            readings=state["readings"],
            affect=state["affect"],
            risk=state["risk"],
            recalled=state["recalled"],
            user_emotion=plan.user_emotion,
            strategy=plan.strategy,
            system_emotion=plan.system_emotion,
            remembered=state["remembered"],
            left_out=state["left_out"],
            timings_ms=state["timings_ms"] if timings_ms is None else timings_ms,
        )

    def to_json(self) -> dict[str, Any]:
        """The printed form: plain types only, decisions with their distributions."""
        return self.model_dump(mode="json")
