"""The thread that vLLM's engine runs on, over an engine of our own: how it fails and ends."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from affectgraph.perceivers.errors import BackendError, SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.backends.vllm_core import VllmCore
from affectgraph.reasoners.backends.vllm_engine import VllmEngine
from affectgraph.reasoners.contracts import Message

PATIENCE = 20.0
"""Seconds after which something has hung."""


class AcceleratorError(RuntimeError):
    """Named as torch's error of a GPU that is lost."""


class Engine:
    """Answers a request in two steps; a step fails as often as told."""

    def __init__(self, *errors: Exception | None, aborts: bool = True) -> None:
        self.errors, self.aborts = list(errors), aborts
        self.requests: dict[str, int] = {}
        self.steps = 0
        self.stepped = threading.Event()
        self.held: threading.Event | None = None
        self.endless = False
        self.closed = threading.Event()
        self.engine_core = SimpleNamespace(shutdown=self.closed.set)

    def add_request(self, name: str, prompt: Any, parameters: Any, lora_request: Any) -> None:
        if parameters == "bad":
            raise ValueError("a prompt of marzipan")
        self.requests[name] = 0

    def abort_request(self, names: list[str]) -> None:
        if self.aborts:
            for name in names:
                self.requests.pop(name, None)

    def has_unfinished_requests(self) -> bool:
        return bool(self.requests)

    def step(self) -> list[Any]:
        self.steps += 1
        self.stepped.set()
        if self.held is not None:
            self.held.wait(PATIENCE)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        if self.endless:
            time.sleep(0.01)
            return []
        outputs = []
        for name in list(self.requests):
            self.requests[name] += 1
            finished = self.requests[name] == 2
            if finished:
                del self.requests[name]
            outputs.append(SimpleNamespace(request_id=name, finished=finished))
        return outputs


Run = Callable[[Engine], Any]


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Run:
    real = importlib.util.find_spec

    def found(name: str, package: str | None = None) -> ModuleSpec | None:
        return ModuleSpec("vllm", None) if name == "vllm" else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", found)

    @asynccontextmanager
    async def run(engine: Engine) -> AsyncIterator[VllmCore]:
        monkeypatch.setattr(VllmCore, "_loaded", lambda _: engine)
        core = VllmCore(Path("a-model"))
        await asyncio.to_thread(core.start)
        try:
            async with asyncio.timeout(PATIENCE):
                yield core
        finally:
            await asyncio.to_thread(core.stop)

    return run


async def generated(core: VllmCore, parameters: Any = None) -> int:
    async with aclosing(core.generate([1, 2], parameters)) as outputs:
        return len([output async for output in outputs])


async def test_requests_are_answered_side_by_side(running: Run) -> None:
    async with running(Engine()) as core:
        assert await asyncio.gather(*(generated(core) for _ in range(5))) == [2] * 5


async def test_a_failed_step_ends_its_requests_and_nothing_is_stepped_after(running: Run) -> None:
    engine = Engine(RuntimeError("one bad request"))
    async with running(engine) as core:
        with pytest.raises(RuntimeError, match="one bad request"):
            await generated(core)
        assert not await core.ask(lambda made: made.has_unfinished_requests())
        steps = engine.steps
        await core.ask(lambda made: None)
        assert engine.steps == steps == 1
        assert await generated(core) == 2, "the engine goes on"


async def test_all_who_wait_for_a_failed_step_are_told(running: Run) -> None:
    engine = Engine(None, RuntimeError("one bad request"))
    engine.held = threading.Event()
    async with running(engine) as core:
        first = asyncio.create_task(generated(core))
        await asyncio.to_thread(engine.stepped.wait, PATIENCE)
        second = asyncio.create_task(generated(core))
        await asyncio.sleep(0)
        engine.held.set()
        for task in (first, second):
            with pytest.raises(RuntimeError, match="one bad request"):
                await task
        assert not await core.ask(lambda made: made.requests)


