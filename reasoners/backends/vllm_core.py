"""vLLM's engine on a thread of its own: every conversation of the process shares its batches."""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import itertools
import os
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from affectgraph.perceivers.errors import ExtraMissingError, SetupError

T = TypeVar("T")

_IDLE: Final = 0.5
_LAST_STEP: Final = 10.0
"""Seconds that an exiting process waits for the engine's last step."""


class VllmCore:
    """Loads a model into vLLM's ``LLMEngine`` and steps it while there is something to do.

    Nothing is loaded before :meth:`start`. The engine runs in this process
    (``VLLM_ENABLE_V1_MULTIPROCESSING=0``) unless that variable says otherwise. It outlives event
    loops, so several backends may share one core.

    Args:
        folder: The model: ``config.json``, safetensors, tokenizer with its chat template.
        options: Further arguments of vLLM's ``EngineArgs``.

    Raises:
        SetupError: When started, if vLLM is absent or cannot load the model.
    """

    def __init__(self, folder: Path, options: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self._options = dict(options or {})
        self._wishes: SimpleQueue[Callable[[Any], None] | None] = SimpleQueue()
        self._listeners: dict[str, Callable[[Any], None]] = {}
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._adapters: dict[Path, int] = {}

    def start(self) -> None:
        """Load the model; blocks for seconds to minutes. A second call waits for the first."""
        with self._starting:
            if self._thread is not None:
                return
            if importlib.util.find_spec("vllm") is None:
                raise ExtraMissingError("vLLM in process", "vllm")
            begun: SimpleQueue[BaseException | None] = SimpleQueue()
            thread = threading.Thread(
                target=self._run, args=(begun,), name="affectgraph-vllm", daemon=True
            )
            thread.start()
            failure = begun.get()
            if failure is not None:
                # The text names files and settings, never a prompt: there was none yet.
                raise SetupError(f"vLLM cannot load {self.folder.name}: {failure}") from failure
            self._thread = thread
            # A process that exits while a daemon thread is in native code may be aborted.
            atexit.register(self.stop)

    def stop(self) -> None:
        """End the engine and free the model; blocks until its step is over."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._wishes.put(None)
            thread.join(_LAST_STEP)
            atexit.unregister(self.stop)

    def adapter(self, folder: Path) -> Any:
        """A ``LoRARequest`` for an adapter; each folder has one number."""
        from vllm.lora.request import LoRARequest

        number = self._adapters.setdefault(folder, len(self._adapters) + 1)
        return LoRARequest(folder.name, number, str(folder))

    async def ask(self, wish: Callable[[Any], T]) -> T:
        """Have a short piece of work done on the engine's thread, such as tokenizing."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(result)  # type: ignore[arg-type]
            else:
                future.set_exception(error)

        def work(engine: Any) -> None:
            result, failure = None, None
            try:
                result = wish(engine)
            except Exception as error:  # noqa: BLE001 - handed to the awaiter, whatever it is
                failure = error
            _tell(loop, lambda: settle(result, failure))

        self._wishes.put(work)
        return await future

    async def generate(
        self, prompt: Sequence[int], parameters: Any, adapter: Any = None
    ) -> AsyncGenerator[Any, None]:
        """Generate after tokens; closing the iterator stops the generation.

        Args:
            prompt: Tokens.
            parameters: vLLM's ``SamplingParams``.
            adapter: vLLM's ``LoRARequest``; ``None`` for the bare model.

        Yields:
            vLLM's ``RequestOutput``, of which the last is finished.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        name = f"affectgraph-{next(self._numbers)}"

        def add(engine: Any) -> None:
            self._listeners[name] = lambda item: _tell(loop, lambda: queue.put_nowait(item))
            try:
                engine.add_request(
                    name, {"prompt_token_ids": list(prompt)}, parameters, lora_request=adapter
                )
            except Exception:
                del self._listeners[name]
                raise

        def leave(engine: Any) -> None:
            if self._listeners.pop(name, None) is not None:
                engine.abort_request([name])

        try:
            await self.ask(add)
            while True:
                output = await queue.get()
                if isinstance(output, Exception):
                    raise output
                yield output
                if output.finished:
                    return
        finally:
            self._wishes.put(leave)

    def _run(self, begun: SimpleQueue[BaseException | None]) -> None:
        try:
            engine = self._loaded()
        except BaseException as error:  # noqa: BLE001 - told to whoever starts it
            begun.put(error)
            return
        begun.put(None)
        while self._obey(engine):
            try:
                outputs = engine.step()
            except Exception as error:  # noqa: BLE001 - told to all who wait: the engine is dead
                listeners, self._listeners = self._listeners, {}
                for listener in listeners.values():
                    listener(error)
                continue
            for output in outputs:
                listener_of = self._listeners.get(output.request_id)
                if output.finished:
                    self._listeners.pop(output.request_id, None)
                if listener_of is not None:
                    listener_of(output)
        with suppress(Exception):
            engine.engine_core.shutdown()

    def _obey(self, engine: Any) -> bool:
        """Fulfil what was wished, and wait for something to do; ``False`` at the end."""
        while True:
            busy = engine.has_unfinished_requests()
            try:
                wish = self._wishes.get(block=not busy, timeout=None if busy else _IDLE)
            except Empty:
                if busy:
                    return True
                continue
            if wish is None:
                return False
            wish(engine)

    def _loaded(self) -> Any:
        # Read when the engine is made: its core in this process, and no words to anybody.
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm import EngineArgs, LLMEngine

        arguments: dict[str, Any] = {"model": str(self.folder), "disable_log_stats": True}
        return LLMEngine.from_engine_args(EngineArgs(**{**arguments, **self._options}))


_ENVIRONMENT: Final = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        with suppress(RuntimeError):  # closed in between
            loop.call_soon_threadsafe(call)
