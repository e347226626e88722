"""LangGraph's traps, one test each: impossible here, or told clearly at build time.

The table of the traps is in docs/decisions/0005-a-typed-compiler.md.
"""

from __future__ import annotations

import asyncio
import operator
import subprocess
import sys
import threading
from typing import Annotated, Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START
from typing_extensions import TypedDict

from affectgraph.orchestrator import Agent, Parts, Turn, support_graph
from affectgraph.orchestrator.compiler import Advice, Branch, GraphError, compose
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.running import RECURSION_LIMIT
from affectgraph.orchestrator.state import LeftOut
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.reasoners.context import Exchange


class State(TypedDict, total=False):
    mood: str
    words: list[str]
    ran: Annotated[tuple[str, ...], operator.add]
    left_out: Annotated[tuple[LeftOut, ...], operator.add]
    timings_ms: Annotated[dict[str, float], operator.or_]


class Mood(TypedDict):
    mood: str


class Ran(TypedDict):
    ran: tuple[str, ...]


def step(name: str, seconds: float = 0.0) -> Node:
    async def run() -> Ran:
        await asyncio.sleep(seconds)
        return {"ran": (name,)}

    return Node(name, run, degrade={"ran": ()})


async def ran(nodes: list[Node], edges: list[tuple[str, str]], *branches: Branch) -> list[str]:
    graph: Any = compose(State, nodes, edges, branches)
    return list((await graph.compile().ainvoke({"ran": ()}))["ran"])


FAN = [(START, "a"), (START, "b"), ("a", END), ("b", END)]


async def sad() -> Mood:
    return {"mood": "sad"}


def test_two_parallel_writers_of_one_plain_key_are_named_at_build_time() -> None:
    with pytest.raises(GraphError, match="'a' and 'b' run side by side and both write 'mood'"):
        compose(State, [Node("a", sad), Node("b", sad)], FAN)


async def test_an_undeclared_key_is_not_dropped_in_silence() -> None:
    async def body() -> Mood:
        return {"mood": "sad", "moood": "sad"}  # type: ignore[typeddict-unknown-key]

    graph: Any = compose(State, [Node("a", body)], [(START, "a"), ("a", END)])
    state = await graph.compile().ainvoke({"mood": ""})
    assert state["left_out"][0].detail == "node 'a': returned 'moood': extra forbidden"


async def test_bad_output_of_the_last_node_is_not_returned() -> None:
    async def body() -> Mood:
        return {"mood": 7}  # type: ignore[typeddict-item]

    graph: Any = compose(State, [Node("a", body)], [(START, "a"), ("a", END)])
    state = await graph.compile().ainvoke({"mood": "before"})
    assert state["mood"] == "before"
    assert state["left_out"][0].detail == "node 'a': returned 'mood': string type"


def test_an_orphan_node_is_refused() -> None:
    with pytest.raises(GraphError, match="nothing leads to node 'b'"):
        compose(State, [step("a"), step("b")], [(START, "a"), ("a", END), ("b", END)])


async def test_uneven_branches_join_once() -> None:
    edges = [(START, "a"), ("a", "b"), ("a", "c"), ("c", "d"), ("b", "e"), ("d", "e"), ("e", END)]
    with pytest.warns(Advice):
        assert (await ran([step(n) for n in "abcde"], edges)).count("e") == 1


async def test_a_join_runs_though_a_branch_of_it_is_passed_over() -> None:
    edges = [(START, "a"), (START, "b"), ("b", "d"), ("c", "d"), ("d", END)]
    skip = Branch("a", lambda: "end", {"c": "c", "end": END})
    with pytest.warns(Advice):
        assert "d" in await ran([step(n) for n in "abcd"], edges, skip)


async def test_a_join_runs_though_a_branch_of_it_failed() -> None:
    async def body() -> Ran:
        raise RuntimeError

    nodes = [Node("a", body, degrade={"ran": ("a instead",)}), step("b"), step("c")]
    edges = [(START, "a"), (START, "b"), ("a", "c"), ("b", "c"), ("c", END)]
    assert set(await ran(nodes, edges)) == {"a instead", "b", "c"}


