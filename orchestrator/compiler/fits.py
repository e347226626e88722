"""Whether what one node writes is what another reads: assignability of types, at build time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

from typing_extensions import (
    ReadOnly,
    TypeAliasType,
    get_protocol_members,
    is_protocol,
    is_typeddict,
)

_MARKS = (Annotated, NotRequired, ReadOnly, Required)


def fits(written: Any, read: Any) -> bool:
    """Whether every value of type ``written`` may be read as ``read``.

    Containers are compared as if they were never changed (a ``list[bool]`` fits a
    ``Sequence[int]``): state values are not. What cannot be told, such as ``Any``, fits.
    """
    written, read = _bare(written), _bare(read)
    if Any in (written, read) or read is object or written == read:
        return True
    if _is_union(written):
        return all(fits(part, read) for part in get_args(written))
    if _is_union(read):
        return any(fits(written, part) for part in get_args(read))
    if get_origin(written) is Literal:
        return all(_value_fits(value, read) for value in get_args(written))
    if get_origin(read) is Literal:
        return False
    return _class_fits(written, read)


def shown(hint: Any) -> str:
    """A type as a person would write it."""
    if hint is NoneType:
        return "None"
    if _is_union(hint):
        return " | ".join(shown(part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return f"Literal[{', '.join(map(repr, get_args(hint)))}]"
    if get_origin(hint) is not None:
        name = getattr(get_origin(hint), "__name__", str(hint))
        parts = ", ".join("..." if part is ... else shown(part) for part in get_args(hint))
        return f"{name}[{parts}]" if parts else name
    return getattr(hint, "__name__", str(hint))


def parts_of(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union; any other type alone."""
    hint = _bare(hint)
    return get_args(hint) if _is_union(hint) else (hint,)


def _bare(hint: Any) -> Any:
    """Without marks, aliases and names that stand for another type."""
    while True:
        if get_origin(hint) in _MARKS:
            hint = get_args(hint)[0]
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif isinstance(hint, TypeAliasType):
            hint = hint.__value__
        elif isinstance(hint, TypeVar):
            hint = hint.__bound__ or Any
        else:
            return NoneType if hint is None else hint


def _is_union(hint: Any) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _value_fits(value: object, read: Any) -> bool:
    if get_origin(read) is Literal:
        return any(type(value) is type(other) and value == other for other in get_args(read))
    return _class_fits(type(value), read)


def _class_fits(written: Any, read: Any) -> bool:
    wide, narrow = get_origin(read) or read, get_origin(written) or written
    if is_typeddict(wide) or is_typeddict(narrow):
        return _record_fits(narrow, wide)
    if not isinstance(wide, type) or not isinstance(narrow, type):
        return True
    if is_protocol(wide):
        told = {name for base in narrow.__mro__ for name in getattr(base, "__annotations__", ())}
        return all(m in told or hasattr(narrow, m) for m in get_protocol_members(wide))
    # The numeric tower, as type checkers have it.
    if not (issubclass(narrow, wide) or (wide is float and narrow is int)):
        return False
    return _parts_fit(written, read, narrow)


def _record_fits(written: Any, read: Any) -> bool:
    if not is_typeddict(written):
        return False
    if not is_typeddict(read):
        return bool(read in (dict, object) or issubclass(dict, read))
    return set(read.__required_keys__) <= set(written.__required_keys__)


def _parts_fit(written: Any, read: Any, narrow: type) -> bool:
    """Whether the types between the brackets fit as well."""
    asked, given = get_args(read), get_args(written)
    if not asked or not given or issubclass(narrow, Callable):  # type: ignore[arg-type]
        return True
    if narrow is tuple:
        return _tuple_fits(given, asked, get_origin(read))
    if len(asked) != len(given):
        return issubclass(narrow, Iterable)
    return all(fits(a, b) for a, b in zip(given, asked, strict=True))


def _tuple_fits(given: tuple[Any, ...], asked: tuple[Any, ...], wide: Any) -> bool:
    endless = len(given) == 2 and given[1] is ...
    parts = given[:1] if endless else given
    if wide is not tuple:
        return all(fits(part, asked[0]) for part in parts)
    if len(asked) == 2 and asked[1] is ...:
        return all(fits(part, asked[0]) for part in parts)
    if endless or len(parts) != len(asked):
        return False
    return all(fits(a, b) for a, b in zip(parts, asked, strict=True))
