"""The support graph as one would write it by hand in LangGraph, over the same parts.

The same nodes, fan-outs, joins, branch, state and reducers, and nothing of the package's own
machinery: no declared reads and writes, time limits, retries, spans, timings, degraded results,
gate, journal, lock, or typed events. Tokens are streamed by LangGraph's writer.
"""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from affectgraph.memory.record import Cue, MemoryRecord, record_id
from affectgraph.orchestrator import Parts
from affectgraph.orchestrator.state import Answer, TurnHead, TurnState
from affectgraph.perceivers.turn import Turn
from affectgraph.policies.triage import accumulate
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner
from affectgraph.reasoners.plan import Decision, Plan
from benchmarks.graphs.noop import ABSENT, CALM

Update = dict[str, Any]


def bare_graph(parts: Parts) -> Any:
    """The uncompiled graph."""
    nodes = _Nodes(parts)
    graph: Any = StateGraph(TurnState)
    for name in ("admit", "text", "face", "speech", "fuse", "triage", "recall", "escalate"):
        graph.add_node(name, getattr(nodes, name))
    for name in ("crisis", "reason", "remember"):
        graph.add_node(name, getattr(nodes, name))
    graph.add_edge(START, "admit")
    for sense in ("text", "face", "speech"):
        graph.add_edge("admit", sense)
    graph.add_edge(["text", "face", "speech"], "fuse")
    graph.add_edge("fuse", "triage")
    graph.add_edge("fuse", "recall")
    graph.add_edge(["triage", "recall"], "escalate")
    graph.add_conditional_edges("escalate", _path, {"crisis": "crisis", "reason": "reason"})
    graph.add_edge("reason", "remember")
    graph.add_edge("crisis", "remember")
    graph.add_edge("remember", END)
    return graph


async def bare_turn(app: Any, thread: str, turn: Turn) -> tuple[int, str]:
    """Take one turn and read its stream; how many pieces came, and the reply."""
    pieces, state = 0, {}
    async for part in app.astream(
        {"turn": turn},
        {"configurable": {"thread_id": thread}, "recursion_limit": 25},
        stream_mode=["custom", "values"],
        durability="exit",
        version="v2",
    ):
        if part["type"] == "custom":
            pieces += 1
        elif part["type"] == "values":
            state = part["data"]
    return pieces, state["answer"].delivered


def compiled(parts: Parts, saver: BaseCheckpointSaver[str]) -> Any:
    """The graph, ready to run."""
    return bare_graph(parts).compile(checkpointer=saver)


def _path(state: TurnState) -> str:
    return "crisis" if state["risk"].level >= 3 else "reason"


class _Nodes:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._senses = {perceiver.modality: perceiver for perceiver in parts.perceivers}

    async def admit(self, state: TurnState) -> Update:
        turn = state["turn"]
        last = state.get("noticed_at")
        notices = self._parts.safety.disclosure.notices(turn.at, last, turn.text, ())
        return {
            "head": TurnHead.of(turn),
            "notices": notices,
            "noticed_at": last,
            "noticed_senses": state.get("noticed_senses", ()),
            "readings": None,
            "left_out": None,
            "timings_ms": None,
            "utterance": turn.text.strip(),
            "affect": None,
            "risk": CALM,
            "recalled": (),
            "plan": Plan(),
            "answer": None,
            "remembered": None,
            "history": state.get("history", ()),
            "risk_level": state.get("risk_level", 0),
            "shown_resources": state.get("shown_resources", ()),
        }

    async def text(self, state: TurnState) -> Update:
        return {"readings": (await self._senses["text"].perceive(state["turn"]),)}

    async def face(self, state: TurnState) -> Update:
        turn = state["turn"]
        if not turn.images or not turn.consent.camera:
            return {"readings": (ABSENT["face"],)}
        return {"readings": (await self._senses["face"].perceive(turn),)}

    async def speech(self, state: TurnState) -> Update:
        turn = state["turn"]
        if turn.audio is None or not turn.consent.microphone:
            return {"readings": (ABSENT["speech"],)}
        return {"readings": (await self._senses["speech"].perceive(turn),)}

    async def fuse(self, state: TurnState) -> Update:
        affect = await self._parts.fusion.fuse(state["readings"])
        return {"affect": affect, "utterance": state["turn"].text.strip()}

    async def triage(self, state: TurnState) -> Update:
        return {"risk": self._parts.safety.triage.assess(state["turn"].text)}

    async def recall(self, state: TurnState) -> Update:
        memory, head = self._parts.memory, state["head"]
        if memory is None or not head.consent.memory:
            return {"recalled": ()}
        cue = Cue(user=head.user, text=state["utterance"], affect=state["affect"])
        return {"recalled": tuple(await memory.recall(cue))}

    async def escalate(self, state: TurnState) -> Update:
        return {"risk_level": accumulate(state["risk_level"], state["risk"])}

    async def crisis(self, state: TurnState) -> Update:
        reply = self._parts.safety.crisis.respond(state["risk"], shown=state["shown_resources"])
        return {"answer": Answer(delivered=reply.text, source="crisis")}

    async def reason(self, state: TurnState, runtime: Runtime[None]) -> Update:
        context = ReasoningContext(
            utterance=state["utterance"],
            affect=state["affect"],
            recollections=state["recalled"],
            history=state["history"],
            plan=Plan(),
        )
        plan, pieces = Plan(), []
        reasoner = self._parts.reasoner
        assert isinstance(reasoner, JointReasoner)
        async for item in reasoner.reason(context):
            if isinstance(item, Decision):
                plan = plan.deciding(item)
            else:
                pieces.append(item)
                runtime.stream_writer(item)
        said = "".join(pieces)
        answer = Answer(delivered=said, generated=said, source="reasoner")
        return {"plan": plan, "answer": answer}

    async def remember(self, state: TurnState) -> Update:
        head, answer, memory = state["head"], state["answer"], self._parts.memory
        assert answer is not None
        exchange = Exchange(
            said=state["utterance"],
            replied=answer.delivered,
            plan=state["plan"],
            risk_level=state["risk"].level,
            turn=head.id,
        )
        history = (*state["history"], exchange)[-self._parts.keep_exchanges :]
        update: Update = {"history": history}
        if memory is None or not head.consent.memory:
            return update
        strategy = state["plan"].strategy
        record = MemoryRecord(
            id=record_id(head.user, head.thread, state["utterance"], head.at),
            user=head.user,
            thread=head.thread,
            text=state["utterance"],
            reply=answer.delivered,
            affect=state["affect"],
            strategy=strategy.label if strategy else None,
            risk_level=state["risk"].level,
            at=head.at,
        )
        await memory.remember(record)
        return {**update, "remembered": record.id}
