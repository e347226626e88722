"""What each node of an agent's graph reads, writes and runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from affectgraph.orchestrator import graph
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.spec.build import Built
from affectgraph.orchestrator.spec.model import PartSpec
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.reasoners.plan import SMES_ORDER
from affectgraph.reasoners.stages import SmesStaged


@dataclass(frozen=True)
class PartUse:
    """A part that a node runs.

    Attributes:
        name: Registered name, or ``module:Class``.
        origin: Built in, a distribution with its version, or the address.
    """

    name: str
    origin: str


@dataclass(frozen=True)
class NodeUse:
    """One node of the graph.

    Attributes:
        node: Its name.
        reads: Keys of the state.
        writes: Keys of the state.
        parts: What it runs, the part itself first and what that is made of after it.
        models: What the parts say of their models.
        timeout: Seconds; ``None`` for no limit.
    """

    node: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    parts: tuple[PartUse, ...]
    models: tuple[ModelUse, ...]
    timeout: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def explain(built: Built) -> tuple[NodeUse, ...]:
    """Every node of the graph, in its order; what came from the environment is concealed."""
    return tuple(_use(node, built) for node in graph.support_nodes(built.parts))


def _use(node: Node, built: Built) -> NodeUse:
    conceal = built.environment.conceal
    specs, made = _runs(node.name, built)
    models = dict.fromkeys(use for part in made for use in models_of(part))
    names = dict.fromkeys((each.kind, each.name) for spec in specs for each in _nested(spec))
    return NodeUse(
        node=node.name,
        reads=tuple(node.reads),
        writes=tuple(node.writes),
        parts=tuple(
            PartUse(name, str(built.registries[kind].origin(name))) for kind, name in names
        ),
        models=tuple(ModelUse(conceal(use.name), use.licence) for use in models),
        timeout=node.timeout,
    )


def _runs(node: str, built: Built) -> tuple[list[PartSpec], list[object]]:
    """Which parts a node of the support graph runs: their specs, and themselves."""
    spec, parts = built.spec, built.parts
    if node in spec.nodes:
        return [spec.nodes[node]], [parts.nodes[node]]
    for perceiver, made in zip(spec.perceivers, parts.perceivers, strict=True):
        if made.modality == node:
            return [perceiver], [made]
    safety = parts.safety
    match node:
        case "admit":
            return [spec.consent, spec.disclosure], [safety.consent, safety.disclosure]
        case "fuse":
            return [spec.fusion], [parts.fusion]
        case "triage":
            return [spec.triage], [safety.triage]
        case "recall" | "remember" if spec.memory is not None:
            return [spec.memory], [parts.memory]
        case "crisis":
            return [spec.responder], [safety.crisis]
        case "reason" | "response" | "user_emotion" | "strategy" | "system_emotion":
            return _reasoning(node, built)
        case _:
            return [], []


def _reasoning(node: str, built: Built) -> tuple[list[PartSpec], list[object]]:
    spec, reasoner, output = built.spec, built.parts.reasoner, built.parts.safety.output
    chosen = spec.reasoner
    made: list[object] = [reasoner]
    if isinstance(reasoner, SmesStaged) and node in SMES_ORDER:
        stage = spec.reasoner.options.get(node)
        chosen = stage if isinstance(stage, PartSpec) else chosen
        stages = {each.stage: each for each in reasoner.stages}
        made = [reasoner.response if node == "response" else stages[node]]
    if node in ("reason", "response"):
        return [chosen, *spec.output], [*made, *output]
    return [chosen], made


def _nested(spec: PartSpec) -> Iterator[PartSpec]:
    yield spec
    for option in spec.options.values():
        several = option if isinstance(option, tuple) else (option,)
        for each in several:
            if isinstance(each, PartSpec):
                yield from _nested(each)
