"""Small conversations through a real graph, and turns in flight."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from typing import Annotated, Any

from langchain_core.runnables import RunnableConfig
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from affectgraph.orchestrator.threads import OpenTurn, ThreadStore, thread_key
from affectgraph.reasoners.context import Exchange


class Talk(TypedDict, total=False):
    """State of a small graph that remembers what was said."""

    said: Annotated[str, UntrackedValue]
    last: str
    history: tuple[Exchange, ...]


def of(thread: str, **more: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, **more}}


async def talk(store: ThreadStore, thread: str, *said: str) -> dict[str, Any]:
    """Say things on a thread, through a real graph and the store's checkpointer."""

    async def remember(state: Talk) -> Talk:
        exchange = Exchange(said=state["said"], replied="I hear you.")
        return {"history": (*state.get("history", ()), exchange), "last": state["said"]}

    graph = StateGraph(Talk)
    graph.add_node("remember", remember)
    graph.add_edge(START, "remember")
    graph.add_edge("remember", END)
    app = graph.compile(checkpointer=store.saver)
    state: dict[str, Any] = {}
    for words in said:
        state = await app.ainvoke({"said": words}, of(thread), durability="exit")
    return state


async def checkpoints(store: ThreadStore, thread: str, space: str = "") -> list[CheckpointTuple]:
    return [kept async for kept in store.saver.alist(of(thread, checkpoint_ns=space))]


_numbers = count(1)


def a_turn(thread: str = thread_key("ana", "evening"), **fields: Any) -> OpenTurn:
    defaults = {"id": f"turn-{next(_numbers)}", "payload": "{}", "begun_at": datetime.now(UTC)}
    return OpenTurn(thread=thread, **{**defaults, **fields})
