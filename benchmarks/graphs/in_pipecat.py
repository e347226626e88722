"""The same no-op turn as a pipecat pipeline: the same steps, fan-outs, joins and branch.

Pipecat keeps no threads; the history is kept in a dictionary. One pipeline serves all turns, as it
serves a call; a turn ends when its last frame reaches the end of the pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from affectgraph.memory.record import Cue
from affectgraph.orchestrator import Parts
from affectgraph.perceivers.turn import Turn
from affectgraph.policies.triage import accumulate
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner
from affectgraph.reasoners.plan import Decision, Plan
from benchmarks.graphs.noop import ABSENT


class PipecatTurns:
    """Takes turns through one running pipeline.

    Raises:
        ImportError: If pipecat is not installed.
    """

    def __init__(self, parts: Parts) -> None:
        loguru: Any = import_module("loguru")
        loguru.logger.disable("pipecat")
        self.pieces = 0
        self._parts = parts
        self._histories: dict[str, tuple[Exchange, ...]] = {}
        self._done: asyncio.Future[Exchange] | None = None
        self._worker: Any = None
        self._running: asyncio.Task[None] | None = None
        self._frame: Any = None

    async def open(self) -> None:
        """Start the pipeline."""
        workers: Any = import_module("pipecat.pipeline.worker")
        runners: Any = import_module("pipecat.workers.runner")
        pipeline, self._frame = _pipeline(_Steps(self._parts), self._end)
        self._worker = workers.PipelineWorker(
            pipeline, cancel_on_idle_timeout=False, enable_rtvi=False, enable_turn_tracking=False
        )
        started = asyncio.Event()

        async def began(*_: object) -> None:
            started.set()

        self._worker.add_event_handler("on_pipeline_started", began)
        runner = runners.WorkerRunner(handle_sigint=False)
        await runner.add_workers(self._worker)
        self._running = asyncio.create_task(runner.run())
        await started.wait()

    async def close(self) -> None:
        """End the pipeline."""
        frames: Any = import_module("pipecat.frames.frames")
        await self._worker.queue_frame(frames.EndFrame())
        assert self._running is not None
        await self._running

    async def take(self, turn: Turn) -> str:
        """Take one turn; the reply."""
        history = self._histories.get(turn.thread, ())
        self._done = asyncio.get_running_loop().create_future()
        await self._worker.queue_frame(
            self._frame(kind="turn", body={"turn": turn, "history": history})
        )
        exchange = await self._done
        self._histories[turn.thread] = (*history, exchange)
        return exchange.replied

    def _end(self, kind: str, body: Any) -> None:
        if kind == "token":
            self.pieces += 1
        elif kind == "exchange" and self._done is not None:
            self._done.set_result(body)


Made = AsyncIterator[tuple[str, Any]]
"""Frames that a step makes: kind and content."""


class _Steps:
    """What the processors do with the content of a frame."""

    def __init__(self, parts: Parts) -> None:
        assert isinstance(parts.reasoner, JointReasoner)
        assert parts.memory is not None
        self._parts, self._reasoner, self._memory = parts, parts.reasoner, parts.memory
        self._senses = {perceiver.modality: perceiver for perceiver in parts.perceivers}

    async def admit(self, state: Any) -> Made:
        turn = state["turn"]
        self._parts.safety.disclosure.notices(turn.at, None, turn.text, ())
        yield "admitted", state

    async def text(self, state: Any) -> Made:
        yield "read", {**state, "reading": await self._senses["text"].perceive(state["turn"])}

    async def face(self, state: Any) -> Made:
        turn = state["turn"]
        reading = await self._senses["face"].perceive(turn) if turn.images else ABSENT["face"]
        yield "read", {**state, "reading": reading}

    async def speech(self, state: Any) -> Made:
        turn = state["turn"]
        reading = await self._senses["speech"].perceive(turn) if turn.audio else ABSENT["speech"]
        yield "read", {**state, "reading": reading}

    async def fuse(self, states: Any) -> Made:
        affect = await self._parts.fusion.fuse(tuple(state["reading"] for state in states))
        yield "fused", {**states[0], "affect": affect}

    async def triage(self, state: Any) -> Made:
        yield "weighed", {**state, "risk": self._parts.safety.triage.assess(state["turn"].text)}

    async def recall(self, state: Any) -> Made:
        turn = state["turn"]
        cue = Cue(user=turn.user, text=turn.text, affect=state["affect"])
        yield "weighed", {**state, "recalled": tuple(await self._memory.recall(cue))}

    async def escalate(self, states: Any) -> Made:
        state = {**states[0], **states[1]}
        yield ("crisis" if accumulate(0, state["risk"]) >= 3 else "calm"), state

    async def crisis(self, state: Any) -> Made:
        said = self._parts.safety.crisis.respond(state["risk"]).text
        yield "said", {**state, "said": said, "plan": Plan()}

    async def reason(self, state: Any) -> Made:
        context = ReasoningContext(
            utterance=state["turn"].text,
            affect=state["affect"],
            recollections=state["recalled"],
            history=state["history"],
        )
        plan, pieces = Plan(), []
        async for item in self._reasoner.reason(context):
            if isinstance(item, Decision):
                plan = plan.deciding(item)
            else:
                pieces.append(item)
                yield "token", item
        yield "said", {**state, "said": "".join(pieces), "plan": plan}

    async def remember(self, state: Any) -> Made:
        said = Exchange(said=state["turn"].text, replied=state["said"], plan=state["plan"])
        yield "exchange", said


def _pipeline(steps: _Steps, end: Callable[[str, Any], None]) -> tuple[Any, Any]:
    """The pipeline, and the class of its frames."""
    frames: Any = import_module("pipecat.frames.frames")
    parallel: Any = import_module("pipecat.pipeline.parallel_pipeline")
    serial: Any = import_module("pipecat.pipeline.pipeline")
    processor: Any = import_module("pipecat.processors.frame_processor")

    @dataclass
    class Passed(frames.DataFrame):  # type: ignore[misc]
        kind: str = ""
        body: Any = None

    class Step(processor.FrameProcessor):  # type: ignore[misc]
        """Makes frames of one kind of frame, or of so many together; passes all others on."""

        def __init__(self, kind: str, body: Callable[[Any], Made], together: int = 0) -> None:
            super().__init__()
            self._kind, self._body, self._together = kind, body, together
            self._held: list[Any] = []

        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if not isinstance(frame, Passed) or frame.kind != self._kind:
                await self.push_frame(frame, direction)
                return
            body = frame.body
            if self._together:
                self._held.append(body)
                if len(self._held) < self._together:
                    return
                body, self._held = self._held, []
            async for kind, made in self._body(body):
                await self.push_frame(Passed(kind=kind, body=made), direction)

    class Sink(processor.FrameProcessor):  # type: ignore[misc]
        async def process_frame(self, frame: Any, direction: Any) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, Passed):
                end(frame.kind, frame.body)
            else:
                await self.push_frame(frame, direction)

    senses = (steps.text, steps.face, steps.speech)
    pipeline = serial.Pipeline(
        [
            Step("turn", steps.admit),
            parallel.ParallelPipeline(*([Step("admitted", sense)] for sense in senses)),
            Step("read", steps.fuse, together=len(senses)),
            parallel.ParallelPipeline([Step("fused", steps.triage)], [Step("fused", steps.recall)]),
            Step("weighed", steps.escalate, together=2),
            Step("crisis", steps.crisis),
            Step("calm", steps.reason),
            Step("said", steps.remember),
            Sink(),
        ]
    )
    return pipeline, Passed
