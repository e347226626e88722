"""A document to an :class:`AgentSpec`: every name, option and value checked, nothing made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from affectgraph.orchestrator.handoff import HandOff
from affectgraph.orchestrator.parts import Limits, Parts
from affectgraph.orchestrator.registry import Registries
from affectgraph.orchestrator.registry.registry import meant
from affectgraph.orchestrator.sessions import OnBusy
from affectgraph.orchestrator.spec.document import Located, Plain
from affectgraph.orchestrator.spec.environment import Environment
from affectgraph.orchestrator.spec.faults import Place, SpecFault
from affectgraph.orchestrator.spec.model import (
    ON_BUSY,
    SLOTS,
    VERSION,
    AgentSpec,
    Option,
    PartSpec,
)
from affectgraph.orchestrator.spec.parameters import Parameter, Parameters, Slot, slot_of, takes
from affectgraph.orchestrator.spec.values import ValueFaultsError, convert
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.models import ModelStore

KEYS: Final = (
    "agent", "imports", "perceivers", "fusion", "encoder", "memory", "reasoner", "policies",
    "limits", "keep_exchanges", "hand_off", "nodes", "threads", "on_busy",
)  # fmt: skip
FORMS: Final = "a part is Name, {Name: argument} or {Name: {option: value}}"
_PACKAGE: Final = re.compile(r"[A-Za-z_]\w*")

Types = frozenset[type]
Read = Callable[[Located, Place], Any]


@dataclass
class Reader:
    """Reads one document.

    Attributes:
        registries: Where names are looked up.
        environment: What variables stand for.
        folder: What relative paths are relative to.
        base: What holds for a key that the document does not name; ``None`` if it names all.
        faults: What was found wrong.
    """

    registries: Registries
    environment: Environment
    folder: Path
    base: AgentSpec | None = None
    faults: list[SpecFault] = field(default_factory=list)
    _imports: tuple[str, ...] = ()

    def read(self, root: Located, source: str) -> AgentSpec | None:
        """The spec; ``None`` if there are faults."""
        top = Place(source, root.line)
        if not isinstance(root.value, dict):
            self._fault(top, "a spec is a mapping", f"its first key is agent: {VERSION}")
            return None
        document = root.value
        self._only(document, KEYS, top)
        self._version(document, top)
        # First, whatever the order of the keys: the parts' names are read in its light.
        self._imports = self._read_imports(document, top)
        values: dict[str, Any] = {"imports": self._imports}
        self._take(document, "perceivers", values, top, self._list_of("perceiver"))
        for key, kind in (("fusion", "fusion"), ("encoder", "embedder"), ("reasoner", "reasoner")):
            self._take(document, key, values, top, self._one(kind))
        for key in ("memory", "threads"):
            self._take(document, key, values, top, self._one_or_none(key))
        self._take(document, "limits", values, top, self._values(Limits, {}))
        self._take(document, "hand_off", values, top, self._values(HandOff, None))
        self._take(document, "keep_exchanges", values, top, self._keep)
        self._take(document, "on_busy", values, top, self._on_busy)
        self._take(document, "nodes", values, top, self._nodes)
        self._policies(document, values, top)
        if self.faults:
            return None
        return AgentSpec(**values, folder=self.folder, source=source)

    def part(
        self, at: Located, kind: str, place: Place, offered: Types = frozenset()
    ) -> PartSpec | None:
        """A part in its short form, its options checked against what makes it."""
        named = self._named(at, place)
        if named is None:
            return None
        name, argument = named
        registry = self.registries[kind]
        try:
            if ":" in name:
                self._allowed(name)
            else:
                name = registry.pinned(name)
            maker = registry.maker(name)
        except BuildError as error:
            self._told(place, str(error))
            return None
        parameters = Parameters.of(maker)
        given = self._given(name, argument, parameters, place)
        options: dict[str, Option] = {}
        for key, value in given.items():
            parameter = parameters.named.get(key, Parameter(key, Any, required=False))
            options[key] = self._option(parameter, value, place.at(key, value.line))
        for parameter in parameters.named.values():
            if parameter.required and parameter.name not in given:
                self._required(name, parameter, place, offered)
        return PartSpec(kind, name, options, place)

    def _option(self, parameter: Parameter, at: Located, place: Place) -> Option:
        slot = slot_of(parameter.annotation, self.registries)
        if slot is None or at.value is None:
            plain = at.plain()
            self._check(parameter.annotation, at, plain, place)
            return plain
        offered = frozenset(slot.offered)
        if slot.many:
            return self._parts(at, slot.kind, place, offered)
        return self.part(at, slot.kind, place, offered)

    def _check(self, annotation: Any, at: Located, plain: Plain, place: Place) -> None:
        try:
            convert(annotation, plain, self.environment, self.folder)
        except ValueFaultsError as error:
            for fault in error.faults:
                where, inner = place, at
                for step in fault.path:
                    inner = _within(inner, step)
                    where = where.at(step, inner.line)
                self._told(where, fault.fault)

    def _required(self, name: str, parameter: Parameter, place: Place, offered: Types) -> None:
        slot = slot_of(parameter.annotation, self.registries)
        if not supplied(parameter, slot, offered):
            what = f"a {slot.kind}" if slot else "a value"
            self._fault(place, f"{name} needs the option {parameter.name}", f"give it {what}")

    def _named(self, at: Located, place: Place) -> tuple[str, Located | None] | None:
        if isinstance(at.value, str):
            return at.value, None
        if isinstance(at.value, dict) and len(at.value) == 1:
            ((name, argument),) = at.value.items()
            return name, argument if argument.value is not None else None
        if isinstance(at.value, dict) and at.value:
            first, *others = at.value
            hint = f"do {', '.join(others)} belong under {first}? {FORMS}"
            self._fault(place, f"{len(at.value)} names where one part is wanted", hint)
        else:
            self._fault(place, "no part", FORMS)
        return None

    def _given(
        self, name: str, argument: Located | None, parameters: Parameters, place: Place
    ) -> Mapping[str, Located]:
        if argument is None:
            return {}
        if not isinstance(argument.value, dict):
            if parameters.first is None:
                self._fault(place, f"{name} takes no argument")
                return {}
            return {parameters.first: argument}
        known = {}
        for key, value in argument.value.items():
            if key in parameters.named or parameters.further:
                known[key] = value
            else:
                near = meant(key, parameters.named).removeprefix("; ")
                options = ", ".join(parameters.named)
                hint = near or (f"it takes: {options}" if options else "it takes none")
                self._fault(place.at(key, value.line), f"{name} has no option {key!r}", hint)
        return known

    def _allowed(self, name: str) -> None:
        package = name.partition(":")[0].partition(".")[0]
        if package not in self._imports and package not in self.registries.packages():
            raise BuildError(
                f"{name} may not be imported; if you trust it, add {package} to imports"
            )

    def _one(self, kind: str) -> Read:
        return lambda at, place: self.part(at, kind, place)

    def _one_or_none(self, kind: str) -> Read:
        return lambda at, place: None if at.value is None else self.part(at, kind, place)

    def _list_of(self, kind: str) -> Read:
        return lambda at, place: self._parts(at, kind, place)

    def _parts(
        self, at: Located, kind: str, place: Place, offered: Types = frozenset()
    ) -> tuple[PartSpec, ...]:
        if not isinstance(at.value, tuple):
            self._fault(place, "should be a list", "write each part after a dash")
            return ()
        found = [
            self.part(each, kind, place.at(number, each.line), offered)
            for number, each in enumerate(at.value)
        ]
        return tuple(part for part in found if part is not None)

    def _nodes(self, at: Located, place: Place) -> Mapping[str, PartSpec]:
        if not isinstance(at.value, dict):
            self._fault(place, "should be a mapping", "name of a graph node: what makes it")
            return {}
        nodes = {}
        for name, each in at.value.items():
            part = self.part(each, "node", place.at(name, each.line), frozenset({Parts}))
            if part is not None:
                nodes[name] = part
        return nodes

    def _policies(self, document: dict[str, Located], values: dict[str, Any], top: Place) -> None:
        at = document.get("policies", Located({}, top.line))
        place = top.at("policies", at.line)
        if not isinstance(at.value, dict):
            self._fault(place, "should be a mapping", f"its keys are: {', '.join(SLOTS)}")
            return
        self._only(at.value, SLOTS, place)
        for slot in SLOTS[:-1]:
            self._take(at.value, slot, values, place, self._one(slot))
        self._take(at.value, "output", values, place, self._list_of("output"))

    def _values(self, config: type, absent: Mapping[str, Plain] | None) -> Read:
        """Read the options of a dataclass; ``absent`` is what ``null`` means."""
        known = Parameters.of(config).named

        def read(at: Located, place: Place) -> Mapping[str, Plain] | None:
            if at.value is None:
                return absent
            if not isinstance(at.value, dict):
                self._fault(place, "should be a mapping", f"its keys are: {', '.join(known)}")
                return absent
            self._only(at.value, known, place)
            for key in known.keys() & at.value.keys():
                value = at.value[key]
                where = place.at(key, value.line)
                self._check(known[key].annotation, value, value.plain(), where)
            return {key: value.plain() for key, value in at.value.items()}

        return read

    def _keep(self, at: Located, place: Place) -> int:
        if isinstance(at.value, bool) or not isinstance(at.value, int) or at.value < 1:
            self._fault(place, "should be a whole number, 1 or more")
            return 1
        return at.value

    def _on_busy(self, at: Located, place: Place) -> OnBusy:
        if at.value not in ON_BUSY:
            self._fault(place, f"should be one of {', '.join(ON_BUSY)}")
        return cast("OnBusy", at.value)

    def _read_imports(self, document: dict[str, Located], top: Place) -> tuple[str, ...]:
        if "imports" not in document:
            return self.base.imports if self.base else ()
        at = document["imports"]
        place = top.at("imports", at.line)
        items = at.value if isinstance(at.value, tuple) else (at,)
        found = []
        for item in items:
            if isinstance(item.value, str) and _PACKAGE.fullmatch(item.value):
                found.append(item.value)
            else:
                hint = "write the top package only, such as mypackage"
                self._fault(place, "should be a list of top packages", hint)
        return tuple(found)

    def _version(self, document: dict[str, Located], top: Place) -> None:
        at = document.get("agent")
        if at is None:
            self._fault(top, "the key agent is missing", f"write agent: {VERSION}")
        elif at.value != VERSION:
            self._fault(top.at("agent", at.line), f"not {VERSION}", "no other version is known")

    def _take(
        self,
        document: Mapping[str, Located],
        key: str,
        values: dict[str, Any],
        place: Place,
        read: Read,
    ) -> None:
        """Read a key, or take it over from the base."""
        at = document.get(key)
        if at is not None:
            values[key] = read(at, place.at(key, at.line))
        elif self.base is not None:
            values[key] = getattr(self.base, key)

    def _only(self, at: Mapping[str, Located], known: Any, place: Place) -> None:
        for key, value in at.items():
            if key not in known:
                near = meant(key, known).removeprefix("; ")
                hint = near or f"there are: {', '.join(known)}"
                self._fault(place.at(key, value.line), "no such key", hint)

    def _told(self, place: Place, message: str) -> None:
        fault, _, hint = message.partition("; ")
        self._fault(place, fault, hint)

    def _fault(self, place: Place, fault: str, hint: str = "") -> None:
        conceal = self.environment.conceal
        self.faults.append(SpecFault(place, conceal(fault), conceal(hint)))


def supplied(parameter: Parameter, slot: Slot | None, offered: Types) -> bool:
    """Whether a parameter is filled in without the spec naming it."""
    if slot is not None and slot.kind == "embedder" and not slot.many and not slot.recipe:
        return True
    return any(takes(parameter.annotation, each) for each in (ModelStore, *offered))


def _within(at: Located, step: str | int) -> Located:
    if isinstance(at.value, dict) and isinstance(step, str):
        return at.value.get(step, at)
    if isinstance(at.value, tuple) and isinstance(step, int) and step < len(at.value):
        return at.value[step]
    return at
