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
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from affectgraph.perceivers.errors import ExtraMissingError, SetupError

T = TypeVar("T")

_IDLE: Final = 0.5
_LAST_STEP: Final = 10.0
"""Seconds that an exiting process waits for the engine's last step."""

_FAILURES: Final = 3
"""Steps that may fail one after the other before the engine is given up."""

_FATAL: Final = frozenset({"AcceleratorError", "EngineDeadError"})
"""Errors after which no step works: of the GPU (torch), and of a core that has died (vLLM)."""


class VllmCore:
    """Loads a model into vLLM's ``LLMEngine`` and steps it while there is something to do.

    Nothing is loaded before :meth:`start`. The engine runs in this process
    (``VLLM_ENABLE_V1_MULTIPROCESSING=0``) unless that variable says otherwise. It outlives event
    loops, so several backends may share one core.

    A step that fails ends the requests it was made for, and the engine goes on. After an error of
    the GPU, or three failed steps in a row, it is given up: whatever waits and whatever is asked
    later fails at once, until the core is stopped and started anew.

    Args:
        folder: The model: ``config.json``, safetensors, tokenizer with its chat template.
        options: Further arguments of vLLM's ``EngineArgs``.

    Raises:
        SetupError: When started, if vLLM is absent or cannot load the model.
    """

    def __init__(self, folder: Path, options: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self._options = dict(options or {})
        self._life: _Life | None = None
        self._numbers = itertools.count()
        self._starting = threading.Lock()
        self._adapters: dict[Path, int] = {}

    def start(self) -> None:
        """Load the model; blocks for seconds to minutes. A second call waits for the first.

        Raises:
            SetupError: If it cannot be loaded, or was given up and not stopped since.
        """
        with self._starting:
            if self._life is not None:
                if self._life.ended is not None:
                    raise SetupError(self._life.ended)
                return
            if importlib.util.find_spec("vllm") is None:
                raise ExtraMissingError("vLLM in process", "vllm")
            life = _Life()
            failure = life.begin(self._loaded)
            if failure is not None:
                raise _refusal(self.folder, failure)
            self._life = life
            # A process that exits while a daemon thread is in native code may be aborted.
            atexit.register(self.stop)

    def stop(self) -> None:
        """End the engine and free the model; blocks until its step is over.

        Whoever waits for it is told an error.
        """
        life, self._life = self._life, None
        if life is not None:
            life.end()
            atexit.unregister(self.stop)

    def adapter(self, folder: Path) -> Any:
        """A ``LoRARequest`` for an adapter; each folder has one number."""
        from vllm.lora.request import LoRARequest

        number = self._adapters.setdefault(folder, len(self._adapters) + 1)
        return LoRARequest(folder.name, number, str(folder))

    async def ask(self, wish: Callable[[Any], T]) -> T:
        """Have a short piece of work done on the engine's thread, such as tokenizing.

        Raises:
            SetupError: If the engine is not running, or ends before it is done.
        """
        return await self._asked(self._running(), wish)

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

        Raises:
            SetupError: If the engine is not running, or ends before the generation does.
            Exception: What vLLM raises: the request is refused, or its step failed.
        """
        loop, life = asyncio.get_running_loop(), self._running()
        queue: asyncio.Queue[Any] = asyncio.Queue()
        name = f"affectgraph-{next(self._numbers)}"

        def add(engine: Any) -> None:
            life.listeners[name] = lambda item: _tell(loop, lambda: queue.put_nowait(item))
            try:
                engine.add_request(
                    name, {"prompt_token_ids": list(prompt)}, parameters, lora_request=adapter
                )
            except Exception:
                del life.listeners[name]
                raise

        def leave(engine: Any) -> None:
            if life.listeners.pop(name, None) is not None:
                engine.abort_request([name])

        try:
            await self._asked(life, add)
            while True:
                output = await queue.get()
                if isinstance(output, Exception):
                    raise output
                yield output
                if output.finished:
                    return
        finally:
            life.wish(_Wish(leave))

    def _running(self) -> _Life:
        if self._life is None:
            raise SetupError("vLLM is not running: it was not started, or was stopped")
        return self._life

    async def _asked(self, life: _Life, wish: Callable[[Any], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
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

        life.wish(_Wish(work, lambda error: _tell(loop, lambda: settle(None, error))))
        return await future

    def _loaded(self) -> Any:
        # Read when the engine is made: its core in this process, and no words to anybody.
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        from vllm import EngineArgs, LLMEngine

        arguments: dict[str, Any] = {"model": str(self.folder), "disable_log_stats": True}
        return LLMEngine.from_engine_args(EngineArgs(**{**arguments, **self._options}))


@dataclass(frozen=True)
class _Wish:
    """Work for the engine's thread, and who is told if it can no longer be done."""

    work: Callable[[Any], None]
    fail: Callable[[Exception], None] = lambda _: None


class _Life:
    """One engine from its loading to its end, on a thread of its own.

    Attributes:
        listeners: Who is told the outputs of each request; of the engine's thread alone.
        ended: Why the engine runs no more; ``None`` while it does.
    """

    def __init__(self) -> None:
        self.listeners: dict[str, Callable[[Any], None]] = {}
        self.ended: str | None = None
        self._wishes: SimpleQueue[_Wish | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failed = 0

    def begin(self, load: Callable[[], Any]) -> BaseException | None:
        """Load the engine; give what went wrong."""
        begun: SimpleQueue[BaseException | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=self._run, args=(load, begun), name="affectgraph-vllm", daemon=True
        )
        self._thread.start()
        return begun.get()

    def end(self) -> None:
        """End it; blocks until the step is over, for seconds at most."""
        self._wishes.put(None)
        if self._thread is not None:
            self._thread.join(_LAST_STEP)

    def wish(self, wish: _Wish) -> None:
        """Have something done; it is told to have failed where the engine has ended."""
        self._wishes.put(wish)
        # It may have come after the thread had looked for the last time.
        if self.ended is not None:
            self._refuse(self.ended)

    def _run(self, load: Callable[[], Any], begun: SimpleQueue[BaseException | None]) -> None:
        try:
            engine = load()
        except BaseException as error:  # noqa: BLE001 - told to whoever starts it
            begun.put(error)
            return
        begun.put(None)
        why = "vLLM was stopped"
        try:
            while self._obey(engine):
                self._step(engine)
        except BaseException as error:  # noqa: BLE001 - told to all who wait, now and later
            # Its text may hold a prompt.
            why = f"vLLM has failed ({type(error).__name__}): start this process anew"
        finally:
            self.ended = why
            listeners, self.listeners = self.listeners, {}
            for listener in listeners.values():
                listener(SetupError(why))
            self._refuse(why)
        with suppress(Exception):
            engine.engine_core.shutdown()

    def _step(self, engine: Any) -> None:
        try:
            outputs = engine.step()
        except Exception as error:
            self._failed += 1
            listeners, self.listeners = self.listeners, {}
            for listener in listeners.values():
                listener(error)
            fatal = _FATAL.intersection(kind.__name__ for kind in type(error).__mro__)
            if fatal or self._failed >= _FAILURES:
                raise
            # What a failed step leaves of its requests would be stepped for ever.
            engine.abort_request(list(listeners))
            if engine.has_unfinished_requests():
                raise
            return
        self._failed = 0
        for output in outputs:
            listener_of = self.listeners.get(output.request_id)
            if output.finished:
                self.listeners.pop(output.request_id, None)
            if listener_of is not None:
                listener_of(output)

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
            wish.work(engine)

    def _refuse(self, why: str) -> None:
        with suppress(Empty):
            while True:
                wish = self._wishes.get_nowait()
                if wish is not None:
                    wish.fail(SetupError(why))


_ENVIRONMENT: Final = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}


def _refusal(folder: Path, failure: BaseException) -> SetupError:
    wrong = f"vLLM cannot load {folder.name}"
    if isinstance(failure, ValidationError):
        # pydantic's own text quotes all options, of which one may be a key.
        told = failure.errors(include_url=False, include_context=False, include_input=False)
        return SetupError(f"{wrong}: {'; '.join(each['msg'] for each in told)}")
    # The text names files and settings, never a prompt: there was none yet.
    error = SetupError(f"{wrong}: {failure}")
    error.__cause__ = failure
    return error


def _tell(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    if not loop.is_closed():
        with suppress(RuntimeError):  # closed in between
            loop.call_soon_threadsafe(call)
