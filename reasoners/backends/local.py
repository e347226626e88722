"""The language model in this process, without blocking its event loop."""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from threading import Event, Thread, current_thread
from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakSet

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import (
    AffectGraphError,
    BackendError,
    ExtraMissingError,
    SetupError,
)
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.reasoners.backends.usage import OnUsage, Usage, tell
from affectgraph.reasoners.contracts import JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision

if TYPE_CHECKING:
    from affectgraph.reasoners.backends.engine import LocalEngine

T = TypeVar("T")

_LAST_STEP = 10.0
"""Seconds that an exiting process waits for the model's thread, which may be loading it."""
_PATIENCE = 2.0
"""Seconds that leaving waits for the model's last step; a long prompt's takes about one."""


class LocalBackend:
    """A small causal language model in process; one call at a time, others wait their turn.

    The model runs on a thread. A stream that is closed or cancelled stops it before its next
    token. The last message is continued if it is the assistant's, else answered.

    Args:
        store: Where the pulled models lie.
        model: Name of a pulled model.
        folder: A folder with a checkpoint of one's own, in place of a pulled model.
        threads: Threads of torch, for the whole process; by default all cores, at most 8.
        library: Run the model through transformers in any case. By default a plain Llama, such as
            SmolLM2, is run by a decoder of ours, since importing that library takes longer than
            all the rest; every other architecture goes through it.
        ngram: No run of this many tokens is said twice in a response; 0 for no such rule.
        on_usage: Told the tokens of every call.
    """

    provider = "local"
    constrains = True
    weighs = True

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        model: str = "smollm2-135m",
        folder: Path | None = None,
        threads: int | None = None,
        library: bool = False,
        ngram: int = 4,
        on_usage: OnUsage | None = None,
    ) -> None:
        self.model = folder.name if folder else model
        self._store, self._folder = store or ModelStore(), folder
        self._threads, self._library = threads, library
        self._ngram, self._on_usage = ngram, on_usage
        self._engine: LocalEngine | None = None
        # One place: the model keeps one cache. An abandoned call keeps its place until its
        # thread has stopped, so two calls never meet in the model.
        self._pool = BlockingPool(size=1)
        self._counting = BlockingPool(size=1)
        self._stops: set[Event] = set()
        self._alive: WeakSet[Thread] = WeakSet()
        self._at_exit = False

    @property
    def name(self) -> str:
        """``local/`` and the model."""
        return f"{self.provider}/{self.model}"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The model; of a folder of one's own nobody says the licence."""
        return (ModelUse(self.model) if self._folder else ModelUse.pinned(self.model),)

    async def warm_up(self) -> None:
        """Load the model; a second call does nothing.

        Raises:
            SetupError: If the model is not pulled or not whole, or the extra ``local`` is not
                installed.
        """
        await self._pool.run(self._load)

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """The exact distribution over labels under constrained decoding, in one pass."""
        return await self._call(lambda engine, stop: engine.choose(messages, labels, stop))

    async def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        """Log-probability (natural) of each continuation of a plain text, in one pass.

        A continuation starts with its space, and none may begin another.
        """
        return await self._call(lambda engine, stop: engine.score(prompt, continuations, stop))

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text in the model's vocabulary; waits for no other call once loaded."""
        pool = self._pool if self._engine is None else self._counting
        return await pool.run(lambda: self._guarded(Event(), lambda engine: engine.count(texts)))

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Stream text in whole characters; closing the iterator stops the model."""
        return self._stream(
            lambda engine, stop: engine.stream(messages, sampling, self._ngram, stop)
        )

    def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """Decide each field under its prior, then stream the response; one cache throughout."""
        return self._stream(
            lambda engine, stop: engine.stream_joint(messages, form, sampling, self._ngram, stop)
        )

    async def _call(self, call: Callable[[LocalEngine, Event], T]) -> T:
        run = _Run(self._pool, lambda stop: self._guarded(stop, lambda e: (call(e, stop), e.usage)))
        try:
            result, usage = await run.result()
        finally:
            await run.leave()
        self._tell(usage)
        return result

    async def _stream(
        self, produce: Callable[[LocalEngine, Event], Iterator[T]]
    ) -> AsyncIterator[T]:
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[T | None] = asyncio.Queue()

        def put(item: T | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        def drain(engine: LocalEngine, stop: Event) -> Usage:
            for item in produce(engine, stop):
                put(item)
            return engine.usage

        def work(stop: Event) -> Usage:
            try:
                return self._guarded(stop, lambda engine: drain(engine, stop))
            finally:
                put(None)

        run = _Run(self._pool, work)
        try:
            while (item := await queue.get()) is not None:
                yield item
            self._tell(await run.result())
        finally:
            await run.leave()

    def _guarded(self, stop: Event, call: Callable[[LocalEngine], T]) -> T:
        """Run on the thread; whatever fails becomes the one error that a backend may raise."""
        self._stops.add(stop)
        try:
            return call(self._load())
        except BackendError:
            raise
        except AffectGraphError as error:
            raise BackendError(self.name, str(error), permanent=True) from error
        except Exception as error:
            # The text of a foreign error may hold the prompt, so only its type is told.
            permanent = isinstance(error, ValueError)
            raise BackendError(self.name, type(error).__name__, permanent=permanent) from error
        finally:
            self._stops.discard(stop)

    def _load(self) -> LocalEngine:
        if not self._at_exit:
            self._at_exit = True
            atexit.register(_settle, self._stops, self._alive)
        self._alive.add(current_thread())
        if self._engine is None:
            if importlib.util.find_spec("torch") is None:
                raise ExtraMissingError("the language model in process", "local")
            # Read once, when torch is first imported. The threads of one product wait for each
            # other, spinning for long by default: other work that holds one up slows all by tens.
            os.environ.setdefault("GOMP_SPINCOUNT", "20000")
            from affectgraph.reasoners.backends.engine import LocalEngine

            folder = self._folder or self._store.path(self.model)
            if not (folder / "model.safetensors").is_file():
                raise SetupError(f"{folder.name} holds no model.safetensors")
            self._engine = LocalEngine(
                folder, threads=self._threads, name=self.name, library=self._library
            )
        return self._engine

    def _tell(self, usage: Usage) -> None:
        tell(usage, self._on_usage)


def _settle(stops: set[Event], threads: WeakSet[Thread]) -> None:
    """At the exit of the process: have the model's threads stop, and wait for their end.

    A process that exits while a daemon thread is inside native code, if only to free a tensor, is
    aborted by the C++ runtime.
    """
    for stop in list(stops):
        stop.set()
    for thread in list(threads):
        thread.join(_LAST_STEP)


class _Run(Generic[T]):
    """A call on the model's thread that its caller may leave."""

    def __init__(self, pool: BlockingPool, work: Callable[[Event], T]) -> None:
        self._stop, self._begun = Event(), Event()

        def begin() -> T:
            self._begun.set()
            return work(self._stop)

        self._task = asyncio.create_task(pool.run(begin))
        # Looked at even if the caller leaves first, so that asyncio does not complain.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def result(self) -> T:
        """What the call gives; being cancelled here does not yet abandon the thread."""
        return await asyncio.shield(self._task)

    async def leave(self) -> None:
        """Have the thread stop before the model's next step, and wait a moment for it.

        A call that has not begun never will.
        """
        self._stop.set()
        if self._begun.is_set():
            await asyncio.wait([self._task], timeout=_PATIENCE)
        self._task.cancel()