async def test_a_refused_request_costs_nobody_else_anything(running: Run) -> None:
    engine = Engine()
    async with running(engine) as core:
        with pytest.raises(ValueError, match="marzipan"):
            await generated(core, "bad")
        assert await generated(core) == 2


@pytest.mark.parametrize(
    ("engine", "tries"),
    [
        (Engine(AcceleratorError("CUDA error: marzipan")), 1),
        (Engine(*[RuntimeError("marzipan")] * 9), 3),
        (Engine(RuntimeError("marzipan"), aborts=False), 1),
    ],
    ids=["the GPU", "three in a row", "requests that stay"],
)
async def test_an_engine_past_help_is_given_up(running: Run, engine: Engine, tries: int) -> None:
    async with running(engine) as core:
        for _ in range(tries):
            with pytest.raises(RuntimeError, match="marzipan"):
                await generated(core)
        assert await asyncio.to_thread(engine.closed.wait, PATIENCE)
        for later in (core.ask(lambda made: 1), generated(core), asyncio.to_thread(core.start)):
            with pytest.raises(SetupError, match="vLLM has failed") as caught:
                await later
            assert "marzipan" not in str(caught.value)
        assert engine.steps == tries
        backend = VllmEngine(core=core)
        with pytest.raises(BackendError) as told:
            await backend.choose((Message(role="user", content="Hello."),), MESC_7)
        assert told.value.permanent


async def test_a_good_step_between_failed_ones_forgives_them(running: Run) -> None:
    engine = Engine()
    async with running(engine) as core:
        for _ in range(5):
            engine.errors.append(RuntimeError("now and then"))
            with pytest.raises(RuntimeError, match="now and then"):
                await generated(core)
            assert await generated(core) == 2


async def test_stopping_tells_whoever_waits_and_whoever_comes_later(running: Run) -> None:
    engine = Engine()
    engine.endless = True
    async with running(engine) as core:
        waiting = asyncio.create_task(generated(core))
        await asyncio.to_thread(engine.stepped.wait, PATIENCE)
        await asyncio.to_thread(core.stop)
        with pytest.raises(SetupError, match="stopped"):
            await waiting
        with pytest.raises(SetupError, match="not running"):
            await core.ask(lambda made: 1)
        assert engine.closed.is_set()


async def test_what_is_wished_behind_the_end_is_refused(running: Run) -> None:
    engine = Engine()
    engine.held = threading.Event()
    async with running(engine) as core:
        life = core._life
        waiting = asyncio.create_task(generated(core))
        await asyncio.to_thread(engine.stepped.wait, PATIENCE)
        life._wishes.put(None)
        behind = asyncio.create_task(core.ask(lambda made: 1))
        await asyncio.sleep(0)
        engine.held.set()
        for task in (waiting, behind):
            with pytest.raises(SetupError, match="stopped"):
                await task
        with pytest.raises(SetupError, match="stopped"):
            await core.ask(lambda made: 1)


async def test_a_stopped_core_may_be_started_anew(running: Run) -> None:
    async with running(Engine(AcceleratorError("lost"))) as core:
        with pytest.raises(AcceleratorError):
            await generated(core)
        await asyncio.to_thread(core.stop)
        await asyncio.to_thread(core.start)
        assert await generated(core) == 2


async def test_a_key_among_the_options_is_in_no_error(
    running: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Options(BaseModel):
        hf_token: str
        max_model_len: int

    async with running(Engine()):

        def loaded(_: VllmCore) -> Any:
            return Options.model_validate({"hf_token": {"key": "SECRET"}, "max_model_len": "much"})

        monkeypatch.setattr(VllmCore, "_loaded", loaded)
        with pytest.raises(SetupError, match=r"a-model: .*valid integer") as caught:
            await asyncio.to_thread(VllmCore(Path("a-model")).start)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None
