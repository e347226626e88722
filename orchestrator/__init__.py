"""The machine: state, nodes, graph, agent, command line."""

from affectgraph.orchestrator.agent import Agent
from affectgraph.orchestrator.parts import Limits, Parts, Safety
from affectgraph.orchestrator.presets import Settings, default_parts
from affectgraph.orchestrator.reply import Reply
from affectgraph.perceivers.turn import Consent, Turn

__all__ = [
    "Agent",
    "Consent",
    "Limits",
    "Parts",
    "Reply",
    "Safety",
    "Settings",
    "Turn",
    "default_parts",
]
