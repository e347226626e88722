"""One node by itself, with all of its wrapper around it and no graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from langgraph.runtime import Runtime

from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.state import LeftOut
from affectgraph.orchestrator.wrapper import Runner
from affectgraph.perceivers.errors import BuildError


@dataclass(frozen=True)
class NodeRun:
    """What came of one run of a node.

    Attributes:
        update: The state keys that it wrote, or its degraded result.
        events: What it emitted, in order; the last one is ``omitted`` where it was left out.
        left_out: Why it was left out; ``None`` if its body came to its end.
        timings_ms: Wall time by the node's name, in milliseconds.
    """

    update: Mapping[str, Any]
    events: tuple[Any, ...]
    left_out: LeftOut | None
    timings_ms: Mapping[str, float]


async def run_node(
    node: Node, *, events: list[Any] | None = None, delivered: str = "", **state: Any
) -> NodeRun:
    """Run one node as its graph would: input and output are checked, time limit, retry, degrade.

    ::

        run = await run_node(Node("summarise", summarise), utterance="It was long.", affect=None)
        assert run.update == {"summary": "It was long."}

    Args:
        node: The node.
        events: A list that events are put into as they come, for runs that raise.
        delivered: What the person has received of the reply before the node begins.
        **state: The state's keys that the node reads, by name; one that has a default may be
            left out.

    Raises:
        BuildError: If a key is given that the node does not read: its name may be mistyped.
        InputError: If a value is not of the type that the node reads, or a body that may refuse it
            (``Node.refuses``) does.
    """
    unknown = sorted(set(state) - set(node.reads))
    if unknown:
        raise BuildError(
            f"node {node.name!r} does not read {', '.join(unknown)}; it reads:"
            f" {', '.join(sorted(node.reads)) or 'nothing'}"
        )
    seen: list[Any] = [] if events is None else events
    first = len(seen)
    control = TurnControl(seen.append)
    control.resume_from(delivered)
    runner = Runner(node, outer=frozenset(state))
    update = await runner(state, Runtime(context=control))
    left_out: tuple[LeftOut, ...] = update.pop("left_out", ())
    return NodeRun(
        update=MappingProxyType(update),
        events=tuple(seen[first:]),
        left_out=left_out[0] if left_out else None,
        timings_ms=MappingProxyType(control.timings_ms),
    )
