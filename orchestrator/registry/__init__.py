"""Parts by name: one registry a kind, filled lazily by the package and by what is installed."""

from affectgraph.orchestrator.registry.kinds import KINDS, Kind, Registries, default_registries
from affectgraph.orchestrator.registry.registry import Origin, Registry

__all__ = ["KINDS", "Kind", "Origin", "Registries", "Registry", "default_registries"]
