"""From nodes, edges and branches to a plain LangGraph graph, or to a list of all faults."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from langgraph.graph import END, START, StateGraph

from affectgraph.orchestrator.compiler.checks import (
    barrier_advice,
    bound_faults,
    cycle_faults,
    edge_faults,
    name_faults,
    order_faults,
    reach_faults,
    too_large,
)
from affectgraph.orchestrator.compiler.emit import emit_graph
from affectgraph.orchestrator.compiler.faults import Advice, Fault, GraphError
from affectgraph.orchestrator.compiler.keychecks import (
    Use,
    declaration_faults,
    sharing_faults,
    unwritten_faults,
    uses_of,
)
from affectgraph.orchestrator.compiler.keys import keys_of
from affectgraph.orchestrator.compiler.shape import (
    Branch,
    Edge,
    Shape,
    TooLargeError,
    looping_edges,
)
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.threads.schema import media_in

StateT = TypeVar("StateT", bound=Any)


def compose(
    state: type[StateT],
    nodes: Sequence[Node],
    edges: Sequence[Edge],
    branches: Sequence[Branch] = (),
    *,
    inputs: Collection[str] = (),
) -> StateGraph[StateT, None, StateT, StateT]:
    """Check a graph whole and make a plain LangGraph ``StateGraph`` of it.

    A node with several sources waits for those that run, however many steps each takes, and runs
    once; the join that does so is chosen here, so that nobody has to.

    Args:
        state: Schema of the state. Reducers and untracked values by ``Annotated``, as LangGraph
            has them; ``left_out`` and ``timings_ms``, where it has them, are filled by the wrapper.
        nodes: The nodes.
        edges: Pairs of names; LangGraph's ``START`` and ``END`` are the outer ends.
        branches: Choices.
        inputs: Keys that the caller gives, or that a thread keeps from earlier turns.

    Returns:
        The graph: extend it, embed it, compile it with any checkpointer.

    Raises:
        GraphError: With every fault that was found.

    Warns:
        Advice: Where a node waits for another that it does not need.
    """
    names = tuple(node.name for node in nodes)
    keys = keys_of(state)
    uses, faults = uses_of(nodes, branches)
    faults += [*name_faults(names, keys), *edge_faults(names, edges, branches)]
    faults += declaration_faults(uses, keys)
    faults += _media_faults(state)
    plan = _shaped(names, edges, branches)
    faults += [*reach_faults(plan), *cycle_faults(plan), *bound_faults(plan, branches)]
    if not plan.cycles():
        faults += _run_faults(plan, uses, keys, frozenset(inputs))
    if faults:
        raise GraphError(faults)
    for advice in barrier_advice(plan):
        warnings.warn(str(advice), Advice, stacklevel=2)
    return emit_graph(state, nodes, plan, branches, _outer(plan, uses))


def _shaped(names: tuple[str, ...], edges: Sequence[Edge], branches: Sequence[Branch]) -> Shape:
    known = {START, END, *names}
    branching = {
        branch.source: tuple(t for t in dict.fromkeys(branch.targets.values()) if t in known)
        for branch in branches
        if branch.source in known
    }
    sound = tuple(
        (s, t) for s, t in dict.fromkeys(edges) if {s, t} <= known and s != END and t != START
    )
    names = tuple(dict.fromkeys(names))
    whole = Shape(names, sound, branching)
    return Shape(names, sound, branching, looping_edges(branches, whole))


def _run_faults(
    plan: Shape, uses: Sequence[Use], keys: Mapping[str, Any], inputs: frozenset[str]
) -> list[Fault]:
    try:
        return [
            *order_faults(plan),
            *unwritten_faults(plan, uses, keys, inputs),
            *sharing_faults(plan, uses, keys),
        ]
    except TooLargeError:
        return [too_large()]


def _media_faults(state: type[Any]) -> list[Fault]:
    return [
        Fault(
            "media",
            (),
            f"the state key '{key}' can hold media, which would go into every checkpoint",
            "annotate it with LangGraph's UntrackedValue",
        )
        for key in media_in(state)
    ]


def _outer(plan: Shape, uses: Sequence[Use]) -> Mapping[str, frozenset[str]]:
    """Node to the keys that it reads before anybody in the run has surely written them."""
    found: dict[str, set[str]] = {}
    for run in plan.runs:
        for use in uses:
            if use.name not in run.into:
                continue
            surely = {k for u in uses if u.name in run.before[use.name] for k in u.sure}
            if not use.choice:
                found.setdefault(use.name, set()).update(set(use.reads) - surely)
    return {name: frozenset(outer) for name, outer in found.items()}
