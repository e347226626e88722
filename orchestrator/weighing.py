"""Nodes that weigh the turn: triage, recall, escalate, and who answers."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict

from affectgraph.memory.record import Cue, Recollection
from affectgraph.orchestrator.answering import unanswered
from affectgraph.orchestrator.events import Assessed, Recalled
from affectgraph.orchestrator.handoff import CRISIS_LEVEL
from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.perceiving import words_of
from affectgraph.orchestrator.state import TurnHead
from affectgraph.perceivers.affect import Affect, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.turn import Turn
from affectgraph.policies.triage import accumulate
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange


class Risk(TypedDict):
    """What the triage found."""

    risk: RiskAssessment


class Recalls(TypedDict):
    """What came to mind."""

    recalled: tuple[Recollection, ...]


class Escalated(TypedDict):
    """What is answered to, and what the thread carries on."""

    risk: RiskAssessment
    risk_level: int


def triage_node(parts: Parts) -> Node:
    """Assess the risk in the words, whatever else of the turn has failed or was stopped."""
    pool = BlockingPool(size=4)
    assess = parts.safety.triage.assess

    async def triage(turn: Turn, readings: tuple[Reading, ...], *, emit: Emit) -> Risk:
        # Not the utterance: triage must not rest on another node's having run.
        words = words_of(turn, readings)
        if len(words) < getattr(parts.safety.triage, "quick_below", 0):
            risk = assess(words)
        else:
            risk = await pool.run(lambda: assess(words))
        emit(Assessed(risk=risk))
        return {"risk": risk}

    def degrade(*, emit: Emit) -> Risk:
        # Level 2: an unknown risk is answered with resources beside the reply, not with silence.
        risk = RiskAssessment(level=2, degraded=True)
        emit(Assessed(risk=risk))
        return {"risk": risk}

    return Node("triage", triage, parts.limits.triage, degrade, always=True)


def recall_node(parts: Parts) -> Node:
    """Find memories that matter now; only with consent, only this person's."""

    async def recall(
        head: TurnHead, utterance: str, affect: Affect | None, *, emit: Emit
    ) -> Recalls:
        permitted = parts.allows(head.consent, "memory")
        if parts.memory is None or not permitted or not utterance:
            return {"recalled": ()}
        cue = Cue(user=head.user, text=utterance, affect=affect)
        recalled = tuple(await parts.memory.recall(cue))
        emit(Recalled(recollections=recalled))
        return {"recalled": recalled}

    return Node("recall", recall, parts.limits.recall, {"recalled": ()})


def escalate_node(parts: Parts) -> Node:
    """Carry the thread's risk level on; :func:`path_of` then chooses who answers.

    Crisis words that the person never received, because the turn was left or its process died,
    are still owed: the next turn is answered as that one should have been.
    """

    async def escalate(
        risk_level: int, risk: RiskAssessment, history: tuple[Exchange, ...]
    ) -> Escalated:
        return {"risk": _owed(risk, history), "risk_level": accumulate(risk_level, risk)}

    def degrade(risk_level: int, risk: RiskAssessment, history: tuple[Exchange, ...]) -> Escalated:
        return {"risk": _owed(risk, history), "risk_level": max(risk_level, risk.level)}

    return Node("escalate", escalate, parts.limits.triage, degrade, always=True)


def _owed(risk: RiskAssessment, history: tuple[Exchange, ...]) -> RiskAssessment:
    unheard = [
        exchange.risk_level
        for exchange in unanswered(history)
        if exchange.interrupted and not exchange.replied.strip()
    ]
    level = max(unheard, default=0)
    if level < CRISIS_LEVEL or level <= risk.level:
        return risk
    return risk.model_copy(update={"level": level})


def path_of(risk: RiskAssessment) -> Literal["crisis", "reason"]:
    """Who answers this turn."""
    return "crisis" if risk.level >= CRISIS_LEVEL else "reason"
