"""Whether an object keeps a contract, and what it lacks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

from typing_extensions import get_protocol_members, is_protocol


def lacks(made: object, contract: type) -> list[str]:
    """What an object lacks of a contract, one line each; empty if it keeps it.

    Members of a Protocol must be there; a method must be a coroutine function where the
    contract's is (and not where it is not), and take what the contract's takes. Annotations are
    left to the type checker. Of any other class the object must be an instance.
    """
    if not is_protocol(contract):
        if isinstance(made, contract):
            return []
        return [f"it is a {type(made).__qualname__}, not a {contract.__qualname__}"]
    return list(_faults(made, contract))


def lacks_all(made: object, contracts: Sequence[type]) -> list[str]:
    """What an object lacks of the contract that it comes nearest to; empty if it keeps one."""
    return min((lacks(made, contract) for contract in contracts), key=len, default=[])


def offers(cls: type, contract: type) -> bool:
    """Whether instances of a class keep a Protocol, as far as the class shows."""
    return is_protocol(contract) and all(
        hasattr(cls, member) or member in getattr(cls, "__annotations__", {})
        for member in get_protocol_members(contract)
    )


def _faults(made: object, contract: type) -> Iterator[str]:
    for member in sorted(get_protocol_members(contract)):
        wanted = inspect.getattr_static(contract, member, None)
        if not _has(made, member):
            yield f"it has no {_shown(member, wanted)}"
        elif inspect.isfunction(wanted):
            yield from _method_faults(getattr(made, member), wanted)


def _has(made: object, member: str) -> bool:
    # Found, not asked: a property may need what is only there once the part is open.
    missing = object()
    return inspect.getattr_static(made, member, missing) is not missing or hasattr(made, member)


def _method_faults(method: object, wanted: object) -> Iterator[str]:
    assert inspect.isfunction(wanted)
    shown = _shown(wanted.__name__, wanted)
    if not callable(method):
        yield f"its {wanted.__name__} is no method; {shown} is wanted"
        return
    is_async, wants_async = (inspect.iscoroutinefunction(f) for f in (method, wanted))
    if is_async != wants_async:
        yield f"its {wanted.__name__} must {'' if wants_async else 'not '}be a coroutine ({shown})"
    try:
        offered = inspect.signature(method)
    except (TypeError, ValueError):  # native code tells no signature
        return
    parameters = list(inspect.signature(wanted).parameters.values())[1:]
    words = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    try:
        offered.bind(*places, **dict.fromkeys(words))
    except TypeError as error:
        yield f"its {wanted.__name__} does not take what {shown} takes ({error})"


def _shown(name: str, wanted: object) -> str:
    """A member as its contract writes it."""
    if not inspect.isfunction(wanted):
        return name
    parameters = list(inspect.signature(wanted).parameters.values())[1:]
    names = ", ".join(p.name for p in parameters)
    return f"{'async ' if inspect.iscoroutinefunction(wanted) else ''}{name}({names})"
