"""Nodes that answer: the crisis responder, the stages of the reasoner, or all of them in one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NotRequired

from typing_extensions import TypedDict

from affectgraph.memory.record import Recollection
from affectgraph.orchestrator.events import Decided, Replaced, Token, Voiced
from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.speaking import after, in_place, library_of, ready, speak, tell
from affectgraph.orchestrator.state import Answer
from affectgraph.perceivers.affect import Affect
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner, LabelStage, ResponseStage
from affectgraph.reasoners.plan import Decision, Plan

AUGMENT_LEVEL: Final = 2
"""At this level resources stand beside the reasoner's reply."""

CRISIS_FALLBACK: Final = (
    "I'm an AI, and what you wrote sounds serious. You deserve a person right now: please call your"
    " local emergency number, or find a free line near you at findahelpline.com, and tell someone"
    " you trust. I'm still here. Are you safe at this moment?"
)
"""Said if even the crisis responder fails."""


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
        risk: RiskAssessment,
        *,
        emit: Emit,
    ) -> Planned:
        context = context_of(utterance, affect, recalled, history, plan, risk)
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
        await ready(library_of(parts))
        context = context_of(utterance, affect, recalled, history, plan, risk)
        answer = await speak(parts, context, stage.respond(context), emit, lambda: plan)
        return _with_resources(parts, risk, shown_resources, history, answer, emit)

    def degrade(
        utterance: str,
        affect: Affect | None,
        recalled: tuple[Recollection, ...],
        history: tuple[Exchange, ...],
        plan: Plan,
        risk: RiskAssessment,
        shown_resources: tuple[str, ...],
        *,
        emit: Emit,
        emitted: Sequence[Any],
        stopped: bool,
    ) -> Answered:
        context = context_of(utterance, affect, recalled, history, plan, risk)
        return fall_back(context, risk, shown_resources, emit, emitted, stopped=stopped)

    return Node("response", respond, parts.limits.respond, degrade)


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
        await ready(library_of(parts))
        context = context_of(utterance, affect, recalled, history, Plan(), risk)
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

        answer = await speak(parts, context, pieces(), emit, lambda: _plan(decisions))
        answered = _with_resources(parts, risk, shown_resources, history, answer, emit)
        return {**answered, "plan": _plan(decisions)}

    def degrade(
        utterance: str,
        affect: Affect | None,
        recalled: tuple[Recollection, ...],
        history: tuple[Exchange, ...],
        risk: RiskAssessment,
        shown_resources: tuple[str, ...],
        *,
        emit: Emit,
        emitted: Sequence[Any],
        stopped: bool,
    ) -> PlannedAnswer:
        plan = _plan([event.decision for event in emitted if isinstance(event, Decided)])
        context = context_of(utterance, affect, recalled, history, plan, risk)
        answered = fall_back(context, risk, shown_resources, emit, emitted, stopped=stopped)
        return {**answered, "plan": plan}

    return Node("reason", reason, parts.limits.respond, degrade)


def _spoken_so_far(parts: Parts) -> Callable[..., Answered]:
    """Keep what was delivered before a failure; with nothing delivered, say written words."""

    def degrade(
        context: ReasoningContext,
        risk: RiskAssessment,
        shown_resources: tuple[str, ...],
        emit: Emit,
        emitted: Sequence[Any],
        *,
        stopped: bool,
    ) -> Answered:
        said = "".join(e.text for e in emitted if isinstance(e, Token | Replaced))
        told = [event.origin for event in emitted if isinstance(event, Voiced)]
        if stopped:
            # The person does not want to hear more now; resources come with the next reply.
            return {"answer": Answer(delivered=said, source="reasoner", interrupted=True)}
        if said.strip():
            # What was said stands; a written sentence closes it, so that nobody is left with half.
            closing, origin = after(library_of(parts), context, said, told[-1] if told else None)
            tell(emit, origin)
            emit(Token(text=closing))
            answer = Answer(delivered=said + closing, source="reasoner", origin=origin)
        else:
            text, origin = in_place(library_of(parts), context, context.plan)
            tell(emit, origin)
            emit(Token(text=text))
            answer = Answer(delivered=text, source="fallback", origin=origin)
        return _with_resources(parts, risk, shown_resources, context.history, answer, emit)

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


def context_of(
    utterance: str,
    affect: Affect | None,
    recalled: tuple[Recollection, ...],
    history: tuple[Exchange, ...],
    plan: Plan,
    risk: RiskAssessment,
) -> ReasoningContext:
    """What the reasoner knows of a turn, before its reply and after it."""
    return ReasoningContext(
        utterance=utterance,
        affect=affect,
        recollections=recalled,
        history=history,
        plan=plan,
        risk_level=risk.level,
    )


def _plan(decisions: Sequence[Decision]) -> Plan:
    plan = Plan()
    for decision in decisions:
        plan = plan.deciding(decision)
    return plan


async def _close(source: AsyncIterator[object]) -> None:
    """Stop a generation that its consumer has left."""
    close = getattr(source, "aclose", None)
    if close is not None:
        await close()
