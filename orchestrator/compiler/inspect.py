"""The same checks for a plain LangGraph graph, such as one that was extended by hand.

LangGraph joins by what the author wrote: single edges run a node once for each, a list edge waits
for all of its sources. Here each run is played step by step, as LangGraph would, to find joins that
fire twice or never.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from langgraph.graph import END, START, StateGraph

from affectgraph.orchestrator.compiler.checks import (
    barrier_advice,
    cycle_faults,
    named,
    reach_faults,
    too_large,
)
from affectgraph.orchestrator.compiler.faults import Advice, Fault, GraphError
from affectgraph.orchestrator.compiler.keychecks import (
    declaration_faults,
    sharing_faults,
    unwritten_faults,
    uses_of,
)
from affectgraph.orchestrator.compiler.keys import keys_of
from affectgraph.orchestrator.compiler.shape import Edge, Run, Shape, TooLargeError
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.wrapper import Runner


def check(graph: StateGraph[Any, Any, Any, Any], *, inputs: frozenset[str] = frozenset()) -> None:
    """Check a LangGraph graph that was written or extended by hand.

    What foreign nodes read and write is not known: their keys are not checked, and any key may come
    from them.

    Args:
        graph: The graph, not compiled.
        inputs: Keys that the caller gives, or that a thread keeps from earlier turns.

    Raises:
        GraphError: With every fault that was found.

    Warns:
        Advice: Where a node waits for another that it does not need.
    """
    plan = _shape_of(graph)
    keys = keys_of(graph.state_schema)
    known = {name: node for name in plan.nodes if (node := _node_of(graph, name))}
    uses, _ = uses_of(list(known.values()), ())
    faults = [*reach_faults(plan), *declaration_faults(uses, keys)]
    faults += cycle_faults(plan)
    if not plan.cycles():
        try:
            faults += _join_faults(graph, plan)
            faults += sharing_faults(plan, uses, keys)
            if len(known) == len(plan.nodes):
                faults += unwritten_faults(plan, uses, keys, inputs)
        except TooLargeError:
            faults.append(too_large())
    if faults:
        raise GraphError(faults)
    for advice in [*_silence_advice(graph), *barrier_advice(plan)]:
        warnings.warn(str(advice), Advice, stacklevel=2)


def _silence_advice(graph: StateGraph[Any, Any, Any, Any]) -> Iterator[Fault]:
    for source in _silent(graph):
        yield Fault(
            "branch",
            (source,),
            f"the conditional edge after '{source}' does not say where it leads: its ways are not"
            " checked",
            "give it a path_map, or annotate its function with a Literal",
        )


def _shape_of(graph: StateGraph[Any, Any, Any, Any]) -> Shape:
    names = tuple(graph.nodes)
    plain: list[Edge] = sorted(graph.edges)
    plain += [(s, target) for sources, target in sorted(graph.waiting_edges) for s in sources]
    branches: dict[str, tuple[str, ...]] = {}
    for source, chosen in graph.branches.items():
        ends = [end for branch in chosen.values() for end in (branch.ends or {}).values()]
        branches[source] = tuple(dict.fromkeys(ends))
    for name, spec in graph.nodes.items():
        if spec.ends:
            branches[name] = (*branches.get(name, ()), *spec.ends)
    led_to = {target for _, target in plain} | {t for ends in branches.values() for t in ends}
    for source in _silent(graph):
        # It may lead anywhere: to whatever would be an orphan otherwise, and to the end.
        orphans = (name for name in names if name not in led_to and name != source)
        branches[source] = tuple(dict.fromkeys((*branches[source], *orphans, END)))
    bounded = frozenset(
        (source, target)
        for source, chosen in graph.branches.items()
        for branch in chosen.values()
        for target in (branch.ends or {}).values()
        if target in getattr(getattr(branch.path, "func", None), "bounded_to", ())
    )
    return Shape(names, tuple(dict.fromkeys(plain)), branches, bounded)


def _silent(graph: StateGraph[Any, Any, Any, Any]) -> list[str]:
    """Nodes with a conditional edge that does not say where it leads."""
    return [
        source
        for source, chosen in graph.branches.items()
        if any(branch.ends is None for branch in chosen.values())
    ]


def _node_of(graph: StateGraph[Any, Any, Any, Any], name: str) -> Node | None:
    runnable: Any = graph.nodes[name].runnable
    runner = getattr(runnable, "afunc", None)
    runner = getattr(runner, "runner", runner)
    return runner.node if isinstance(runner, Runner) else None


def _join_faults(graph: StateGraph[Any, Any, Any, Any], plan: Shape) -> Iterator[Fault]:
    told: set[tuple[str, str]] = set()
    for run in plan.runs:
        times, waiting = _play(graph, run)
        for name, count in times.items():
            if count > 1 and ("twice", name) not in told:
                told.add(("twice", name))
                sources = tuple(sorted(run.into[name]))
                yield Fault(
                    "join-twice",
                    (name, *sources),
                    f"node '{name}' runs {count} times in one run: it follows {named(sources)} by"
                    " single edges, and they end at different steps",
                    f"join them by one list edge, or add '{name}' with defer=True",
                )
        for sources, target in waiting:
            never = tuple(s for s in sources if s not in times)
            if ("never", target) not in told and target not in times:
                told.add(("never", target))
                yield Fault(
                    "join-never",
                    (target, *never),
                    f"node '{target}' never runs where {named(never)} is passed over: its list edge"
                    " waits for all of its sources",
                    f"use single edges and add '{target}' with defer=True",
                )


def _play(
    graph: StateGraph[Any, Any, Any, Any], run: Run
) -> tuple[Mapping[str, int], list[tuple[tuple[str, ...], str]]]:
    """How often each node runs, and which list edges still wait at the end."""
    times: dict[str, int] = {}
    arrived: dict[tuple[tuple[str, ...], str], set[str]] = {}
    deferred: set[str] = set()
    step = {START}
    while step or deferred:
        if not step:
            step, deferred = deferred, set()
        following: set[str] = set()
        for name in step:
            times[name] = times.get(name, 0) + 1
            # What a branch chose in this run, and what follows by single edges.
            listed = {s for sources, _ in graph.waiting_edges for s in sources}
            for target in (t for t, sources in run.into.items() if name in sources):
                by_list = name in listed and any(
                    target == to and name in sources for sources, to in graph.waiting_edges
                )
                if not by_list or (name, target) in graph.edges:
                    following.add(target)
            for edge in graph.waiting_edges:
                if name in edge[0]:
                    here = arrived.setdefault(edge, set())
                    here.add(name)
                    if here == set(edge[0]):
                        following.add(edge[1])
                        del arrived[edge]
        following.discard(END)
        deferred |= {name for name in following if graph.nodes[name].defer}
        step = following - deferred
        if any(count > len(graph.nodes) for count in times.values()):
            break
    return times, list(arrived)
