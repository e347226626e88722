"""What a suite watches while a part works: imports, threads, tasks, the loop, what is told."""

from __future__ import annotations

import asyncio
import builtins
import importlib
import io
import logging
import os
import subprocess
import sys
import threading
import time
import unittest
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from typing import Any, Final, TypeVar
from unittest import mock

from opentelemetry import trace

from affectgraph.perceivers import tracing

T = TypeVar("T")

HEAVY: Final = frozenset(
    {
        "accelerate", "chromadb", "ctranslate2", "cv2", "deepface", "faster_whisper", "jax", "onnx",
        "onnxruntime", "sentence_transformers", "sklearn", "spacy", "tensorflow", "torch",
        "transformers", "vllm", "whisper",
    }
)  # fmt: skip
"""Modules that cost a second or hundreds of megabytes: loaded in ``warm_up``, not before."""

GRACE: Final = 0.5
"""Seconds that a task may take to unwind after it was cancelled or closed."""


def imported_while(call: Callable[[], T]) -> tuple[T, set[str]]:
    """Make a call and tell which heavy modules it asked for, whether loaded already or not."""
    asked: set[str] = set()
    thread = threading.get_ident()
    plain, named = builtins.__import__, importlib.import_module

    def note(name: str, level: int = 0) -> None:
        if level == 0 and threading.get_ident() == thread:
            asked.add(name.partition(".")[0])

    def spy(name: str, *rest: Any, **named_rest: Any) -> Any:
        note(name, rest[3] if len(rest) > 3 else named_rest.get("level", 0))
        return plain(name, *rest, **named_rest)

    def spy_named(name: str, package: str | None = None) -> Any:
        note(name)
        return named(name, package)

    with (
        mock.patch.object(builtins, "__import__", spy),
        mock.patch.object(importlib, "import_module", spy_named),
    ):
        made = call()
    return made, asked & HEAVY


@cache
def heavy_after_import(module: str) -> tuple[str, ...]:
    """The heavy modules that a fresh Python has loaded once it has imported one module.

    Raises:
        unittest.SkipTest: If a fresh Python cannot import it: it was not found by its name.
    """
    program = (
        "import importlib, sys\n"
        f"importlib.import_module({module!r})\n"
        f"print(*sorted({set(HEAVY)!r} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(  # noqa: S603 - this Python, and a program of ours
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    if done.returncode != 0:
        raise unittest.SkipTest(f"a fresh Python cannot import {module!r} by its name")
    return tuple(done.stdout.split())


def lasting_threads(before: set[threading.Thread]) -> list[str]:
    """Names of new threads that would keep the process alive, after a moment to end."""
    new = [t for t in threading.enumerate() if t not in before and not t.daemon]
    for thread in new:
        thread.join(GRACE)
    return [thread.name for thread in new if thread.is_alive()]


async def lasting_tasks(before: set[asyncio.Task[Any]]) -> list[str]:
    """Names of tasks that were begun since and still run, after a moment to unwind."""
    ours = before | {asyncio.current_task()}
    deadline = asyncio.get_running_loop().time() + GRACE
    while left := [task for task in asyncio.all_tasks() if task not in ours]:
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(0.01)
    return [task.get_name() for task in left]


class Heartbeat:
    """The longest that one step held the event loop, in seconds of its thread's processor time.

    Processor time and not wall time, so that a busy machine does not fail a part.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = 0.0

    async def __aenter__(self) -> Heartbeat:
        self._last = time.thread_time()
        self._beating = asyncio.create_task(self._beat())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._note()
        self._beating.cancel()
        await asyncio.wait([self._beating])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.002)
            self._note()

    def _note(self) -> None:
        now = time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self._last = now


@contextmanager
def blocking_calls_raise(part: object) -> Iterator[type[Exception] | None]:
    """Let blocking calls on the loop raise, where blockbuster is installed; gives the error."""
    try:
        from blockbuster import BlockingError, blockbuster_ctx
    except ImportError:
        yield None
        return
    modules = ["affectgraph", type(part).__module__.partition(".")[0]]
    with blockbuster_ctx([m for m in dict.fromkeys(modules) if m in sys.modules]):
        yield BlockingError


class Overheard:
    """Everything that is printed, logged, warned of or put into a span."""

    def __init__(self) -> None:
        self._printed = io.StringIO()
        self._told: list[str] = []

    def heard(self, word: str) -> bool:
        """Whether a word was told, in any case."""
        told = "\n".join((self._printed.getvalue(), *self._told))
        return word.casefold() in told.casefold()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen."""
        root, make = logging.getLogger(), logging.getLogRecordFactory()
        level = root.level

        def record(*args: Any, **kwargs: Any) -> logging.LogRecord:
            made = make(*args, **kwargs)
            self._told.append(f"{made.getMessage()} {made.args!r} {made.exc_info!r}")
            return made

        root.setLevel(logging.DEBUG)
        logging.setLogRecordFactory(record)
        try:
            with (
                redirect_stdout(self._printed),
                redirect_stderr(self._printed),
                warnings.catch_warnings(record=True) as warned,
                self._spans(),
            ):
                warnings.simplefilter("always")
                yield
        finally:
            logging.setLogRecordFactory(make)
            root.setLevel(level)
        self._told += [str(warning.message) for warning in warned]

    @contextmanager
    def _spans(self) -> Iterator[None]:
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        kept, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(kept))
        with (
            # What our own spans go through, and what a part's own would.
            mock.patch.object(tracing, "tracer", return_value=provider.get_tracer("watched")),
            mock.patch.object(trace, "get_tracer_provider", return_value=provider),
        ):
            yield
        self._told += [span.to_json() for span in kept.get_finished_spans()]
