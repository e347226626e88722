"""How a fake goes wrong, when a test asks it to."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Final, Literal

Fault = Literal["fails", "hangs", "slow", "wrong type"]
"""What a fake does wrong: raises an error that is not ours, never returns, takes
:data:`SLOWER` times as long, or gives back a :class:`WrongType`."""

SLOWER: Final = 20.0
"""How many times longer a slow fake takes."""


class WrongType:
    """What a fake with the fault ``wrong type`` gives back: an object that no contract knows."""


async def take(seconds: float, fault: Fault | None, part: str) -> None:
    """Take the time that the real part takes, or suffer the fault.

    Raises:
        RuntimeError: With the fault ``fails``, once the time has passed.
    """
    if fault == "hangs":
        await asyncio.Event().wait()
    await asyncio.sleep(seconds * SLOWER if fault == "slow" else seconds)
    _maybe_fail(fault, part)


def take_blocking(seconds: float, fault: Fault | None, part: str) -> None:
    """The same on a worker thread.

    Raises:
        RuntimeError: With the fault ``fails``, once the time has passed.
    """
    if fault == "hangs":
        threading.Event().wait()
    time.sleep(seconds * SLOWER if fault == "slow" else seconds)
    _maybe_fail(fault, part)


def _maybe_fail(fault: Fault | None, part: str) -> None:
    if fault == "fails":
        raise RuntimeError(f"this {part} was made to fail")
