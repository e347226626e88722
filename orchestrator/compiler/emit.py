"""From a checked shape to LangGraph's own calls: nodes, the right joins, choices, bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_type_hints

from langgraph.channels.untracked_value import UntrackedValue
from langgraph.graph import END, StateGraph

from affectgraph.orchestrator.compiler.shape import Branch, Shape, deferred, joins
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.signature import record, signature_of
from affectgraph.orchestrator.wrapper import Runner

StateT = TypeVar("StateT", bound=Any)

Sources = Mapping[str, frozenset[frozenset[str]]]


def emit_graph(
    state: type[StateT],
    nodes: Sequence[Node],
    plan: Shape,
    branches: Sequence[Branch],
    outer: Mapping[str, frozenset[str]],
) -> StateGraph[StateT, None, StateT, StateT]:
    """Make the graph of a shape in which no fault was found.

    Args:
        state: Schema of the state.
        nodes: The nodes.
        plan: Their shape.
        branches: The choices.
        outer: Node to the keys that it reads from outside of the run.
    """
    hints = get_type_hints(state, include_extras=True)
    # How often a bounded loop went round: of this run only, so never in a checkpoint.
    rounds = {_rounds(b.source): Annotated[int, UntrackedValue] for b in branches if b.at_most}
    whole: Any = record(state.__name__, {**hints, **rounds}) if rounds else state
    graph: Any = StateGraph(whole, input_schema=state, output_schema=state)
    sources, deferring = joins(plan), deferred(plan)
    reports = {"left_out", "timings_ms"} <= set(hints)
    # LangGraph lets a choice see what its source reads, and nothing else.
    chosen_by = {b.source: signature_of(b.choose).reads for b in branches}
    for node in nodes:
        run: Any = Runner(node, outer=outer.get(node.name, frozenset()), reports=reports)
        reads = {key: hints[key] for key in (*node.reads, *chosen_by.get(node.name, ()))}
        if _rounds(node.name) in rounds:
            run = _counting(run, _rounds(node.name))
            reads[_rounds(node.name)] = rounds[_rounds(node.name)]
        defer = node.name in deferring
        graph.add_node(node.name, run, input_schema=record("Read", reads), defer=defer)
    _join(graph, plan, sources, deferring)
    for branch in branches:
        back = frozenset(target for source, target in plan.looping if source == branch.source)
        graph.add_conditional_edges(branch.source, _chooser(branch, back), dict(branch.targets))
    return graph  # type: ignore[no-any-return]


def _join(graph: Any, plan: Shape, sources: Sources, deferring: frozenset[str]) -> None:
    for target in (*plan.nodes, END):
        plain = [source for source, to in plan.edges if to == target]
        together = next(iter(sources.get(target, ())), frozenset())
        if target != END and len(together) > 1 and target not in deferring:
            graph.add_edge(sorted(together, key=plan.nodes.index), target)
            continue
        for source in plain:
            graph.add_edge(source, target)


def _rounds(name: str) -> str:
    return f"rounds_{name}"


def _chooser(branch: Branch, back: frozenset[str]) -> Callable[[Mapping[str, Any]], str]:
    reads = signature_of(branch.choose).reads
    counter = _rounds(branch.source)

    def choose(state: Mapping[str, Any]) -> str:
        label = branch.choose(**{key: state[key] for key in reads if key in state})
        if branch.at_most is None or branch.targets[label] not in back:
            return label
        return label if state[counter] <= branch.at_most else str(branch.otherwise)

    # For `check`, which has nothing but the graph.
    choose.bounded_to = back  # type: ignore[attr-defined]
    return choose


def _counting(runner: Runner, counter: str) -> Callable[..., Any]:
    async def counted(state: Mapping[str, Any], runtime: Any) -> Any:
        rounds = state.get(counter, 0) + 1
        return {**await runner(state, runtime), counter: rounds}

    counted.runner = runner  # type: ignore[attr-defined]
    return counted
