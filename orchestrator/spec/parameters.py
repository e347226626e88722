"""What a maker takes: its keywords, and which of them take parts."""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args, get_origin

from affectgraph.orchestrator.registry import KINDS, Registries
from affectgraph.orchestrator.registry.contract import offers
from affectgraph.orchestrator.spec.workshop import Offers, Recipe

_LISTS: Final = (list, tuple, Sequence)
_UNIONS: Final = (typing.Union, types.UnionType)


@dataclass(frozen=True)
class Slot:
    """That a parameter takes a part, or several.

    Attributes:
        kind: Kind of part.
        wants: Types of which the part must be one.
        many: Whether a list of parts is taken.
        recipe: Whether the maker itself makes the part.
        offered: Types that the maker offers to the part.
    """

    kind: str
    wants: tuple[type, ...]
    many: bool = False
    recipe: bool = False
    offered: tuple[type, ...] = ()


@dataclass(frozen=True)
class Parameter:
    """One keyword of a maker.

    Attributes:
        name: The keyword.
        annotation: Its type; ``Any`` if it has none.
        required: Whether it has no default.
    """

    name: str
    annotation: Any
    required: bool


@dataclass(frozen=True)
class Parameters:
    """What a maker takes.

    Attributes:
        named: Its keywords in their order.
        further: Whether it takes any further keyword.
    """

    named: Mapping[str, Parameter]
    further: bool

    @property
    def first(self) -> str | None:
        """The keyword that a single argument is given to."""
        return next(iter(self.named), None)

    @classmethod
    def of(cls, maker: Callable[..., object]) -> Parameters:
        """Read a class's or a function's signature; a maker without one takes anything."""
        try:
            signature = inspect.signature(maker)
        except (TypeError, ValueError):
            return cls({}, further=True)
        hints = _hints(maker)
        named, further = dict[str, Parameter](), False
        for parameter in signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                further = True
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                hint = hints.get(parameter.name, Any)
                required = parameter.default is parameter.empty
                named[parameter.name] = Parameter(parameter.name, hint, required)
        return cls(named, further)


def slot_of(annotation: Any, registries: Registries) -> Slot | None:
    """Which kind of part a parameter of this type takes; ``None`` for plain values."""
    annotation, offered = _bare(annotation)
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Recipe:
        found = slot_of(inner[0], registries)
        return found and Slot(found.kind, found.wants, recipe=True, offered=offered)
    if origin in _LISTS and inner and inner[-1] in (inner[0], ...):
        found = slot_of(inner[0], registries)
        return found and Slot(found.kind, found.wants, many=True)
    members = inner if origin in _UNIONS else (annotation,)
    kinds = {_kind_of(member, registries) for member in members}
    kind = kinds.pop() if len(kinds) == 1 else None
    return Slot(kind, tuple(members)) if kind else None


def takes(annotation: Any, wanted: type) -> bool:
    """Whether a parameter of this type takes exactly this class."""
    return without_none(annotation) is wanted


def without_none(annotation: Any) -> Any:
    """``T`` of ``T | None``; any other type as it is."""
    if get_origin(annotation) in _UNIONS:
        left = [member for member in get_args(annotation) if member is not type(None)]
        if len(left) == 1:
            return left[0]
        return typing.Union[tuple(left)]  # noqa: UP007 - of a list that is only known here
    return annotation


def _bare(annotation: Any) -> tuple[Any, tuple[type, ...]]:
    """A type without ``| None`` and annotations, and what those say is offered."""
    offered: tuple[type, ...] = ()
    annotation = without_none(annotation)
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        offered = next((note.types for note in notes if isinstance(note, Offers)), ())
    return annotation, offered


def _kind_of(member: Any, registries: Registries) -> str | None:
    if not isinstance(member, type):
        return None
    kinds = [kind for kind in KINDS.values() if kind.nests]
    contracts = [(k.name, contract) for k in kinds for contract in registries[k.name].contracts()]
    for kind, contract in contracts:
        if member is contract:
            return kind
    # A class that keeps a contract, such as one encoder of ours where any would not do.
    if member.__module__ == "builtins":
        return None
    return next((kind for kind, contract in contracts if offers(member, contract)), None)


def _hints(maker: Callable[..., object]) -> dict[str, Any]:
    """Resolved annotations; none where they name what is not imported at run time."""
    told: Any = maker
    if inspect.isclass(maker) and "__init__" in vars(maker) and not hasattr(maker, "model_fields"):
        told = vars(maker)["__init__"]
    elif inspect.isclass(maker) and not hasattr(maker, "__dataclass_fields__"):
        told = maker if hasattr(maker, "model_fields") else maker.__init__
    elif not inspect.isclass(maker) and not inspect.isroutine(maker):
        told = type(maker).__call__
    try:
        return typing.get_type_hints(told, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return dict(_one_by_one(told))


def _one_by_one(told: Any) -> Iterator[tuple[str, Any]]:
    """Those annotations that can be resolved, where one of them cannot."""
    module = vars(sys.modules.get(told.__module__, typing))
    for name, hint in getattr(told, "__annotations__", {}).items():
        alone = type("_", (), {"__annotations__": {name: hint}})
        with contextlib.suppress(NameError, TypeError, AttributeError):
            yield name, typing.get_type_hints(alone, module, include_extras=True)[name]
