"""The language model in this process, without blocking its event loop."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import (
    AffectGraphError,
    BackendError,
    ExtraMissingError,
    SetupError,
)
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelStore
from affectgraph.reasoners.backends.usage import OnUsage, Usage
from affectgraph.reasoners.contracts import LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision

if TYPE_CHECKING:
    from affectgraph.reasoners.backends.engine import LocalEngine

T = TypeVar("T")


class LocalBackend:
    """A small Llama checkpoint in process; one call at a time, others wait their turn.

    The model runs on a thread. A stream that is closed or cancelled stops it before its next
    token. The last message is continued if it is the assistant's, else answered.

    Args:
        store: Where the pulled models lie.
        model: Name of a pulled model.
        folder: A folder with a checkpoint of one's own, in place of a pulled model.
        threads: Threads of torch, for the whole process; by default all cores but one, at
            most 8.
        ngram: No run of this many tokens is said twice in a response; 0 for no such rule.
        on_usage: Told the tokens of every call.
    """

    provider = "local"

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        model: str = "smollm2-135m",
        folder: Path | None = None,
        threads: int | None = None,
        ngram: int = 4,
        on_usage: OnUsage | None = None,
    ) -> None:
        self.model = folder.name if folder else model
        self._store, self._folder = store or ModelStore(), folder
        self._threads, self._ngram, self._on_usage = threads, ngram, on_usage
        self._engine: LocalEngine | None = None
        # One place: the model keeps one cache. An abandoned call keeps its place until its
        # thread has stopped, so two calls never meet in the model.
        self._pool = BlockingPool(size=1)

    @property
    def name(self) -> str:
        """``local/`` and the model."""
        return f"{self.provider}/{self.model}"

    async def warm_up(self) -> None:
        """Load the model; a second call does nothing.

        Raises:
            SetupError: If the model is not pulled or not whole, or the extra ``local`` is not
                installed.
        """
        await self._pool.run(self._load)

    async def prime(self, messages: Sequence[Message]) -> None:
        """Run what all prompts begin with through the model, so that they need not."""
        await self._call(lambda engine, _stop: engine.prime(messages))

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """The exact distribution over labels under constrained decoding, in one pass."""
        return await self._call(lambda engine, stop: engine.choose(messages, labels, stop))

    async def score(self, prompt: str, continuations: Sequence[str]) -> list[float]:
        """Log-probability (natural) of each continuation of a plain text, in one pass.

        A continuation starts with its space, and none may begin another.
        """
        return await self._call(lambda engine, stop: engine.score(prompt, continuations, stop))

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Stream text in whole characters; closing the iterator stops the model."""
        return self._stream(
            lambda engine, stop: engine.stream(messages, sampling, self._ngram, stop)
        )

    def stream_joint(
        self, messages: Sequence[Message], fields: Sequence[LabelField], sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """Decide each field under its prior, then stream the response; one cache throughout."""
        return self._stream(
            lambda engine, stop: engine.stream_joint(messages, fields, sampling, self._ngram, stop)
        )

    async def _call(self, call: Callable[[LocalEngine, Event], T]) -> T:
        stop = Event()
        try:
            result, usage = await self._pool.run(
                lambda: self._guarded(lambda engine: (call(engine, stop), engine.usage))
            )
        finally:
            stop.set()
        self._tell(usage)
        return result

    async def _stream(
        self, produce: Callable[[LocalEngine, Event], Iterator[T]]
    ) -> AsyncIterator[T]:
        loop, stop = asyncio.get_running_loop(), Event()
        queue: asyncio.Queue[T | None] = asyncio.Queue()

        def put(item: T | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, item)

        def drain(engine: LocalEngine) -> Usage:
            for item in produce(engine, stop):
                put(item)
            return engine.usage

        def work() -> Usage:
            try:
                return self._guarded(drain)
            finally:
                put(None)

        running = asyncio.create_task(self._pool.run(work))
        # Looked at even if the consumer leaves first, so that asyncio does not complain.
        running.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            while (item := await queue.get()) is not None:
                yield item
            self._tell(await running)
        finally:
            # The thread sees the event before its next token; nobody waits for it.
            stop.set()
            running.cancel()

    def _guarded(self, call: Callable[[LocalEngine], T]) -> T:
        """Run on the thread; whatever fails becomes the one error that a backend may raise."""
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

    def _load(self) -> LocalEngine:
        if self._engine is None:
            if importlib.util.find_spec("torch") is None:
                raise ExtraMissingError("the language model in process", "local")
            from affectgraph.reasoners.backends.engine import LocalEngine

            folder = self._folder or self._store.path(self.model)
            if not (folder / "model.safetensors").is_file():
                raise SetupError(f"{folder.name} holds no model.safetensors")
            self._engine = LocalEngine(folder, threads=self._threads, name=self.name)
        return self._engine

    def _tell(self, usage: Usage) -> None:
        if self._on_usage is not None:
            self._on_usage(usage)
