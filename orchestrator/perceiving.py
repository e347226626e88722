"""Nodes from the door to the fused affect: admit, one per perceiver, fuse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import wraps
from typing import Any

from typing_extensions import TypedDict

from affectgraph.memory.record import Recollection
from affectgraph.orchestrator.events import Fused, Noticed, Perceived
from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.state import Answer, TurnHead
from affectgraph.perceivers.affect import Abstention, Affect, Modality, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.contracts import Perceiver, TextReader
from affectgraph.perceivers.turn import Turn
from affectgraph.policies.consent import Sense
from affectgraph.policies.disclosure import AI_ANSWER, AI_NOTICE
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.plan import Plan


class Admitted(TypedDict):
    """Every key of a turn, begun anew, and what the thread keeps."""

    head: TurnHead
    notices: tuple[str, ...]
    noticed_at: datetime | None
    noticed_senses: tuple[Sense, ...]
    readings: None
    left_out: None
    timings_ms: None
    utterance: str
    affect: Affect | None
    risk: RiskAssessment
    recalled: tuple[Recollection, ...]
    plan: Plan
    answer: Answer | None
    remembered: str | None
    history: tuple[Exchange, ...]
    risk_level: int
    shown_resources: tuple[str, ...]


class Readings(TypedDict):
    """What a perceiver says."""

    readings: tuple[Reading, ...]


class FusedAffect(TypedDict):
    """What all of them say together."""

    affect: Affect | None
    utterance: str


def words_of(turn: Turn, readings: Sequence[Reading]) -> str:
    """What the person said in the turn: what was typed, then what was heard."""
    heard = [r.transcript for r in readings if r.transcript]
    return "\n".join(part for part in (turn.text.strip(), *heard) if part)


def admit_node(parts: Parts) -> Node:
    """Open and check the media, start the turn's keys anew, tell what must be told."""
    pool = BlockingPool(size=4)

    def fresh(
        turn: Turn,
        history: tuple[Exchange, ...] = (),
        risk_level: int = 0,
        noticed_at: datetime | None = None,
        noticed_senses: tuple[Sense, ...] = (),
        shown_resources: tuple[str, ...] = (),
        *,
        emit: Emit,
        stopped: bool,
    ) -> Admitted:
        senses = _senses(parts, turn)
        notices = parts.safety.disclosure.notices(
            at=turn.at, last=noticed_at, utterance=turn.text, senses=senses, noticed=noticed_senses
        )
        for text in notices:
            emit(Noticed(text=text))
        # In a turn that was stopped nobody may have seen them: the next one tells them again.
        said_ai = not stopped and (AI_NOTICE in notices or AI_ANSWER in notices)
        told = noticed_senses if stopped else tuple(sorted({*noticed_senses, *senses}))
        return {
            "head": TurnHead.of(turn),
            "notices": notices,
            "noticed_at": turn.at if said_ai else noticed_at,
            "noticed_senses": senses if said_ai else told,
            "readings": None,
            "left_out": None,
            "timings_ms": None,
            "utterance": turn.text.strip(),
            "affect": None,
            "risk": RiskAssessment(level=0),
            "recalled": (),
            "plan": Plan(),
            "answer": None,
            "remembered": None,
            "history": history,
            "risk_level": risk_level,
            "shown_resources": shown_resources,
        }

    # Reads and writes what `fresh` does; the wrapper derives both from there.
    @wraps(fresh)
    async def admit(turn: Turn, **rest: Any) -> Admitted:
        if turn.shows or turn.sounds:
            await pool.run(turn.check_media)
        return fresh(turn, **rest)

    return Node("admit", admit, parts.limits.admit, fresh, always=True, refuses=True)


def perceiver_node(perceiver: Perceiver, parts: Parts) -> Node:
    """Run one perceiver, if the person agreed; a transcript goes on to the text reader."""
    modality = perceiver.modality
    reader = next((p for p in parts.perceivers if isinstance(p, TextReader)), None)

    async def perceive(turn: Turn, *, emit: Emit) -> Readings:
        refusal = _refusal(parts, turn, modality)
        reading = refusal or await perceiver.perceive(turn)
        # At once: what was heard must not be lost with a text reader that fails.
        emit(Perceived(reading=reading))
        if not reading.transcript or reader is None or modality == "text":
            return {"readings": (reading,)}
        told = await reader.read(words_of(turn, (reading,)), turn.at)
        emit(Perceived(reading=told))
        return {"readings": (reading, told)}

    def degrade(*, emit: Emit, emitted: Sequence[Any]) -> Readings:
        got = [event.reading for event in emitted if isinstance(event, Perceived)]
        if not got:
            abstention = Abstention(reason="failed", detail="the perceiver failed or was late")
            got = [Reading(modality=modality, abstention=abstention)]
            emit(Perceived(reading=got[0]))
        return {"readings": tuple(got)}

    return Node(modality, perceive, getattr(parts.limits, modality), degrade)


def fuse_node(parts: Parts) -> Node:
    """Gather what was said and make one affect of the readings."""

    async def fuse(turn: Turn, readings: tuple[Reading, ...], *, emit: Emit) -> FusedAffect:
        affect = await parts.fusion.fuse(readings)
        emit(Fused(affect=affect))
        return {"affect": affect, "utterance": words_of(turn, readings)}

    def degrade(turn: Turn, readings: tuple[Reading, ...], *, emit: Emit) -> FusedAffect:
        emit(Fused(affect=None))
        return {"affect": None, "utterance": words_of(turn, readings)}

    return Node("fuse", fuse, parts.limits.fuse, degrade, always=True)


_MEDIA: dict[Modality, Sense] = {"face": "camera", "speech": "microphone"}


def _refusal(parts: Parts, turn: Turn, modality: Modality) -> Reading | None:
    """An abstention where there is nothing to perceive or no consent to perceive it."""
    sense = _MEDIA.get(modality)
    if sense is None:
        return None
    if not (turn.shows if sense == "camera" else turn.sounds):
        what = "image" if sense == "camera" else "audio"
        return Reading.abstain(modality, "absent", f"no {what} in this turn")
    if not parts.allows(turn.consent, modality):
        return Reading.abstain(modality, "no-consent", f"no consent to the {sense}")
    return None


def _senses(parts: Parts, turn: Turn) -> tuple[Sense, ...]:
    """The senses that will be used in this turn."""
    present = {p.modality for p in parts.perceivers}
    return tuple(
        sense
        for modality, sense in _MEDIA.items()
        if modality in present and _refusal(parts, turn, modality) is None
    )
