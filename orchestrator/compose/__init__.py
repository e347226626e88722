"""The typed compiler: nodes and edges in, a checked plain LangGraph graph out."""

from affectgraph.orchestrator.compose.build import compose
from affectgraph.orchestrator.compose.faults import Advice, Fault, GraphError
from affectgraph.orchestrator.compose.inspect import check
from affectgraph.orchestrator.compose.shape import Branch

__all__ = ["Advice", "Branch", "Fault", "GraphError", "check", "compose"]
