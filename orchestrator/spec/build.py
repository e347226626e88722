"""A spec to the parts of an agent, ready to run; nothing is loaded yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from affectgraph.orchestrator import graph
from affectgraph.orchestrator.handoff import HandOff
from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.parts import Limits, Parts, Safety
from affectgraph.orchestrator.registry import Registries
from affectgraph.orchestrator.registry.contract import lacks_all
from affectgraph.orchestrator.registry.registry import meant
from affectgraph.orchestrator.sessions import OnBusy
from affectgraph.orchestrator.spec.environment import Environment
from affectgraph.orchestrator.spec.faults import Place, SpecError, SpecFault
from affectgraph.orchestrator.spec.model import AgentSpec, PartSpec
from affectgraph.orchestrator.spec.parameters import Parameter, Parameters, Slot, slot_of, takes
from affectgraph.orchestrator.spec.values import ValueFaultsError, convert
from affectgraph.orchestrator.spec.workshop import Recipe, Workshop
from affectgraph.orchestrator.telemetry import captures_content
from affectgraph.perceivers.errors import AffectGraphError
from affectgraph.perceivers.models import MODELS, ModelStore, ModelUse, models_of
from affectgraph.reasoners.backends.traced import TracedBackend

if TYPE_CHECKING:
    from affectgraph.orchestrator.threads import ThreadStore

T = TypeVar("T")

_ABSENT: Final = object()


@dataclass(frozen=True)
class Built:
    """What a spec comes to.

    Attributes:
        spec: The spec.
        parts: The parts.
        threads: Where threads are kept; ``None`` for this process's memory.
        on_busy: What a second message does while a turn of its thread runs.
        registries: Where names were looked up.
        environment: What was filled in, to keep it out of what is printed.
    """

    spec: AgentSpec
    parts: Parts
    threads: ThreadStore | None
    on_busy: OnBusy
    registries: Registries = field(repr=False)
    environment: Environment = field(repr=False)

    @cached_property
    def models(self) -> tuple[ModelUse, ...]:
        """Every model that a part says it uses, each once."""
        parts = self.parts
        using = (*parts.perceivers, parts.fusion, parts.memory, parts.reasoner, *_policies(parts))
        return tuple(dict.fromkeys(use for part in using for use in models_of(part)))

    @cached_property
    def needed_models(self) -> tuple[str, ...]:
        """Those of them that must be pulled."""
        return tuple(use.name for use in self.models if use.name in MODELS)


def build(
    spec: AgentSpec,
    registries: Registries,
    *,
    store: ModelStore | None = None,
    environment: Environment | None = None,
) -> Built:
    """Make every part of a spec.

    Args:
        spec: The spec.
        registries: Where names are looked up.
        store: Where the pulled models lie.
        environment: What variables stand for; by default this process's.

    Raises:
        SpecError: With what every part that could not be made says.
    """
    builder = _Builder(spec, registries, environment or Environment(), store or ModelStore())
    built = builder.build()
    if built is None:
        raise SpecError(builder.faults)
    return built


class _Unmade(Exception):  # noqa: N818 - the fault is noted; this only leaves the part
    pass


class _Builder:
    def __init__(
        self, spec: AgentSpec, registries: Registries, environment: Environment, store: ModelStore
    ) -> None:
        self.faults: list[SpecFault] = []
        self._spec, self._registries, self._environment = spec, registries, environment
        self._top = Workshop(store, spec.folder)
        self._encoder: object = _ABSENT

    def build(self) -> Built | None:
        spec = self._spec
        perceivers = [self._try(part) for part in spec.perceivers]
        fields: dict[str, Any] = {
            "fusion": self._try(spec.fusion),
            "memory": spec.memory and self._try(spec.memory),
            "reasoner": self._try(spec.reasoner),
        }
        safety = {
            "consent": self._try(spec.consent),
            "disclosure": self._try(spec.disclosure),
            "triage": self._try(spec.triage),
            "crisis": self._try(spec.responder),
            "output": tuple(self._try(part) for part in spec.output),
        }
        threads: ThreadStore | None = self._try(spec.threads) if spec.threads else None
        limits = self._config(Limits, spec.limits, "limits")
        if spec.hand_off is not None:
            fields["hand_off"] = self._config(HandOff, spec.hand_off, "hand_off")
        if self.faults or limits is None:
            return None
        parts = self._guarded(
            Place(spec.source),
            lambda: Parts(
                perceivers=tuple(perceivers),
                **fields,
                safety=Safety(**safety),
                limits=limits,
                keep_exchanges=spec.keep_exchanges,
            ),
        )
        if parts is None:
            return None
        if spec.nodes:
            parts = self._with_nodes(parts)
        if self.faults:
            return None
        return Built(spec, parts, threads, spec.on_busy, self._registries, self._environment)

    def _config(self, config: type[T], values: Mapping[str, Any], key: str) -> T | None:
        """Make a dataclass of plain options."""
        known, made = Parameters.of(config).named, {}
        top = Place(self._spec.source).at(key)
        for name, value in values.items():
            try:
                made[name] = self._converted(known[name].annotation, value, top.at(name))
            except _Unmade:
                continue
        return self._guarded(top, lambda: config(**made))

    def _with_nodes(self, parts: Parts) -> Parts:
        own = self._guarded(Place(self._spec.source), lambda: graph.support_nodes(parts))
        names = [node.name for node in own or ()]
        workshop = self._top.offering({Parts: parts})
        nodes: dict[str, Node] = {}
        for name, part in self._spec.nodes.items():
            if name not in names:
                hint = meant(name, names).removeprefix("; ") or f"there are: {', '.join(names)}"
                self._fault(part.place, f"the graph has no node {name!r}", hint)
                continue
            made = self._try(part, workshop)
            if made is not None:
                nodes[name] = _renamed(cast("Node", made), name)
        return replace(parts, nodes=nodes)

    def _try(self, part: PartSpec, workshop: Workshop | None = None) -> Any:
        """Make a part; ``None`` if it cannot be made, with its faults noted."""
        try:
            return self._make(part, workshop or self._top)
        except _Unmade:
            return None

    def _make(self, part: PartSpec, workshop: Workshop) -> object:
        registry = self._registries[part.kind]
        maker = self._guarded(part.place, lambda: registry.maker(part.name))
        if maker is None:
            raise _Unmade
        arguments, failed = dict[str, object](), False
        parameters = Parameters.of(maker)
        for parameter in parameters.named.values():
            try:
                value = self._argument(part, parameter, workshop)
            except _Unmade:
                failed = True
                continue
            if value is not _ABSENT:
                arguments[parameter.name] = value
        for key, option in part.options.items():
            if key not in parameters.named:
                arguments[key] = self._converted(Any, cast("Any", option), part.place.at(key))
        if failed:
            raise _Unmade
        made = self._guarded(part.place, lambda: registry.check(part.name, maker(**arguments)))
        if made is None:
            raise _Unmade
        return made

    def _argument(self, part: PartSpec, parameter: Parameter, workshop: Workshop) -> object:
        slot = slot_of(parameter.annotation, self._registries)
        if parameter.name not in part.options:
            return self._given(part, parameter, slot, workshop)
        option = part.options[parameter.name]
        if slot is None or option is None:
            place = part.place.at(parameter.name)
            return self._converted(parameter.annotation, cast("Any", option), place)
        if slot.recipe:
            nested = cast("PartSpec", option)
            return Recipe(lambda offered: self._nested(nested, slot, workshop.offering(offered)))
        if slot.many:
            several = cast("tuple[PartSpec, ...]", option)
            return [self._nested(each, slot, workshop) for each in several]
        return self._nested(cast("PartSpec", option), slot, workshop)

    def _nested(self, part: PartSpec, slot: Slot, workshop: Workshop) -> object:
        made = self._make(part, workshop)
        self._fits(part, made, slot, part.place)
        if part.kind == "backend":
            return TracedBackend(cast("Any", made), capture_content=captures_content())
        return made

    def _given(
        self, part: PartSpec, parameter: Parameter, slot: Slot | None, workshop: Workshop
    ) -> object:
        """What a part gets that its options do not name."""
        if takes(parameter.annotation, ModelStore):
            return workshop.store
        for kind, offered in workshop.offered.items():
            if takes(parameter.annotation, kind):
                return offered
        if slot is None or slot.kind != "embedder" or slot.many or slot.recipe:
            return _ABSENT
        encoder = self._shared_encoder()
        lacking = lacks_all(encoder, slot.wants)
        if lacking:
            wanted = " or ".join(want.__name__ for want in slot.wants)
            self._fault(
                part.place,
                f"{part.name} needs a {wanted}, and the spec's encoder is"
                f" {self._spec.encoder.name}",
                f"give it one of its own: {parameter.name}: minilm.v1",
            )
            raise _Unmade
        return encoder

    def _shared_encoder(self) -> object:
        if self._encoder is _ABSENT:
            self._encoder = self._try(self._spec.encoder)
        if self._encoder is None:
            raise _Unmade
        return self._encoder

    def _fits(self, part: PartSpec, made: object, slot: Slot, place: Place) -> None:
        lacking = lacks_all(made, slot.wants)
        if lacking:
            wanted = " or ".join(want.__name__ for want in slot.wants)
            self._fault(place, f"{part.name} is no {wanted}", "; ".join(lacking))
            raise _Unmade

    def _converted(self, annotation: Any, value: Any, place: Place) -> Any:
        try:
            return convert(annotation, value, self._environment, self._spec.folder)
        except ValueFaultsError as error:
            for fault in error.faults:
                self._fault(place, *fault.fault.split("; ", 1))
            raise _Unmade from None

    def _guarded(self, place: Place, work: Callable[[], T]) -> T | None:
        try:
            return work()
        except _Unmade:
            raise
        except (AffectGraphError, ValueError) as error:
            self._fault(place, str(error))
        except Exception as error:  # noqa: BLE001 - a constructor of anybody's; told with the rest
            self._fault(place, f"{type(error).__qualname__}: {error}")
        return None

    def _fault(self, place: Place, fault: str, hint: str = "") -> None:
        conceal = self._environment.conceal
        self.faults.append(SpecFault(place, conceal(fault), conceal(hint)))


def _renamed(node: Node, name: str) -> Node:
    """The node under another name: a factory may serve any place."""
    if node.name == name:
        return node
    # Not by `replace`: a subclass may take other arguments.
    own = {each.name: getattr(node, each.name) for each in fields(Node)}
    return Node(**{**own, "name": name})


def _policies(parts: Parts) -> Iterable[object]:
    safety = parts.safety
    return (safety.consent, safety.disclosure, safety.triage, safety.crisis, *safety.output)
