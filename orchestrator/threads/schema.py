"""What a state schema holds: the types that a checkpoint must know, and the media it must not."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

from langgraph.channels.untracked_value import UntrackedValue
from pydantic import BaseModel
from typing_extensions import TypeAliasType, get_type_hints, is_typeddict

from affectgraph.perceivers.errors import BuildError

_MEDIA_MODULES: Final = ("affectgraph.perceivers.media", "PIL", "numpy", "torch", "av")
"""Every class of these counts as media: handles, images, arrays, frames."""

_RAW: Final = (bytes, bytearray, memoryview)


def allowed_types(schema: type) -> tuple[tuple[str, str], ...]:
    """Module and name of every type of ours that a checkpoint of this schema may hold.

    Follows annotations through unions, containers, pydantic models, dataclasses, named tuples and
    nested ``TypedDict``. Keys in an ``UntrackedValue`` channel are never stored and not followed.
    Built-in types and datetimes need no leave and are not named. A class that its module does not
    hold under its own name (one made in a function, or parametrised) cannot be found again from
    a checkpoint and is left out: writing one is an error.

    Args:
        schema: A ``TypedDict``, pydantic model or dataclass.

    Raises:
        BuildError: If an annotation names something that its module does not have.
    """
    names: set[tuple[str, str]] = set()
    for annotation in _tracked(schema).values():
        names.update(
            (found.__module__, found.__name__)
            for found in _reachable(annotation, set())
            if _is_ours(found) and _importable(found)
        )
    return tuple(sorted(names))


def media_in(schema: type) -> tuple[str, ...]:
    """Tracked keys of a schema whose type can hold media: a checkpoint must never hold any.

    Media are handles of :mod:`affectgraph.perceivers.media`, arrays, images, tensors and raw
    bytes, at any depth. ``Any`` and ``object`` tell nothing and are not reported.

    Raises:
        BuildError: If an annotation names something that its module does not have.
    """
    return tuple(
        key
        for key, annotation in _tracked(schema).items()
        if any(_is_media(found) for found in _reachable(annotation, set()))
    )


def _tracked(schema: type) -> dict[str, Any]:
    return {key: hint for key, hint in _fields(schema).items() if not _is_untracked(hint)}


def _fields(owner: type) -> dict[str, Any]:
    """Field names and annotations of a class that has fields; empty for any other."""
    try:
        if issubclass(owner, BaseModel):
            return {
                name: Annotated[(field.annotation, *field.metadata)]
                if field.metadata
                else field.annotation
                for name, field in owner.model_fields.items()
            }
        if is_typeddict(owner) or dataclasses.is_dataclass(owner) or _is_named_tuple(owner):
            return get_type_hints(owner, include_extras=True)
    except NameError as error:
        raise BuildError(
            f"{owner.__module__}.{owner.__qualname__}: the annotation {error.name!r} is not known"
            " where the class is defined: import it outside of TYPE_CHECKING"
        ) from error
    return {}


def _is_untracked(annotation: object) -> bool:
    if get_origin(annotation) is not Annotated:
        return any(_is_untracked(inner) for inner in _wrapped(annotation))
    return any(
        mark is UntrackedValue or isinstance(mark, UntrackedValue)
        for mark in get_args(annotation)[1:]
    )


def _wrapped(annotation: object) -> tuple[object, ...]:
    """What stands inside ``Required``, ``NotRequired`` and ``ReadOnly``."""
    name = getattr(get_origin(annotation), "_name", None)
    return get_args(annotation) if name in ("Required", "NotRequired", "ReadOnly") else ()


def _reachable(annotation: object, seen: set[object]) -> Iterator[type]:
    """Every class that a value of this type can hold, itself included; each once."""
    is_class = isinstance(annotation, type) and get_origin(annotation) is None
    # Only these two can lead back to themselves.
    if is_class or isinstance(annotation, TypeAliasType):
        if annotation in seen:
            return
        seen.add(annotation)
    for inner in _inside(annotation):
        yield from _reachable(inner, seen)
    if isinstance(annotation, type) and is_class:
        yield annotation
        for inner in _fields(annotation).values():
            yield from _reachable(inner, seen)


def _inside(annotation: object) -> Iterator[object]:
    """The annotations that this one is put together from."""
    origin = get_origin(annotation)
    if isinstance(annotation, TypeAliasType):
        yield annotation.__value__
    elif isinstance(annotation, TypeVar):
        yield from annotation.__constraints__ or (annotation.__bound__,)
    elif isinstance(annotation, typing.NewType):
        yield annotation.__supertype__
    elif origin is Literal:
        yield from (type(value) for value in get_args(annotation))
    elif origin is Annotated:
        yield get_args(annotation)[0]
    elif origin is not None and origin not in (type, Callable, typing.ClassVar):
        # The origin too: an array's or a generic model's is a class of its own.
        yield origin
        yield from (part for part in get_args(annotation) if part is not Ellipsis)


def _is_ours(found: type) -> bool:
    """Whether a checkpoint writes this class by its name and needs leave to make it again."""
    if is_typeddict(found) or found in (BaseModel, Enum):
        return False
    return (
        issubclass(found, BaseModel | Enum)
        or dataclasses.is_dataclass(found)
        or _is_named_tuple(found)
    )


def _is_named_tuple(found: type) -> bool:
    return issubclass(found, tuple) and hasattr(found, "_asdict")


def _importable(found: type) -> bool:
    module = sys.modules.get(found.__module__, types.ModuleType("absent"))
    # A parametrised model is in its module only while someone there has asked for it.
    return found.__name__.isidentifier() and getattr(module, found.__name__, None) is found


def _is_media(found: type) -> bool:
    if issubclass(found, _RAW):
        return True
    # numpy's scalars are numbers; only its arrays are large.
    if found.__module__.partition(".")[0] == "numpy":
        return found.__name__ == "ndarray"
    return any(
        base.__module__ == module or base.__module__.startswith(module + ".")
        for base in found.__mro__
        for module in _MEDIA_MODULES
    )
