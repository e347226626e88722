"""A spec as data: what an agent is made of, by names, without any part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml

from affectgraph.orchestrator.registry import Registries, default_registries
from affectgraph.orchestrator.sessions import OnBusy
from affectgraph.orchestrator.spec.document import Plain, scalar
from affectgraph.orchestrator.spec.faults import Place
from affectgraph.perceivers.models import ModelStore

if TYPE_CHECKING:
    from affectgraph.orchestrator.spec.build import Built

VERSION: Final = "affectgraph/v1"
ON_BUSY: Final[tuple[str, ...]] = get_args(OnBusy)
SLOTS: Final = ("consent", "disclosure", "triage", "responder", "output")
"""The policies' slots; ``output`` holds a list."""

_BREAKS: Final = frozenset("\x85\u2028\u2029")
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class PartSpec:
    """One part, by name, with its options.

    Attributes:
        kind: Kind of part, such as ``perceiver``.
        name: Registered name with its version, or ``module:Class``.
        options: Keyword -> plain data (``${NAME}`` as written), a part, or a tuple of parts.
        place: Where it stands; not compared.
    """

    kind: str
    name: str
    options: Mapping[str, Option] = field(default_factory=lambda: _NONE)
    place: Place = field(default=Place(), compare=False, repr=False)

    def to_data(self) -> Any:
        """The short form: ``Name``, or ``{Name: {option: value}}``."""
        if not self.options:
            return self.name
        return {self.name: {key: _data(value) for key, value in self.options.items()}}

    def with_options(self, **options: Option) -> PartSpec:
        """A copy with options set."""
        return PartSpec(self.kind, self.name, {**self.options, **options}, self.place)


Option = Plain | PartSpec | tuple[PartSpec, ...]


@dataclass(frozen=True)
class AgentSpec:
    """What an agent is made of.

    Attributes:
        reasoner: Decides and speaks.
        perceivers: At most one a modality.
        fusion: Makes one affect of the readings.
        encoder: The embedder that perceivers and memory share.
        memory: ``None`` for an agent that keeps nothing of a person.
        consent: Policy of what may be perceived and kept.
        disclosure: Policy of what the person must be told.
        triage: How much risk the words show.
        responder: Who answers from risk level 3 on.
        output: What is reviewed in every generated sentence.
        limits: Seconds a kind of node; :class:`~affectgraph.orchestrator.parts.Limits`' own
            where not named.
        keep_exchanges: How many past exchanges stay with the thread.
        hand_off: Options of :class:`~affectgraph.orchestrator.handoff.HandOff`; ``None`` for an
            agent that hands no turn to a person.
        nodes: Nodes of the graph that are replaced whole.
        threads: Where threads are kept; ``None`` for this process's memory.
        on_busy: What a second message does while a turn of its thread runs.
        imports: Top packages of which ``module:Class`` may be named.
        folder: What relative paths are relative to.
        source: File that it was read from; not compared.
    """

    reasoner: PartSpec
    fusion: PartSpec
    encoder: PartSpec
    consent: PartSpec
    disclosure: PartSpec
    triage: PartSpec
    responder: PartSpec
    perceivers: tuple[PartSpec, ...] = ()
    output: tuple[PartSpec, ...] = ()
    memory: PartSpec | None = None
    threads: PartSpec | None = None
    nodes: Mapping[str, PartSpec] = field(default_factory=lambda: _NONE)
    limits: Mapping[str, Plain] = field(default_factory=lambda: _NONE)
    keep_exchanges: int = 20
    hand_off: Mapping[str, Plain] | None = None
    on_busy: OnBusy = "enqueue"
    imports: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path)
    source: str = field(default="spec", compare=False)

    def to_data(self) -> dict[str, Any]:
        """The whole spec as plain data, every default written out."""
        policies = {slot: getattr(self, slot).to_data() for slot in SLOTS if slot != "output"}
        policies["output"] = [part.to_data() for part in self.output]
        return {
            "agent": VERSION,
            "imports": list(self.imports),
            "perceivers": [part.to_data() for part in self.perceivers],
            "fusion": self.fusion.to_data(),
            "encoder": self.encoder.to_data(),
            "memory": self.memory and self.memory.to_data(),
            "reasoner": self.reasoner.to_data(),
            "policies": policies,
            "limits": _data(self.limits),
            "keep_exchanges": self.keep_exchanges,
            "hand_off": None if self.hand_off is None else _data(self.hand_off),
            "nodes": {name: part.to_data() for name, part in self.nodes.items()},
            "threads": self.threads and self.threads.to_data(),
            "on_busy": self.on_busy,
        }

    def build(
        self,
        registries: Registries | None = None,
        *,
        store: ModelStore | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Built:
        """Make every part; nothing is loaded yet.

        Args:
            registries: Where names are looked up; those that the spec was read with.
            store: Where the pulled models lie.
            environ: Environment variables; by default this process's.

        Raises:
            SpecError: With what every part that could not be made says.
        """
        # The builder knows this class, so it is known here only when asked.
        from affectgraph.orchestrator.spec.build import build
        from affectgraph.orchestrator.spec.environment import Environment

        return build(
            self, registries or default_registries(), store=store, environment=Environment(environ)
        )

    def to_yaml(self) -> str:
        """YAML that reads as this spec again; variables stand in it as ``${NAME}``."""
        return yaml.dump(
            self.to_data(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
        )


def _data(value: Option | Mapping[str, Option]) -> Any:
    if isinstance(value, PartSpec):
        return value.to_data()
    if isinstance(value, Mapping):
        return {key: _data(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_data(each) for each in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Quotes every string that would be read as something else; writes no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # What YAML takes for a line break is folded unless it is escaped, as double quotes do.
    plain = isinstance(scalar(text), str) and not _BREAKS & set(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _string)
