"""The small things that every suite uses: what fails a check, a loop for it, comparing answers."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel

T = TypeVar("T")

PATIENCE: Final = 60.0
"""Seconds after which a check that has not ended fails."""


class NonconformityError(AssertionError):
    """A part does not keep its contract; the message says in one sentence what is wanted."""


def want(condition: object, contract: str) -> None:
    """Fail with what the contract wants, unless the condition holds."""
    __tracebackhide__ = True
    if not condition:
        raise NonconformityError(contract)


def run(check: Coroutine[Any, Any, T]) -> T:
    """Run a check on an event loop of its own, and leave the process's loop policy alone."""

    async def in_time() -> T:
        limit = asyncio.timeout(PATIENCE)
        try:
            async with limit:
                return await check
        except TimeoutError:
            want(not limit.expired(), f"A call comes to an end (this took {PATIENCE:g} s).")
            raise

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(in_time())


def needs(make: Callable[..., Any]) -> int:
    """How many arguments must be given."""
    return sum(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(make).parameters.values()
    )


def plain(value: Any) -> Any:
    """A value as plain data, to compare it before and after."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def alike(one: Any, other: Any) -> bool:
    """Whether two values are the same, numbers up to rounding."""
    return _alike(plain(one), plain(other))


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return bool(one == other)