async def test_a_failing_branch_does_not_cancel_its_siblings() -> None:
    async def body() -> Ran:
        raise RuntimeError

    assert await ran([Node("a", body, degrade={"ran": ()}), step("b", 0.05)], FAN) == ["b"]


def test_a_quick_branch_that_waits_for_a_slow_sibling_is_told_of() -> None:
    edges = [(START, "a"), (START, "slow"), ("a", "b"), ("b", END), ("slow", END)]
    with pytest.warns(Advice, match="node 'b' needs only 'a' but starts after 'slow' too"):
        compose(State, [step("a"), step("slow"), step("b")], edges)


async def test_concurrent_turns_of_one_thread_lose_nothing() -> None:
    reasoner = ScriptedReasoner("All right.")
    async with Agent(Parts(perceivers=(), reasoner=reasoner)) as agent:
        await asyncio.gather(*(agent.respond(Turn(text=f"number {n}")) for n in range(5)))
    assert [len(context.history) for context in reasoner.contexts] == [0, 1, 2, 3, 4]


async def test_cancelling_leaves_no_plain_function_running_in_the_turns_way() -> None:
    release, ended = threading.Event(), threading.Event()

    def body() -> None:
        release.wait(10)
        ended.set()

    graph: Any = compose(State, [Node("a", body, pool=BlockingPool(1))], [(START, "a"), ("a", END)])
    task = asyncio.create_task(graph.compile().ainvoke({"ran": ()}))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The thread is a daemon of the pool: it keeps no turn and no process waiting.
    assert not ended.is_set()
    release.set()
    with pytest.raises(GraphError, match="'a' is a plain function, which its time limit of 10 s"):
        compose(State, [Node("a", body)], [(START, "a"), ("a", END)])


async def reads_words(words: list[str]) -> None: ...


def test_what_parallel_nodes_could_change_under_each_other_is_refused() -> None:
    nodes = [Node("a", reads_words), Node("b", reads_words)]
    with pytest.raises(GraphError, match="both hold 'words', a list"):
        compose(State, nodes, FAN, inputs=["words"])


async def test_a_run_ends_after_a_bounded_number_of_steps() -> None:
    assert RECURSION_LIMIT < 50
    with pytest.raises(GraphError, match="'a' can repeat without end"):
        compose(State, [step("a")], [(START, "a"), ("a", "a"), ("a", END)])


async def test_no_context_is_needed() -> None:
    graph: Any = support_graph(Parts(perceivers=(), reasoner=ScriptedReasoner("All right.")))
    state = await graph.compile().ainvoke({"turn": Turn(text="hello")})
    assert state["answer"].delivered == "All right."


async def test_history_is_typed_though_a_checkpointer_forgets_its_types() -> None:
    class Forgetful(InMemorySaver):
        """Gives plain data back, as a strict serializer does with types that it does not know."""

        async def aget_tuple(self, config: Any) -> Any:
            found = await super().aget_tuple(config)
            if found:
                values = found.checkpoint["channel_values"]
                values["history"] = [e.model_dump() for e in values.get("history", ())]
            return found

    reasoner = ScriptedReasoner("All right.")
    graph: Any = support_graph(Parts(perceivers=(), reasoner=reasoner))
    app = graph.compile(checkpointer=Forgetful())
    config = {"configurable": {"thread_id": "1"}}
    for text in ("one", "two"):
        await app.ainvoke({"turn": Turn(text=text)}, config)
    (exchange,) = reasoner.contexts[1].history
    assert isinstance(exchange, Exchange)
    assert exchange.said == "one"


def test_strictness_does_not_hang_on_a_variable_set_before_an_import() -> None:
    # The allow-list is handed to the serializer: whatever the variable says, and whenever.
    code = (
        "import langgraph.checkpoint.serde.jsonplus, collections\n"
        "from affectgraph.orchestrator.threads import allowed_types, make_serializer\n"
        "from affectgraph.orchestrator.state import TurnState\n"
        "serde = make_serializer(allowed_types(TurnState))\n"
        "try:\n"
        "    back = serde.loads_typed(serde.dumps_typed(collections.Counter('a')))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__)\n"
        "else:\n"
        "    print(type(back).__name__)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "Counter" not in told
