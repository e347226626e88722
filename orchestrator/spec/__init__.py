"""An agent as a YAML file: read, check, write back, build."""

from affectgraph.orchestrator.spec.build import Built
from affectgraph.orchestrator.spec.faults import Place, SpecError, SpecFault
from affectgraph.orchestrator.spec.load import default_spec, load_spec, parse_spec
from affectgraph.orchestrator.spec.model import AgentSpec, PartSpec
from affectgraph.orchestrator.spec.workshop import Offers, Recipe, Workshop

__all__ = [
    "AgentSpec",
    "Built",
    "Offers",
    "PartSpec",
    "Place",
    "Recipe",
    "SpecError",
    "SpecFault",
    "Workshop",
    "default_spec",
    "load_spec",
    "parse_spec",
]
