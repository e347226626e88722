"""The shape of a graph without its nodes' insides, and every way that a run can take through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from langgraph.graph import END, START

MOST_RUNS: Final = 4096
"""Ways through a graph that are looked at; a graph with more is refused."""

Edge = tuple[str, str]


@dataclass(frozen=True)
class Branch:
    """After ``source``, go on at exactly one of several targets.

    Attributes:
        source: The node that is branched after.
        choose: Plain function that reads the state keys that its parameters name and returns a
            label of ``targets``.
        targets: Label to node (or ``END``).
        at_most: How often a label may be chosen that leads back to ``source``, in one run;
            required for such a loop.
        otherwise: Label that is taken instead from then on; required with ``at_most``.
    """

    source: str
    choose: Callable[..., str]
    targets: Mapping[str, str]
    at_most: int | None = None
    otherwise: str | None = None


@dataclass(frozen=True)
class Run:
    """One way through a graph: which nodes run, and over which edges each is reached.

    Attributes:
        order: The nodes, each after those that it is reached from.
        into: Node to the sources that it is reached from.
    """

    order: tuple[str, ...]
    into: Mapping[str, frozenset[str]]

    @cached_property
    def before(self) -> Mapping[str, frozenset[str]]:
        """Node to all nodes that have run when it starts."""
        found: dict[str, frozenset[str]] = {}
        for node in self.order:
            direct = self.into[node]
            found[node] = direct.union(*(found[source] for source in direct))
        return found

    def side_by_side(self, one: str, other: str) -> bool:
        """Whether two nodes of this run are not ordered by its edges."""
        return one != other and one not in self.before[other] and other not in self.before[one]


class TooLargeError(Exception):
    """There are more ways through a graph than can be looked at."""


@dataclass(frozen=True)
class Shape:
    """Nodes and edges.

    Attributes:
        nodes: Names, without ``START`` and ``END``.
        edges: Plain edges.
        branches: Source to its branches' targets, one mapping entry a branching node.
        looping: Edges of bounded branches that lead back; no run follows them.
    """

    nodes: tuple[str, ...]
    edges: tuple[Edge, ...]
    branches: Mapping[str, tuple[str, ...]]
    looping: frozenset[Edge] = field(default=frozenset())

    @cached_property
    def after(self) -> Mapping[str, tuple[str, ...]]:
        """Node to the nodes that it may lead to, loops included."""
        found: dict[str, dict[str, None]] = {name: {} for name in (START, *self.nodes)}
        for source, target in (*self.edges, *self._branch_edges):
            found.setdefault(source, {})[target] = None
        return {source: tuple(targets) for source, targets in found.items()}

    @property
    def _branch_edges(self) -> Iterator[Edge]:
        for source, targets in self.branches.items():
            for target in targets:
                yield source, target

    def reachable(self, start: str, *, without: frozenset[Edge] = frozenset()) -> frozenset[str]:
        """What a walk along the edges from a node can come to, the node itself only by a loop."""
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            source = waiting.pop()
            for target in self.after.get(source, ()):
                if target not in seen and (source, target) not in without:
                    seen.add(target)
                    waiting.append(target)
        return frozenset(seen)

    def cycles(self) -> list[tuple[str, ...]]:
        """Groups of nodes that lead to one another by edges that no bound holds."""
        reach = {name: self.reachable(name, without=self.looping) for name in self.nodes}
        groups: list[tuple[str, ...]] = []
        grouped: set[str] = set()
        for name in self.nodes:
            if name in reach[name] and name not in grouped:
                group = tuple(n for n in self.nodes if n in reach[name] and name in reach[n])
                groups.append(group)
                grouped.update(group)
        return groups

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Every way through, one a combination of choices. Only without unbounded cycles.

        Raises:
            TooLargeError: If there are more than ``MOST_RUNS``.
        """
        found = []
        for run in self._runs():
            found.append(run)
            if len(found) > MOST_RUNS:
                raise TooLargeError
        return tuple(found)

    def _runs(self) -> Iterator[Run]:
        order = [START, *self._sorted()]
        choices: list[tuple[int, dict[str, str]]] = [(0, {})]
        while choices:
            start, chosen = choices.pop()
            # A choice belongs to a run only if its node runs: look at them in order.
            undecided = self._first_undecided(order, start, chosen)
            if undecided is None:
                yield self._follow(order, chosen)
                continue
            at = order.index(undecided)
            forward = [t for t in self.branches[undecided] if (undecided, t) not in self.looping]
            choices += [(at, {**chosen, undecided: target}) for target in reversed(forward)]

    def _first_undecided(
        self, order: Sequence[str], start: int, chosen: Mapping[str, str]
    ) -> str | None:
        running = set(self._follow(order, chosen).order)
        for name in order[start:]:
            if name in running and name in self.branches and name not in chosen:
                return name
        return None

    def _follow(self, order: Sequence[str], chosen: Mapping[str, str]) -> Run:
        into: dict[str, set[str]] = {START: set()}
        ran = []
        for source in order:
            if source not in into:
                continue
            ran.append(source)
            targets = [t for s, t in self.edges if s == source and (s, t) not in self.looping]
            if source in chosen:
                targets.append(chosen[source])
            for target in targets:
                into.setdefault(target, set()).add(source)
        if END in into:
            ran.append(END)
        return Run(order=tuple(ran), into={name: frozenset(into[name]) for name in ran})

    def _sorted(self) -> list[str]:
        """The nodes, each after those that lead to it (loops left out)."""
        waiting = dict.fromkeys(self.nodes, 0)
        forward = {
            (s, t)
            for s in self.nodes
            for t in self.after[s]
            if (s, t) not in self.looping and t in waiting
        }
        for _, target in forward:
            waiting[target] += 1
        ready = [name for name in self.nodes if not waiting[name]]
        order = []
        while ready:
            name = ready.pop(0)
            order.append(name)
            for target in self.after[name]:
                if (name, target) in forward:
                    waiting[target] -= 1
                    if not waiting[target]:
                        ready.append(target)
        return order


def looping_edges(branches: Iterable[Branch], shape: Shape) -> frozenset[Edge]:
    """Edges of bounded branches from whose target the source can be reached again."""
    return frozenset(
        (branch.source, target)
        for branch in branches
        if branch.at_most is not None
        for target in branch.targets.values()
        if target == branch.source or branch.source in shape.reachable(target)
    )


def joins(shape: Shape) -> Mapping[str, frozenset[frozenset[str]]]:
    """Node to the different sets of sources that it is reached from, over all runs."""
    found: dict[str, set[frozenset[str]]] = {}
    for run in shape.runs:
        for name in run.order:
            if run.into[name] and name != END:
                found.setdefault(name, set()).add(run.into[name])
    return {name: frozenset(sources) for name, sources in found.items()}


def deferred(shape: Shape) -> frozenset[str]:
    """Nodes whose sources only LangGraph's deferral joins rightly.

    A list edge waits for all of its sources for ever, single edges run the node once for each:
    where the sources differ from run to run, or a branch is one of several, or a bounded loop
    repeats only some of them, neither will do.
    """
    chosen = {target for targets in shape.branches.values() for target in targets}

    def entered(name: str, sets: frozenset[frozenset[str]]) -> bool:
        """Whether a loop comes back to the node, and not to all of its sources."""
        again = shape.reachable(name)
        return name in again and any(not sources <= again for sources in sets)

    return frozenset(
        name
        for name, sets in joins(shape).items()
        if any(len(sources) > 1 for sources in sets)
        and (len(sets) > 1 or name in chosen or entered(name, sets))
    )
