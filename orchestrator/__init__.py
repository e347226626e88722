"""The machine: state, nodes, compiler, graph, agent, sessions, command line.

Names are imported when they are first used: importing this package loads nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from affectgraph.orchestrator.agent import Agent
    from affectgraph.orchestrator.compiler import Branch, GraphError, check, compose
    from affectgraph.orchestrator.graph import support_graph, support_nodes
    from affectgraph.orchestrator.handoff import HandOff, HandOffPacket, HumanAnswer
    from affectgraph.orchestrator.housekeeping import Retention
    from affectgraph.orchestrator.node import Emit, Node, Retry
    from affectgraph.orchestrator.parts import Limits, Parts, Safety
    from affectgraph.orchestrator.presets import Settings, default_parts
    from affectgraph.orchestrator.reply import Reply
    from affectgraph.orchestrator.sessions import BusyError
    from affectgraph.orchestrator.threads import MemoryThreads, PostgresThreads, SqliteThreads
    from affectgraph.perceivers.turn import Consent, Turn

__all__ = [
    "Agent",
    "Branch",
    "BusyError",
    "Consent",
    "Emit",
    "GraphError",
    "HandOff",
    "HandOffPacket",
    "HumanAnswer",
    "Limits",
    "MemoryThreads",
    "Node",
    "Parts",
    "PostgresThreads",
    "Reply",
    "Retention",
    "Retry",
    "Safety",
    "Settings",
    "SqliteThreads",
    "Turn",
    "check",
    "compose",
    "default_parts",
    "support_graph",
    "support_nodes",
]

_HOMES = {
    "affectgraph.orchestrator.agent": ("Agent",),
    "affectgraph.orchestrator.compiler": ("Branch", "GraphError", "check", "compose"),
    "affectgraph.orchestrator.graph": ("support_graph", "support_nodes"),
    "affectgraph.orchestrator.handoff": ("HandOff", "HandOffPacket", "HumanAnswer"),
    "affectgraph.orchestrator.housekeeping": ("Retention",),
    "affectgraph.orchestrator.node": ("Emit", "Node", "Retry"),
    "affectgraph.orchestrator.parts": ("Limits", "Parts", "Safety"),
    "affectgraph.orchestrator.presets": ("Settings", "default_parts"),
    "affectgraph.orchestrator.reply": ("Reply",),
    "affectgraph.orchestrator.sessions": ("BusyError",),
    "affectgraph.orchestrator.threads": ("MemoryThreads", "PostgresThreads", "SqliteThreads"),
    "affectgraph.perceivers.turn": ("Consent", "Turn"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
