"""Plain data to what a parameter's annotation asks for, by pydantic; faults with their path."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ConfigDict, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from affectgraph.orchestrator.registry.registry import meant
from affectgraph.orchestrator.spec.document import Plain
from affectgraph.orchestrator.spec.environment import Environment
from affectgraph.orchestrator.spec.parameters import without_none
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EMOTIONS, LabelSet
from affectgraph.reasoners.taxonomy import STRATEGIES

# Strict about unknown keys of nested dataclasses too, which pydantic ignores by default.
_CONFIG: Final = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
_LABEL_SETS: Final[Mapping[str, LabelSet]] = types.MappingProxyType({**EMOTIONS, **STRATEGIES})


@dataclass(frozen=True)
class ValueFault:
    """What is wrong with a value.

    Attributes:
        path: Keys and places within the value.
        fault: What is wrong; never the value itself.
    """

    path: tuple[str | int, ...]
    fault: str


class ValueFaultsError(Exception):
    """A value does not fit; carries every fault."""

    def __init__(self, faults: list[ValueFault]) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


def convert(annotation: Any, value: Plain, environment: Environment, folder: Path) -> Any:
    """Fill in the environment, check against the annotation, find paths from the folder.

    Raises:
        ValueFaultsError: If the value does not fit.
    """
    faults: list[ValueFault] = []
    filled = _filled(value, environment, (), faults)
    if faults:
        raise ValueFaultsError(faults)
    named = _with_label_sets(annotation, filled, ())
    checked = named if annotation is Any else _checked(annotation, named, environment)
    return _rooted(without_none(annotation), checked, folder)


def _with_label_sets(annotation: Any, value: Any, path: tuple[str | int, ...]) -> Any:
    """A value, or fields of a dataclass, with label sets in the place of their names."""
    bare = without_none(annotation)
    if bare is LabelSet and isinstance(value, str):
        return _label_set(value, path)
    if isinstance(value, bool) and bare in (int, float):
        raise ValueFaultsError([ValueFault(path, "should be a number, not a yes or no")])
    if dataclasses.is_dataclass(bare) and isinstance(value, dict):
        hints = _hints(bare)
        return {
            key: _with_label_sets(hints.get(key, Any), each, (*path, key))
            for key, each in value.items()
        }
    return value


def _filled(
    value: Plain, environment: Environment, path: tuple[str | int, ...], faults: list[ValueFault]
) -> Any:
    if isinstance(value, str):
        try:
            return environment.fill(value)
        except BuildError as error:
            faults.append(ValueFault(path, str(error)))
            return value
    if isinstance(value, tuple):
        return [_filled(v, environment, (*path, at), faults) for at, v in enumerate(value)]
    if isinstance(value, Mapping):
        return {k: _filled(v, environment, (*path, k), faults) for k, v in value.items()}
    return value


def _checked(annotation: Any, value: Any, environment: Environment) -> Any:
    # In a tuple of one: a bare dataclass takes no configuration, and would forbid no key.
    wrapped: Any = types.GenericAlias(tuple, (annotation,))
    try:
        adapter: TypeAdapter[tuple[Any]] = TypeAdapter(wrapped, config=_CONFIG)
    except (PydanticSchemaGenerationError, PydanticUserError, TypeError, NameError):
        return value  # a type that pydantic knows nothing of is the constructor's own affair
    try:
        return adapter.validate_python((value,))[0]
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise ValueFaultsError(
            [
                ValueFault(
                    _path(fault["loc"], value),
                    _told(annotation, fault["type"], fault["loc"])
                    or environment.conceal(_said(fault["msg"])),
                )
                for fault in faults
            ]
        ) from None


def _path(loc: tuple[str | int, ...], value: Any) -> tuple[str | int, ...]:
    """The steps that lead through the data; pydantic adds names of types of a union."""
    path: list[str | int] = []
    for step in loc[1:]:
        in_mapping = isinstance(value, Mapping) and step in value
        in_list = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if in_mapping or in_list:
            value = value[step]
            path.append(step)
    return tuple(path)


def _told(annotation: Any, fault: str, loc: tuple[str | int, ...]) -> str:
    """What is said of a key that is missing or unknown; nothing of any other fault."""
    *way, key = loc[1:] or loc
    if fault == "missing":
        return f"needs the option {key}"
    if fault not in ("unexpected_keyword_argument", "extra_forbidden"):
        return ""
    for step in way:
        annotation = _hints(without_none(annotation)).get(step)
    config = without_none(annotation)
    known = getattr(config, "__dataclass_fields__", None) or getattr(config, "model_fields", {})
    near = meant(str(key), known) or (f"; there are: {', '.join(known)}" if known else "")
    return f"no such option{near}"


def _said(message: str) -> str:
    said = message.removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return said[:1].lower() + said[1:]


def _rooted(annotation: Any, value: Any, folder: Path) -> Any:
    members = typing.get_args(annotation) or (annotation,)
    if Path in members and isinstance(value, str | Path):
        path = Path(value).expanduser()
        return path if path.is_absolute() else folder / path
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.init]
        own = {name: getattr(value, name) for name in names}
        paths = {k: _rooted(Path, v, folder) for k, v in own.items() if isinstance(v, Path)}
        return dataclasses.replace(value, **paths) if paths else value
    return value


def _hints(config: Any) -> Mapping[Any, Any]:
    try:
        return typing.get_type_hints(config)
    except (NameError, TypeError, AttributeError):
        return {}  # it names what is not imported at run time; pydantic says what it makes of that


def _label_set(name: str, path: tuple[str | int, ...]) -> LabelSet:
    if name not in _LABEL_SETS:
        told = meant(name, _LABEL_SETS) or f"; there are: {', '.join(_LABEL_SETS)}"
        raise ValueFaultsError([ValueFault(path, f"no label set {name!r}{told}")])
    return _LABEL_SETS[name]
