"""What a callable reads and writes, derived from its annotations.

Parameters name the state keys that are read; the return annotation, a ``TypedDict``, names the keys
that are written. So the type checker holds a node to what it declares, and nothing is said twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NotRequired, Required, get_origin, get_type_hints

from typing_extensions import TypedDict, is_typeddict

from affectgraph.perceivers.errors import BuildError

GIVEN: Final = frozenset({"emit", "emitted", "delivered", "stopped"})
"""Parameters that the wrapper gives; no state key may have these names."""

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Signature:
    """The keys of the state that a callable touches.

    Attributes:
        reads: Key to the type that is expected of it.
        optional: Reads that have a default and may be absent.
        writes: Key to the type that is promised of it.
        sure: Writes that are always made (the required keys of the ``TypedDict``).
        given: Which of ``GIVEN`` it takes.
        returns: The return annotation as it stands.
        asynchronous: Whether it is a coroutine function.
    """

    reads: Mapping[str, Any]
    optional: frozenset[str] = frozenset()
    writes: Mapping[str, Any] = field(default_factory=lambda: _NONE)
    sure: frozenset[str] = frozenset()
    given: frozenset[str] = frozenset()
    returns: Any = None
    asynchronous: bool = False


def signature_of(call: Callable[..., Any]) -> Signature:
    """Derive the signature of a function, a bound method, or an object with ``__call__``.

    Raises:
        BuildError: If an annotation is missing or names something unknown, or if there is a
            parameter that no key can fill (``*args``, ``**kwargs``, positional only).
    """
    name = getattr(call, "__qualname__", type(call).__qualname__)
    target = call if inspect.isroutine(call) else type(call).__call__
    try:
        hints = get_type_hints(target)
    except NameError as error:
        raise BuildError(
            f"{name}: annotation {error.name!r} cannot be resolved: import it at the top of the"
            " module, not under TYPE_CHECKING"
        ) from None
    reads: dict[str, Any] = {}
    optional, given = set(), set()
    for parameter in inspect.signature(call).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise BuildError(
                f"{name}: no state key can fill the parameter {parameter.name!r}: name each key"
            )
        if parameter.name in GIVEN:
            given.add(parameter.name)
            continue
        if parameter.name not in hints:
            raise BuildError(f"{name}: parameter {parameter.name!r} needs a type annotation")
        reads[parameter.name] = hints[parameter.name]
        if parameter.default is not parameter.empty:
            optional.add(parameter.name)
    return Signature(
        reads=reads,
        optional=frozenset(optional),
        given=frozenset(given),
        returns=hints.get("return"),
        asynchronous=inspect.iscoroutinefunction(target),
        **_written(hints.get("return")),
    )


def record(name: str, hints: Mapping[str, Any]) -> Any:
    """A ``TypedDict`` of hints that are known only when the program runs; no key is required."""
    make: Any = TypedDict
    return make(name, dict(hints), total=False)


def _written(returns: Any) -> dict[str, Any]:
    if not is_typeddict(returns):
        return {}
    # Not __required_keys__ alone: it overlooks these marks where annotations are strings.
    marked = get_type_hints(returns, include_extras=True)
    left_open = {key for key, hint in marked.items() if get_origin(hint) is NotRequired}
    required = {key for key, hint in marked.items() if get_origin(hint) is Required}
    return {
        "writes": get_type_hints(returns),
        "sure": (frozenset(returns.__required_keys__) - left_open) | required,
    }
