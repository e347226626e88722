from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from langgraph.graph import END, START, StateGraph

from affectgraph.orchestrator.events import Event, Fused, Omitted
from affectgraph.orchestrator.node import Body, Degrade, Emit, Node
from affectgraph.orchestrator.state import StateUpdate, TurnState
from affectgraph.perceivers.errors import MediaError, NodeError
from affectgraph.perceivers.turn import Turn

TURN = Turn(text="hello", at=datetime(2026, 1, 2, tzinfo=UTC))


async def run(
    body: Body, *, limit: float = 5, degrade: Degrade | None = None
) -> tuple[TurnState, list[Event]]:
    node = Node("probe", body, limit, degrade) if degrade else Node("probe", body, limit)
    graph: StateGraph[TurnState, None, TurnState, TurnState] = StateGraph(TurnState)
    graph.add_node("probe", node.wrapped())
    graph.add_edge(START, "probe")
    graph.add_edge("probe", END)
    state: TurnState = {}
    events: list[Event] = []
    async for part in graph.compile().astream(
        {"turn": TURN}, stream_mode=["custom", "values"], version="v2"
    ):
        if part["type"] == "custom":
            events.append(part["data"])
        elif part["type"] == "values":
            state = part["data"]
    return state, events


async def test_a_node_that_works_is_timed() -> None:
    async def body(state: TurnState, emit: Emit) -> StateUpdate:
        emit(Fused(affect=None))
        return {"utterance": state["turn"].text}

    state, events = await run(body)
    assert state["utterance"] == "hello"
    assert state["timings_ms"]["probe"] >= 0
    assert state.get("left_out", ()) == ()
    assert events == [Fused(affect=None)]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("the person said: my secret"), "ValueError"),
        (NodeError("probe", "the model is not loaded"), "node 'probe': the model is not loaded"),
    ],
)
async def test_a_failing_node_is_left_out_without_quoting_foreign_messages(
    error: Exception, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(_state: TurnState, _emit: Emit) -> StateUpdate:
        raise error

    with caplog.at_level(logging.DEBUG, logger="affectgraph"):
        state, events = await run(body)
    (left_out,) = state["left_out"]
    assert (left_out.node, left_out.reason, left_out.detail) == ("probe", "failed", detail)
    assert events == [Omitted(left_out=left_out)]
    assert "probe" in caplog.text
    assert "my secret" not in caplog.text


async def test_a_hanging_node_is_cancelled_and_left_out() -> None:
    ended = asyncio.Event()

    async def body(_state: TurnState, _emit: Emit) -> StateUpdate:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    state, _ = await run(body, limit=0.02)
    assert ended.is_set()
    assert state["left_out"][0].reason == "timeout"
    assert state["left_out"][0].detail == "not done after 0.02 s"


async def test_a_timeout_inside_a_node_is_a_failure_of_its_own() -> None:
    async def body(_state: TurnState, _emit: Emit) -> StateUpdate:
        raise TimeoutError

    state, _ = await run(body)
    assert state["left_out"][0].reason == "failed"


async def test_the_degraded_result_knows_what_was_emitted() -> None:
    async def body(_state: TurnState, emit: Emit) -> StateUpdate:
        emit(Fused(affect=None))
        raise RuntimeError

    def degrade(_state: TurnState, _emit: Emit, emitted: Sequence[Event]) -> StateUpdate:
        return {"utterance": ",".join(event.kind for event in emitted)}

    state, _ = await run(body, degrade=degrade)
    assert state["utterance"] == "fused,omitted"


async def test_bad_input_is_not_degraded() -> None:
    async def body(_state: TurnState, _emit: Emit) -> StateUpdate:
        raise MediaError("photo.jpg", "not an image")

    with pytest.raises(MediaError, match=r"photo\.jpg: not an image"):
        await run(body)
