"""Nodes from the affect to the memory: triage, recall, escalate, decide, respond, remember."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from affectgraph.memory.record import Cue, MemoryRecord, record_id
from affectgraph.orchestrator.events import (
    Assessed,
    Decided,
    Event,
    Recalled,
    Remembered,
    Replaced,
    Token,
)
from affectgraph.orchestrator.node import Degrade, Emit, Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.perceiving import words_of
from affectgraph.orchestrator.state import Answer, StateUpdate, TurnState
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import NodeError
from affectgraph.policies.gate import Ended, Released, SentenceGate
from affectgraph.policies.triage import accumulate
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner, LabelStage, ResponseStage
from affectgraph.reasoners.plan import Decision, Plan

CRISIS_LEVEL: Final = 3
"""From this level on the crisis responder answers (the design's ladder: active ideation)."""

AUGMENT_LEVEL: Final = 2
"""At this level resources stand beside the reasoner's reply."""

FALLBACK: Final = (
    "I read what you wrote, but something on my side is keeping me from a proper answer right"
    " now. Would you like to tell me a little more, or try again in a moment?"
)
"""Said when no response could be generated at all."""

CRISIS_FALLBACK: Final = (
    "I'm an AI, and what you wrote sounds serious. You deserve a person right now: please call your"
    " local emergency number, or find a free line near you at findahelpline.com, and tell someone"
    " you trust. I'm still here. Are you safe at this moment?"
)
"""Said if even the crisis responder fails."""

WITHHELD: Final = (
    "I started an answer that I should not give. Would you tell me what matters most to you in"
    " this right now?"
)
"""Said in place of the model's words when an output policy stops them."""


def triage_node(parts: Parts) -> Node:
    """Assess the risk in the words, whatever else of the turn has failed."""
    pool = BlockingPool(size=4)

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        # Not state["utterance"]: triage must not rest on another node's having run.
        words = words_of(state["turn"], state["readings"])
        # Quick for a message, but not for the longest that is taken: off the loop.
        risk = await pool.run(lambda: parts.safety.triage.assess(words))
        emit(Assessed(risk=risk))
        return {"risk": risk}

    def degrade(_state: TurnState, emit: Emit, _emitted: Sequence[Event]) -> StateUpdate:
        # Level 2: an unknown risk is answered with resources beside the reply, not with silence.
        risk = RiskAssessment(level=2, degraded=True)
        emit(Assessed(risk=risk))
        return {"risk": risk}

    return Node("triage", body, parts.limits.triage, degrade)


def recall_node(parts: Parts) -> Node:
    """Find memories that matter now; only with consent, only this person's."""

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        turn, words = state["turn"], state["utterance"]
        permitted = parts.allows(turn.consent, "memory")
        if parts.memory is None or not permitted or not words:
            return {"recalled": ()}
        cue = Cue(user=turn.user, text=words, affect=state["affect"])
        recalled = tuple(await parts.memory.recall(cue))
        emit(Recalled(recollections=recalled))
        return {"recalled": recalled}

    return Node("recall", body, parts.limits.recall)


def escalate_node(parts: Parts) -> Node:
    """Carry the thread's risk level on; :func:`path_of` then chooses who answers."""

    async def body(state: TurnState, _emit: Emit) -> StateUpdate:
        level = accumulate(state["risk_level"], state["risk"])
        return {"risk_level": level}

    def degrade(state: TurnState, _emit: Emit, _emitted: Sequence[Event]) -> StateUpdate:
        return {"risk_level": max(state["risk_level"], state["risk"].level)}

    return Node("escalate", body, parts.limits.triage, degrade)


def path_of(state: TurnState) -> str:
    """Who answers this turn: ``crisis`` or ``reason``."""
    return "crisis" if state["risk"].level >= CRISIS_LEVEL else "reason"


def crisis_node(parts: Parts) -> Node:
    """Answer with written words and local resources; no language model is asked."""

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        shown = state["shown_resources"]
        reply = parts.safety.crisis.respond(state["risk"], shown=shown)
        emit(Token(text=reply.text))
        named = tuple(resource.id for resource in reply.resources)
        return {
            "answer": Answer(delivered=reply.text, source="crisis", resources=named),
            "shown_resources": (*shown, *named),
        }

    def degrade(_state: TurnState, emit: Emit, _emitted: Sequence[Event]) -> StateUpdate:
        emit(Token(text=CRISIS_FALLBACK))
        return {"answer": Answer(delivered=CRISIS_FALLBACK, source="crisis")}

    return Node("crisis", body, parts.limits.triage, degrade)


def decide_node(stage: LabelStage, parts: Parts) -> Node:
    """One label stage; where it fails, the plan goes on without its label."""

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        decision = await stage.decide(_context(state))
        emit(Decided(decision=decision))
        return {"plan": state["plan"].deciding(decision)}

    return Node(stage.stage, body, parts.limits.decide)


def respond_node(stage: ResponseStage, parts: Parts) -> Node:
    """The response stage of the staged form, behind the hold-back gate."""

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        return await _speak(parts, state, stage.respond(_context(state)), emit)

    return Node("response", body, parts.limits.respond, _spoken_so_far(parts))


def joint_node(reasoner: JointReasoner, parts: Parts) -> Node:
    """The whole joint generation: labels first, then the response behind the gate."""

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        decisions: list[Decision] = []

        async def pieces() -> AsyncIterator[str]:
            source = reasoner.reason(_context(state))
            try:
                async for item in source:
                    if isinstance(item, Decision):
                        decisions.append(item)
                        emit(Decided(decision=item))
                    else:
                        yield item
            finally:
                await _close(source)

        update = await _speak(parts, state, pieces(), emit)
        return {**update, "plan": _plan_of(decisions)}

    def degrade(state: TurnState, emit: Emit, emitted: Sequence[Event]) -> StateUpdate:
        decisions = [event.decision for event in emitted if isinstance(event, Decided)]
        update = _spoken_so_far(parts)(state, emit, emitted)
        return {**update, "plan": _plan_of(decisions)}

    return Node("reason", body, parts.limits.respond, degrade)


def remember_node(parts: Parts) -> Node:
    """After the reply: keep the exchange in the thread's history and, with consent, in memory."""

    def exchange(state: TurnState) -> StateUpdate:
        answer = state["answer"]
        if answer is None:
            raise NodeError("remember", "no node has answered")
        said = Exchange(
            said=state["utterance"],
            replied=answer.delivered,
            plan=state["plan"],
            risk_level=state["risk"].level,
        )
        return {"history": (*state["history"], said)[-parts.keep_exchanges :]}

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        turn, answer = state["turn"], state["answer"]
        update = exchange(state)
        permitted = parts.allows(turn.consent, "memory")
        if parts.memory is None or answer is None or not permitted or not state["utterance"]:
            return update
        strategy = state["plan"].strategy
        record = MemoryRecord(
            id=record_id(turn.user, turn.thread, state["utterance"], turn.at),
            user=turn.user,
            thread=turn.thread,
            text=state["utterance"],
            reply=answer.delivered,
            affect=state["affect"],
            strategy=strategy.label if strategy else None,
            risk_level=state["risk"].level,
            at=turn.at,
        )
        await parts.memory.remember(record)
        emit(Remembered(record_id=record.id))
        return {**update, "remembered": record.id}

    return Node("remember", body, parts.limits.remember, lambda state, _e, _d: exchange(state))


async def _speak(
    parts: Parts, state: TurnState, pieces: AsyncIterator[str], emit: Emit
) -> StateUpdate:
    """Stream pieces through the gate to the caller; add resources where risk asks for them."""
    gate = SentenceGate(parts.safety.output, replacement=WITHHELD)
    generated, delivered = "", ""
    async for event in gate.hold(pieces, state["utterance"]):
        if isinstance(event, Released):
            emit(Token(text=event.text))
        elif isinstance(event, Ended):
            generated, delivered = event.generated, event.delivered
        else:
            emit(Replaced(text=event.text, reasons=event.verdict.reasons))
    if not delivered.strip():
        raise NodeError("response", "nothing that could be delivered was generated")
    answer = Answer(delivered=delivered, generated=generated, source="reasoner")
    return _with_resources(parts, state, answer, emit)


def _spoken_so_far(parts: Parts) -> Degrade:
    """Keep what was delivered before a failure; with nothing delivered, say so in plain words."""

    def degrade(state: TurnState, emit: Emit, emitted: Sequence[Event]) -> StateUpdate:
        delivered = "".join(e.text for e in emitted if isinstance(e, Token | Replaced))
        if delivered.strip():
            answer = Answer(delivered=delivered, source="reasoner")
        else:
            emit(Token(text=FALLBACK))
            answer = Answer(delivered=FALLBACK, source="fallback")
        return _with_resources(parts, state, answer, emit)

    return degrade


def _with_resources(parts: Parts, state: TurnState, answer: Answer, emit: Emit) -> StateUpdate:
    """Add resources where this turn's words ask for them, or those of the turn before did.

    Not in every later turn of the thread: words that repeat themselves are no longer read.
    """
    risk, shown = state["risk"], state["shown_resources"]
    before = state["history"][-1].risk_level if state["history"] else 0
    if risk.level < AUGMENT_LEVEL <= before:
        risk = risk.model_copy(update={"level": AUGMENT_LEVEL})
    addition = parts.safety.crisis.augment(risk, shown=shown)
    if addition is None:
        return {"answer": answer}
    emit(Token(text=f"\n\n{addition.text}"))
    named = tuple(resource.id for resource in addition.resources)
    update = {"delivered": f"{answer.delivered}\n\n{addition.text}", "resources": named}
    return {"answer": answer.model_copy(update=update), "shown_resources": (*shown, *named)}


def _context(state: TurnState) -> ReasoningContext:
    return ReasoningContext(
        utterance=state["utterance"],
        affect=state["affect"],
        recollections=state["recalled"],
        history=state["history"],
        plan=state["plan"],
    )


def _plan_of(decisions: Sequence[Decision]) -> Plan:
    plan = Plan()
    for decision in decisions:
        plan = plan.deciding(decision)
    return plan


async def _close(source: AsyncIterator[object]) -> None:
    """Stop a generation that its consumer has left."""
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
