"""A child process that is awaited, read line by line, and never outlives a cancelled pull."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping, Sequence


async def run_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    on_line: Callable[[str], None] | None = None,
) -> tuple[int, str]:
    """Run a command without a shell and without standard input.

    Args:
        command: Program and arguments.
        environment: The child's whole environment.
        on_line: Called on the event loop with each line of standard output; without it the
            output is dropped.

    Returns:
        The exit status (negative: the signal that ended it) and all of standard error.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE if on_line else DEVNULL, stderr=PIPE, env=environment
    )

    async def read_errors() -> str:
        return (await process.stderr.read()).decode(errors="replace") if process.stderr else ""

    # Both pipes are read at once, or a child that fills one would wait for ever.
    errors = asyncio.create_task(read_errors())
    try:
        if on_line is not None and process.stdout is not None:
            async for line in process.stdout:
                on_line(line.decode(errors="replace").rstrip())
        return await process.wait(), await errors
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        errors.cancel()
