"""The typed compiler: nodes and edges in, a checked plain LangGraph graph out."""

from affectgraph.orchestrator.compiler.build import compose
from affectgraph.orchestrator.compiler.faults import Advice, Fault, GraphError
from affectgraph.orchestrator.compiler.inspect import check
from affectgraph.orchestrator.compiler.shape import Branch

__all__ = ["Advice", "Branch", "Fault", "GraphError", "check", "compose"]
