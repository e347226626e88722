"""The checks of a graph's shape: what holds whatever its nodes do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches

from langgraph.graph import END, START

from affectgraph.orchestrator.compiler.faults import Fault
from affectgraph.orchestrator.compiler.shape import MOST_RUNS, Branch, Edge, Shape, deferred

_RESERVED = (":", "|")
_NAMES = {START: "START", END: "END"}


def named(nodes: Iterable[str]) -> str:
    """Nodes in a sentence: ``'a', 'b' and 'c'``."""
    quoted = [_NAMES.get(node) or f"'{node}'" for node in nodes]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def name_faults(names: Sequence[str], keys: Iterable[str]) -> Iterator[Fault]:
    """Names that stand twice, are keys of the state, or mean something to LangGraph."""
    keys = set(keys)
    for name, times in Counter(names).items():
        if times > 1:
            yield Fault(
                "duplicate", (name,), f"{times} nodes are named '{name}'", "name each differently"
            )
        if name in keys:
            yield Fault(
                "name",
                (name,),
                f"node '{name}' has the name of a state key",
                "LangGraph keeps both in one table: rename the node",
            )
        if not name or name in (START, END) or any(mark in name for mark in _RESERVED):
            yield Fault(
                "name",
                (name,),
                f"'{name}' cannot name a node",
                "give a name without ':' and '|' that is not LangGraph's own",
            )


def edge_faults(
    names: Sequence[str], edges: Sequence[Edge], branches: Sequence[Branch]
) -> Iterator[Fault]:
    """Edges and branches from or to nodes that are not there, or that no run can follow."""
    sources, targets = {START, *names}, {END, *names}
    for source, target in edges:
        yield from _unknown(source, sources, f"an edge leads from '{source}' to '{target}'")
        yield from _unknown(target, targets, f"an edge leads from '{source}' to '{target}'")
    for edge, times in Counter(edges).items():
        if times > 1:
            yield Fault(
                "duplicate",
                edge,
                f"the edge from {named(edge[:1])} to {named(edge[1:])} stands {times} times",
                "name it once",
            )
    for branch in branches:
        yield from _unknown(branch.source, sources, f"a branch starts at '{branch.source}'")
        for label, target in branch.targets.items():
            said = f"the branch after '{branch.source}' leads by '{label}' to '{target}'"
            yield from _unknown(target, targets, said)
        if not branch.targets:
            yield Fault(
                "branch",
                (branch.source,),
                f"the branch after '{branch.source}' has no targets",
                "name at least one",
            )
    for source, times in Counter(branch.source for branch in branches).items():
        if times > 1:
            yield Fault(
                "branch",
                (source,),
                f"{times} branches start at '{source}'",
                "one node makes one choice: join them, or put a node between",
            )


def _unknown(name: str, known: set[str], said: str) -> Iterator[Fault]:
    if name in known:
        return
    if name in (START, END):
        yield Fault(
            "unknown-node",
            (name,),
            f"{said}: nothing leads into START or out of END",
            "turn the edge round",
        )
        return
    near = get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "add the node, or drop the edge"
    yield Fault("unknown-node", (name,), f"{said}, but there is no node '{name}'", hint)


def reach_faults(shape: Shape) -> Iterator[Fault]:
    """Nodes that no run comes to, and nodes that no run comes from to the end."""
    reached = shape.reachable(START)
    for name in shape.nodes:
        if name not in reached:
            yield Fault(
                "unreachable",
                (name,),
                f"nothing leads to node '{name}'",
                f"add an edge to it from START or from a node that runs before '{name}'",
            )
        if END not in shape.reachable(name):
            yield Fault(
                "dead-end",
                (name,),
                f"node '{name}' leads nowhere",
                "add an edge from it to END or to what follows",
            )
    if not shape.after[START]:
        yield Fault("dead-end", (START,), "no edge starts at START", "name the first node")


def cycle_faults(shape: Shape) -> Iterator[Fault]:
    """Cycles that nothing ends."""
    for group in shape.cycles():
        how = "go round" if len(group) > 1 else "repeat"
        yield Fault(
            "loop",
            group,
            f"{named(group)} can {how} without end",
            "lead back by a Branch with at_most and otherwise",
        )


def bound_faults(shape: Shape, branches: Sequence[Branch]) -> Iterator[Fault]:
    """Bounds that bound nothing."""
    for branch in branches:
        if branch.at_most is None:
            continue
        said = f"the branch after '{branch.source}' has a bound"
        back = {target for source, target in shape.looping if source == branch.source}
        if branch.at_most < 1:
            yield Fault(
                "loop", (branch.source,), f"{said} of {branch.at_most}", "allow at least one round"
            )
        if not back:
            yield Fault("loop", (branch.source,), f"{said} and never leads back", "drop at_most")
        if branch.targets.get(branch.otherwise or "", START) in {START, *back}:
            leaving = [label for label, target in branch.targets.items() if target not in back]
            yield Fault(
                "loop",
                (branch.source,),
                f"{said} and no way out",
                f"set otherwise to one of {', '.join(map(repr, leaving)) or 'its labels'}"
                " that does not lead back",
            )


def order_faults(shape: Shape) -> Iterator[Fault]:
    """Deferred joins that LangGraph would run together though one follows the other.

    All nodes that are deferred start in the same step, when nothing else is left to run.
    """
    deferring = deferred(shape)
    told: set[tuple[str, str]] = set()
    for run in shape.runs:
        for name in run.order:
            if name not in deferring:
                continue
            for earlier in sorted(run.before[name] & deferring):
                free = [s for s in run.into[name] if earlier not in {s, *run.before[s]}]
                if free and (earlier, name) not in told:
                    told.add((earlier, name))
                    yield Fault(
                        "join-order",
                        (earlier, name),
                        f"{named((earlier, name))} both wait for nodes that a branch may pass over,"
                        f" and '{name}' also follows {named(free)}: LangGraph would not keep their"
                        " order",
                        f"let {named(free)} lead to '{earlier}', or fold a branch into its node",
                    )


def too_large() -> Fault:
    """More ways than are looked at."""
    return Fault(
        "too-large",
        (),
        f"there are more than {MOST_RUNS:,} ways through the graph",
        "fold choices into nodes, or make subgraphs",
    )


def barrier_advice(shape: Shape) -> list[Fault]:
    """Nodes that wait for a slow node which they do not need.

    LangGraph runs in steps: what follows a quick node starts only when its slow siblings of the
    same step are done as well.
    """
    found: dict[tuple[str, str], Fault] = {}
    for run in shape.runs:
        depth = {START: 0}
        for name in run.order[1:]:
            depth[name] = 1 + max(depth[source] for source in run.into[name])
        for name in run.order:
            sources = run.into[name]
            if len(sources) != 1 or name == END or START in sources:
                continue
            (source,) = sources
            for other in run.order:
                beside = run.side_by_side(source, other) and run.side_by_side(name, other)
                if beside and depth[other] == depth[source]:
                    found.setdefault(
                        (name, other),
                        Fault(
                            "barrier",
                            (name, other),
                            f"node '{name}' needs only '{source}' but starts after '{other}' too",
                            f"fold '{source}' and '{name}' into one node",
                        ),
                    )
    return list(found.values())
