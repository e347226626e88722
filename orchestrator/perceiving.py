"""Nodes from the door to the fused affect: admit, one per perceiver, fuse."""

from __future__ import annotations

from collections.abc import Sequence

from affectgraph.orchestrator.events import Fused, Noticed, Perceived
from affectgraph.orchestrator.node import Emit, Node
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.state import StateUpdate, TurnState
from affectgraph.perceivers.affect import Abstention, Modality, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.contracts import Perceiver, TextReader
from affectgraph.perceivers.turn import Turn
from affectgraph.policies.consent import Sense
from affectgraph.policies.disclosure import AI_ANSWER, AI_NOTICE
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.plan import Plan


def words_of(turn: Turn, readings: Sequence[Reading]) -> str:
    """What the person said in the turn: what was typed, then what was heard."""
    heard = [r.transcript for r in readings if r.transcript]
    return "\n".join(part for part in (turn.text.strip(), *heard) if part)


def admit_node(parts: Parts) -> Node:
    """Open and check the media, start the turn's keys anew, tell what must be told."""
    pool = BlockingPool(size=1)

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        turn = state["turn"]
        if turn.images or turn.audio:
            await pool.run(turn.check_media)
        return _fresh(state, emit)

    def _fresh(state: TurnState, emit: Emit) -> StateUpdate:
        turn, senses = state["turn"], _senses(parts, state["turn"])
        last, told = state.get("noticed_at"), state.get("noticed_senses", ())
        notices = parts.safety.disclosure.notices(
            at=turn.at, last=last, utterance=turn.text, senses=senses, noticed=told
        )
        for text in notices:
            emit(Noticed(text=text))
        said_ai = AI_NOTICE in notices or AI_ANSWER in notices
        return {
            "notices": notices,
            "noticed_at": turn.at if said_ai else last,
            "noticed_senses": senses if said_ai else tuple(sorted({*told, *senses})),
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
            "history": state.get("history", ()),
            "risk_level": state.get("risk_level", 0),
            "shown_resources": state.get("shown_resources", ()),
        }

    return Node("admit", body, parts.limits.admit, lambda state, emit, _: _fresh(state, emit))


def perceiver_node(perceiver: Perceiver, parts: Parts) -> Node:
    """Run one perceiver, if the person agreed; a transcript goes on to the text reader."""
    modality = perceiver.modality
    reader = next((p for p in parts.perceivers if isinstance(p, TextReader)), None)

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        turn = state["turn"]
        refusal = _refusal(parts, turn, modality)
        reading = refusal or await perceiver.perceive(turn)
        readings = [reading]
        if reading.transcript and reader is not None and modality != "text":
            readings.append(await reader.read(words_of(turn, (reading,)), turn.at))
        for each in readings:
            emit(Perceived(reading=each))
        return {"readings": tuple(readings)}

    def degrade(_state: TurnState, emit: Emit, emitted: Sequence[object]) -> StateUpdate:
        got = [event.reading for event in emitted if isinstance(event, Perceived)]
        if not got:
            abstention = Abstention(reason="failed", detail="the perceiver failed or was late")
            got = [Reading(modality=modality, abstention=abstention)]
            emit(Perceived(reading=got[0]))
        return {"readings": tuple(got)}

    return Node(modality, body, getattr(parts.limits, modality), degrade)


def fuse_node(parts: Parts) -> Node:
    """Gather what was said and make one affect of the readings."""

    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        readings = state["readings"]
        affect = await parts.fusion.fuse(readings)
        emit(Fused(affect=affect))
        return {"affect": affect, "utterance": words_of(state["turn"], readings)}

    def degrade(state: TurnState, emit: Emit, _emitted: Sequence[object]) -> StateUpdate:
        emit(Fused(affect=None))
        return {"affect": None, "utterance": words_of(state["turn"], state["readings"])}

    return Node("fuse", body, parts.limits.fuse, degrade)


_MEDIA: dict[Modality, Sense] = {"face": "camera", "speech": "microphone"}


def _refusal(parts: Parts, turn: Turn, modality: Modality) -> Reading | None:
    """An abstention where there is nothing to perceive or no consent to perceive it."""
    sense = _MEDIA.get(modality)
    if sense is None:
        return None
    if not (turn.images if sense == "camera" else turn.audio):
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
