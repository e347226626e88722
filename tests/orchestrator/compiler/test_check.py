"""Plain LangGraph graphs, written by hand or extended."""

from __future__ import annotations

import operator
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from affectgraph.orchestrator import Agent, Parts, support_graph
from affectgraph.orchestrator.compiler import Advice, Branch, GraphError, check, compose
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner


class State(TypedDict, total=False):
    ran: Annotated[tuple[str, ...], operator.add]
    said: str


def by_hand(*names: str, **options: Any) -> Any:
    graph: Any = StateGraph(State)
    for name in names:
        graph.add_node(name, lambda _state, name=name: {"ran": (name,)}, **options.get(name, {}))
    return graph


def test_a_join_by_single_edges_of_uneven_branches_fires_twice() -> None:
    graph = by_hand("a", "b", "c", "d")
    for edge in [(START, "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "b"), ("d", END)]:
        graph.add_edge(*edge)
    with pytest.raises(GraphError) as caught:
        check(graph)
    assert [str(fault) for fault in caught.value.faults] == [
        "node 'b' runs 2 times in one run: it follows 'a' and 'c' by single edges, and they end at"
        " different steps (join them by one list edge, or add 'b' with defer=True)",
        "node 'd' runs 2 times in one run: it follows 'b' by single edges, and they end at"
        " different steps (join them by one list edge, or add 'd' with defer=True)",
    ]
    assert graph.compile().invoke({"ran": ()})["ran"].count("b") == 2


def test_a_list_edge_over_a_branch_that_is_passed_over_never_fires() -> None:
    graph = by_hand("a", "b", "c", "d")
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_conditional_edges("a", lambda _: END, {"c": "c", END: END})
    graph.add_edge(["b", "c"], "d")
    graph.add_edge("d", END)
    with pytest.raises(GraphError) as caught:
        check(graph)
    assert [str(fault) for fault in caught.value.faults] == [
        "node 'd' never runs where 'c' is passed over: its list edge waits for all of its sources"
        " (use single edges and add 'd' with defer=True)"
    ]
    assert "d" not in graph.compile().invoke({"ran": ()})["ran"]


def test_deferral_mends_both() -> None:
    graph = by_hand("a", "b", "c", "d", d={"defer": True})
    for edge in [(START, "a"), ("a", "b"), ("b", "d"), ("d", END)]:
        graph.add_edge(*edge)
    graph.add_conditional_edges("a", lambda _: "c", {"c": "c", END: END})
    graph.add_edge("c", "d")
    check(graph)
    assert sorted(graph.compile().invoke({"ran": ()})["ran"]) == ["a", "b", "c", "d"]


def test_an_orphan_and_a_cycle() -> None:
    graph = by_hand("a", "b", "c")
    for edge in [(START, "a"), ("a", "b"), ("b", "a"), ("b", END), ("c", END)]:
        graph.add_edge(*edge)
    with pytest.raises(GraphError) as caught:
        check(graph)
    assert [fault.kind for fault in caught.value.faults] == ["unreachable", "loop"]


def test_a_conditional_edge_that_does_not_say_where_it_leads_is_told_of() -> None:
    graph = by_hand("a", "b")
    graph.add_edge(START, "a")
    graph.add_conditional_edges("a", lambda _: "b")
    graph.add_edge("b", END)
    with pytest.warns(Advice, match="after 'a' does not say where it leads"):
        check(graph)


def test_what_compose_made_passes() -> None:
    async def step() -> None: ...

    nodes = [Node(name, step) for name in "abcd"]
    edges = [(START, "a"), ("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", END)]
    check(compose(State, nodes, edges))


def test_a_bounded_loop_that_compose_made_passes() -> None:
    async def step() -> None: ...

    back = Branch("b", lambda: "again", {"again": "a", "end": END}, at_most=3, otherwise="end")
    nodes = [Node(name, step) for name in "ab"]
    check(compose(State, nodes, [(START, "a"), ("a", "b")], [back]))


def parts() -> Parts:
    return Parts(perceivers=(), reasoner=ScriptedReasoner("All right."))


def test_the_support_graph_passes_and_so_does_a_sound_extension() -> None:
    graph: Any = support_graph(parts())
    check(graph, inputs=frozenset({"turn"}))
    graph.edges.discard(("remember", END))

    async def audit(state: Any) -> None: ...

    graph.add_node("audit", audit)
    graph.add_edge("remember", "audit")
    graph.add_edge("audit", END)
    check(graph)


def test_a_hasty_extension_of_the_support_graph_is_refused() -> None:
    graph: Any = Agent(parts()).graph
    graph.add_node("audit", lambda state: {})
    graph.add_edge("triage", "audit")
    graph.add_edge("audit", "remember")
    with pytest.raises(GraphError, match="node 'remember' runs 2 times in one run"):
        check(graph)


def test_too_many_ways_are_refused_here_too() -> None:
    graph = by_hand(*(f"n{n}" for n in range(14)), *(f"s{n}" for n in range(13)))
    graph.add_edge(START, "n0")
    for n in range(13):
        graph.add_conditional_edges(f"n{n}", lambda _: "s", {"s": f"s{n}", "n": f"n{n + 1}"})
        graph.add_edge(f"s{n}", f"n{n + 1}")
    graph.add_edge("n13", END)
    with pytest.raises(GraphError, match="more than 4,096 ways"):
        check(graph)
