"""Whatever the shape, a node that is reached runs once, after all that lead to it."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.graph import END, START
from typing_extensions import TypedDict

from affectgraph.orchestrator.compiler import Advice, Branch, GraphError, compose
from affectgraph.orchestrator.compiler.shape import Shape
from affectgraph.orchestrator.node import Node


class State(TypedDict, total=False):
    ran: Annotated[tuple[str, ...], operator.add]


class Ran(TypedDict):
    ran: tuple[str, ...]


def step(name: str) -> Node:
    async def run() -> Ran:
        return {"ran": (name,)}

    return Node(name, run, degrade={"ran": ()})


def always(target: str) -> Callable[[], str]:
    return lambda: target


@contextmanager
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Advice)
        yield


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]], list[Branch]]:
    """Graphs without cycles: edges lead from earlier to later nodes, some nodes choose."""
    names = [f"n{i}" for i in range(draw(st.integers(1, 7)))]
    edges: set[tuple[str, str]] = set()
    branches = []
    for at, name in enumerate(names):
        later = [*names[at + 1 :], END]
        targets = draw(st.lists(st.sampled_from(later), min_size=1, max_size=3, unique=True))
        if len(targets) > 1 and draw(st.booleans()):
            # The choice is drawn, and made whenever the graph runs.
            chosen = draw(st.sampled_from(targets))
            branches.append(Branch(name, always(chosen), {t: t for t in targets}))
        else:
            edges |= {(name, target) for target in targets}
    reached = {target for _, target in edges}
    reached |= {target for branch in branches for target in branch.targets.values()}
    edges |= {(START, name) for name in names if name not in reached or name == names[0]}
    return names, sorted(edges), branches


def expected(
    edges: list[tuple[str, str]], branches: list[Branch]
) -> tuple[set[str], list[tuple[str, str]]]:
    """What runs, by walking along: no steps, no joins."""
    chosen = [(b.source, b.targets[b.choose()]) for b in branches]
    ran, taken, waiting = set(), [], [START]
    while waiting:
        source = waiting.pop()
        for edge in (*edges, *chosen):
            if edge[0] == source and edge not in taken:
                taken.append(edge)
                if edge[1] != END and edge[1] not in ran:
                    ran.add(edge[1])
                    waiting.append(edge[1])
    return ran, taken


def composed(names: list[str], edges: list[tuple[str, str]], branches: list[Branch]) -> Any:
    try:
        with silent():
            return compose(State, [step(name) for name in names], edges, branches)
    except GraphError as error:
        return error


@given(shapes())
@settings(max_examples=120, deadline=None)
async def test_every_reached_node_runs_once_and_in_order(
    shape: tuple[list[str], list[tuple[str, str]], list[Branch]],
) -> None:
    names, edges, branches = shape
    graph = composed(names, edges, branches)
    if isinstance(graph, GraphError):
        # What LangGraph cannot join in order is refused, and nothing else of these.
        assert {fault.kind for fault in graph.faults} == {"join-order"}
        return
    ran = (await graph.compile().ainvoke({"ran": ()}))["ran"]
    nodes, taken = expected(edges, branches)
    assert sorted(ran) == sorted(nodes)
    for source, target in taken:
        if source != START and target != END:
            assert ran.index(source) < ran.index(target)


@given(shapes())
@settings(max_examples=60, deadline=None)
def test_the_ways_that_are_looked_at_are_those_that_can_be_taken(
    shape: tuple[list[str], list[tuple[str, str]], list[Branch]],
) -> None:
    names, edges, branches = shape
    looked_at = Shape(
        tuple(names), tuple(edges), {b.source: tuple(b.targets.values()) for b in branches}
    ).runs
    ran, _ = expected(edges, branches)
    assert {START, *ran} in [set(run.order) - {END} for run in looked_at]
    assert len({(run.order, tuple(run.into.items())) for run in looked_at}) == len(looked_at)
