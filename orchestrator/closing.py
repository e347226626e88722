"""Nodes that close a turn: a person's answer where one was asked for, and remembering."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NotRequired

from langgraph.types import interrupt
from pydantic import ValidationError
from typing_extensions import TypedDict

from affectgraph.memory.record import MemoryRecord, Recollection, record_id
from affectgraph.orchestrator.answering import Answered, context_of
from affectgraph.orchestrator.events import Remembered, Token
from affectgraph.orchestrator.handoff import HandOff, HandOffPacket, HumanAnswer
from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.state import Answer, LeftOut, TurnHead
from affectgraph.perceivers.affect import Affect
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.history import NoteTaker, trimmed
from affectgraph.reasoners.plan import Plan

log = logging.getLogger(__name__)

TIME_IS_UP: Final = "time is up"
"""Resumes a handed-off turn that nobody answered."""


class Kept(TypedDict):
    """What stays of a turn."""

    history: tuple[Exchange, ...]
    answer: Answer
    shown_resources: tuple[str, ...]
    remembered: NotRequired[str | None]


def hand_off_node(hand_off: HandOff) -> Node:
    """Wait for a person by LangGraph's ``interrupt``, then say what they answered.

    The value of the interrupt is the :class:`HandOffPacket` as plain data; it is resumed with a
    :class:`HumanAnswer` (or its plain data), or with ``TIME_IS_UP``.
    """

    async def wait_for_person(
        head: TurnHead,
        utterance: str,
        affect: Affect | None,
        risk: RiskAssessment,
        risk_level: int,
        history: tuple[Exchange, ...],
        answer: Answer | None,
        *,
        emit: Emit,
    ) -> Answered:
        asked_at = datetime.now(UTC)
        said = answer or Answer(delivered="", source="crisis")
        packet = HandOffPacket(
            user=head.user,
            thread=head.thread,
            utterance=utterance,
            affect=affect,
            risk=risk,
            risk_level=risk_level,
            history=history[-hand_off.exchanges :],
            delivered=said.delivered,
            asked_at=asked_at,
            answer_by=asked_at + timedelta(seconds=hand_off.seconds),
        )
        # The node starts again when it is resumed: nothing is emitted before this line.
        told = _asked(packet)
        if told is None:
            return _saying(said, hand_off.fallback, "fallback", emit)
        if told.action == "release" or not told.text.strip():
            return {"answer": said}
        return _saying(said, told.text, "human", emit)

    def degrade(answer: Answer | None) -> Answered:
        return {"answer": answer or Answer(delivered="", source="crisis")}

    return Node("hand_off", wait_for_person, None, degrade)


def _asked(packet: HandOffPacket) -> HumanAnswer | None:
    """What a person answers, ``None`` if the time is up; who answers otherwise is asked again."""
    while True:
        given: Any = interrupt(packet.model_dump(mode="json"))
        if given == TIME_IS_UP:
            return None
        try:
            return HumanAnswer.model_validate(given)
        except ValidationError:
            log.warning("a hand-off was answered with something else than a HumanAnswer")


def _saying(said: Answer, text: str, source: Literal["human", "fallback"], emit: Emit) -> Answered:
    added = f"\n\n{text}" if said.delivered else text
    emit(Token(text=added))
    update = {"delivered": said.delivered + added, "source": source}
    return {"answer": said.model_copy(update=update)}


def hands_off(hand_off: HandOff) -> Callable[[RiskAssessment], Literal["hand_off", "remember"]]:
    """The choice after the crisis responder: is a person asked as well?"""

    def choose(risk: RiskAssessment) -> Literal["hand_off", "remember"]:
        return "hand_off" if risk.level >= hand_off.level else "remember"

    return choose


def remember_node(parts: Parts) -> Node:
    """After the reply: keep the exchange in the thread's history and, with consent, in memory.

    What is kept is what the person has received, not what was generated.
    """

    def keep(
        head: TurnHead,
        utterance: str,
        plan: Plan,
        risk: RiskAssessment,
        answer: Answer | None,
        history: tuple[Exchange, ...],
        left_out: tuple[LeftOut, ...],
        shown_resources: tuple[str, ...],
        *,
        delivered: str | None,
    ) -> Kept:
        said = answer or Answer(delivered="", source="fallback")
        # A list where a checkpointer that forgets its types has kept it while a person was asked.
        shown = tuple(shown_resources)
        cut = any(part.reason == "stopped" for part in left_out)
        if delivered is not None and (cut or delivered != said.delivered):
            if said.resources and len(delivered.rstrip()) < len(said.delivered.rstrip()):
                # What names them comes last: they have not been seen, and may be named again.
                shown = shown[: len(shown) - len(said.resources)]
            update = {
                "delivered": delivered,
                "generated": said.generated or said.delivered,
                "interrupted": True,
            }
            said = said.model_copy(update=update)
        exchange = Exchange(
            said=utterance,
            replied=said.delivered,
            plan=plan,
            risk_level=risk.level,
            turn=head.id,
            interrupted=said.interrupted,
        )
        kept = trimmed((*history, exchange), parts.keep_exchanges)
        return {"history": kept, "answer": said, "shown_resources": shown}

    async def remember(
        head: TurnHead,
        utterance: str,
        affect: Affect | None,
        plan: Plan,
        risk: RiskAssessment,
        answer: Answer | None,
        history: tuple[Exchange, ...],
        left_out: tuple[LeftOut, ...],
        shown_resources: tuple[str, ...],
        recalled: tuple[Recollection, ...],
        *,
        emit: Emit,
        delivered: str | None,
    ) -> Kept:
        kept = keep(
            head,
            utterance,
            plan,
            risk,
            answer,
            history,
            left_out,
            shown_resources,
            delivered=delivered,
        )
        context = context_of(utterance, affect, recalled, history, plan, risk)
        permitted = parts.allows(head.consent, "memory")
        if parts.memory is None or not permitted or not utterance:
            return await _noted(parts, context, kept)
        record = MemoryRecord(
            id=record_id(head.user, head.thread, utterance, head.at),
            user=head.user,
            thread=head.thread,
            text=utterance,
            reply=kept["answer"].delivered,
            affect=affect,
            strategy=plan.strategy.label if plan.strategy else None,
            risk_level=risk.level,
            at=head.at,
        )
        await parts.memory.remember(record)
        emit(Remembered(record_id=record.id))
        return {**await _noted(parts, context, kept), "remembered": record.id}

    return Node(
        "remember",
        remember,
        parts.limits.remember,
        keep,
        always=True,
        after_delivery=parts.limits.deliver,
    )


async def _noted(parts: Parts, context: ReasoningContext, kept: Kept) -> Kept:
    """With what the reasoner wants to know of this exchange when it writes the next prompt."""
    if not isinstance(parts.reasoner, NoteTaker):
        return kept
    exchange = await parts.reasoner.note(
        context,
        kept["history"][-1],
        room=parts.keep_exchanges,
        asked=kept["answer"].source not in ("crisis", "human"),
    )
    history = trimmed((*context.history, exchange), parts.keep_exchanges)
    return {**kept, "history": history}
