"""Nodes that answer: the crisis responder, the stages of the reasoner, or all of them in one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NotRequired

from typing_extensions import TypedDict

from affectgraph.memory.record import Recollection
from affectgraph.orchestrator.events import Decided, Held, Replaced, Token
from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.state import Answer
from affectgraph.perceivers.affect import Affect
from affectgraph.perceivers.errors import NodeError
from affectgraph.policies.gate import Ended, Released, SentenceGate
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner, LabelStage, ResponseStage
from affectgraph.reasoners.plan import Decision, Plan

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


class Planned(TypedDict):
    """The plan so far."""

    plan: Plan


class Answered(TypedDict):
    """What was said, and which resources it named."""

    answer: Answer
    shown_resources: NotRequired[tuple[str, ...]]


class PlannedAnswer(Planned, Answered):
    """Both, of one generation."""


def crisis_node(parts: Parts) -> Node:
    """Answer with written words and local resources; no language model is asked."""

    async def crisis(
        risk: RiskAssessment, shown_resources: tuple[str, ...], *, emit: Emit
    ) -> Answered:
        reply = parts.safety.crisis.respond(risk, shown=shown_resources)
        emit(Token(text=reply.text, crisis=True))
        named = tuple(resource.id for resource in reply.resources)
        return {
            "answer": Answer(delivered=reply.text, source="crisis", resources=named),
            "shown_resources": (*shown_resources, *named),
        }

    def degrade(*, emit: Emit) -> Answered:
        emit(Token(text=CRISIS_FALLBACK, crisis=True))
        return {"answer": Answer(delivered=CRISIS_FALLBACK, source="crisis")}

    # Not even another message of the person's own keeps these words back.
    return Node("crisis", crisis, parts.limits.triage, degrade, always=True)


def decide_node(stage: LabelStage, parts: Parts) -> Node:
    """One label stage; where it fails, the plan goes on without its label."""

    async def decide(
        utterance: str,
        affect: Affect | None,
        recalled: tuple[Recollection, ...],
        history: tuple[Exchange, ...],
        plan: Plan,
        *,
        emit: Emit,
    ) -> Planned:
        context = _context(utterance, affect, recalled, history, plan)
        decision = await stage.decide(context)
        emit(Decided(decision=decision))
        return {"plan": plan.deciding(decision)}

    def degrade(plan: Plan) -> Planned:
        return {"plan": plan}

    return Node(stage.stage, decide, parts.limits.decide, degrade)


def respond_node(stage: ResponseStage, parts: Parts) -> Node:
    """The response stage of the staged form, behind the hold-back gate."""
    fall_back = _spoken_so_far(parts)

    async def respond(
        utterance: str,
        affect: Affect | None,
        recalled: tuple[Recollection, ...],
        history: tuple[Exchange, ...],
        plan: Plan,
        risk: RiskAssessment,
        shown_resources: tuple[str, ...],
        *,
        emit: Emit,
    ) -> Answered:
        context = _context(utterance, affect, recalled, history, plan)
        answer = await _speak(parts, utterance, stage.respond(context), emit)
        return _with_resources(parts, risk, shown_resources, history, answer, emit)

    return Node("response", respond, parts.limits.respond, fall_back)


def joint_node(reasoner: JointReasoner, parts: Parts) -> Node:
    """The whole joint generation: labels first, then the response behind the gate."""
    fall_back = _spoken_so_far(parts)

    async def reason(
        utterance: str,
        affect: Affect | None,
        recalled: tuple[Recollection, ...],
        history: tuple[Exchange, ...],
        risk: RiskAssessment,
        shown_resources: tuple[str, ...],
        *,
        emit: Emit,
    ) -> PlannedAnswer:
        context = _context(utterance, affect, recalled, history, Plan())
        decisions: list[Decision] = []

        async def pieces() -> AsyncIterator[str]:
            source = reasoner.reason(context)
            try:
                async for item in source:
                    if isinstance(item, Decision):
                        decisions.append(item)
                        emit(Decided(decision=item))
                    else:
                        yield item
            finally:
                await _close(source)

        answer = await _speak(parts, utterance, pieces(), emit)
        answered = _with_resources(parts, risk, shown_resources, history, answer, emit)
        return _planned(answered, decisions)

    def degrade(
        risk: RiskAssessment,
        shown_resources: tuple[str, ...],
        history: tuple[Exchange, ...],
        *,
        emit: Emit,
        emitted: Sequence[Any],
        stopped: bool,
    ) -> PlannedAnswer:
        decisions = [event.decision for event in emitted if isinstance(event, Decided)]
        answered = fall_back(
            risk, shown_resources, history, emit=emit, emitted=emitted, stopped=stopped
        )
        return _planned(answered, decisions)

    return Node("reason", reason, parts.limits.respond, degrade)


async def _speak(parts: Parts, utterance: str, pieces: AsyncIterator[str], emit: Emit) -> Answer:
    """Stream pieces through the gate to the caller.

    Raises:
        NodeError: If nothing came of it that could be delivered.
    """
    gate = SentenceGate(parts.safety.output, replacement=WITHHELD)
    generated, delivered = "", ""
    async for event in gate.hold(_told_when_held(pieces, emit), utterance):
        if isinstance(event, Released):
            emit(Token(text=event.text))
        elif isinstance(event, Ended):
            generated, delivered = event.generated, event.delivered
        else:
            emit(Replaced(text=event.text, reasons=event.verdict.reasons))
    if not delivered.strip():
        raise NodeError("response", "nothing that could be delivered was generated")
    return Answer(delivered=delivered, generated=generated, source="reasoner")


async def _told_when_held(pieces: AsyncIterator[str], emit: Emit) -> AsyncIterator[str]:
    """Say once that words are being held back: from then on the gate lets out whole sentences."""
    try:
        first = await anext(pieces, None)
        if first is None:
            return
        emit(Held())
        yield first
        async for piece in pieces:
            yield piece
    finally:
        await _close(pieces)


def _spoken_so_far(parts: Parts) -> Callable[..., Answered]:
    """Keep what was delivered before a failure; with nothing delivered, say so in plain words."""

    def degrade(
        risk: RiskAssessment,
        shown_resources: tuple[str, ...],
        history: tuple[Exchange, ...],
        *,
        emit: Emit,
        emitted: Sequence[Any],
        stopped: bool,
    ) -> Answered:
        said = "".join(e.text for e in emitted if isinstance(e, Token | Replaced))
        if stopped:
            # The person does not want to hear more now; resources come with the next reply.
            return {"answer": Answer(delivered=said, source="reasoner", interrupted=True)}
        if said.strip():
            answer = Answer(delivered=said, source="reasoner")
        else:
            emit(Token(text=FALLBACK))
            answer = Answer(delivered=FALLBACK, source="fallback")
        return _with_resources(parts, risk, shown_resources, history, answer, emit)

    return degrade


def _with_resources(
    parts: Parts,
    risk: RiskAssessment,
    shown: tuple[str, ...],
    history: tuple[Exchange, ...],
    answer: Answer,
    emit: Emit,
) -> Answered:
    """Add resources where this turn's words ask for them, or those of the turn before did.

    Not in every later turn of the thread: words that repeat themselves are no longer read.
    """
    before = max((exchange.risk_level for exchange in unanswered(history)), default=0)
    if risk.level < AUGMENT_LEVEL <= before:
        risk = risk.model_copy(update={"level": AUGMENT_LEVEL})
    addition = parts.safety.crisis.augment(risk, shown=shown)
    if addition is None:
        return {"answer": answer}
    emit(Token(text=f"\n\n{addition.text}"))
    named = tuple(resource.id for resource in addition.resources)
    update = {"delivered": f"{answer.delivered}\n\n{addition.text}", "resources": named}
    return {"answer": answer.model_copy(update=update), "shown_resources": (*shown, *named)}


def unanswered(history: Sequence[Exchange]) -> Sequence[Exchange]:
    """The exchanges from the last whole reply on: what came after it was cut short."""
    start = len(history) - 1
    while start > 0 and history[start].interrupted:
        start -= 1
    return history[max(0, start) :]


def _context(
    utterance: str,
    affect: Affect | None,
    recalled: tuple[Recollection, ...],
    history: tuple[Exchange, ...],
    plan: Plan,
) -> ReasoningContext:
    return ReasoningContext(
        utterance=utterance, affect=affect, recollections=recalled, history=history, plan=plan
    )


def _planned(answered: Answered, decisions: Sequence[Decision]) -> PlannedAnswer:
    plan = Plan()
    for decision in decisions:
        plan = plan.deciding(decision)
    return {**answered, "plan": plan}


async def _close(source: AsyncIterator[object]) -> None:
    """Stop a generation that its consumer has left."""
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
