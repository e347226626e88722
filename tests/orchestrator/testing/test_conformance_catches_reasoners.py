"""Stages and reasoners, each with one fault, and the check that finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from affectgraph.orchestrator.testing import (
    ScriptedHead,
    ScriptedReasoner,
    ScriptedResponse,
    ScriptedStage,
    conformance,
)
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.joint_reasoner import (
    JointReasonerOverBackendSuite,
)
from affectgraph.orchestrator.testing.conformance.label_stage import LabelStageOverBackendSuite
from affectgraph.orchestrator.testing.conformance.response_stage import (
    ResponseStageOverBackendSuite,
)
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, Message, Sampling
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import ESCONV_8

Failing = Callable[[type[Suite[Any, Any, Any]]], set[str]]

ANSWERS = "test_answers_keep_the_contract"
ODD = "test_odd_input_is_answered"
CLOSING = "test_closing_stops_the_backend"
TOLD = "test_a_failing_backend_is_told_in_our_errors"


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """The suites look for blocking calls themselves."""


class Stage(ScriptedStage):
    """Decides the user's emotion, with a fault where it was perceived."""

    def __init__(self, spoil: Callable[[Decision], Any] = lambda decision: decision) -> None:
        super().__init__("user_emotion", "sadness", seconds=0.002)
        self._spoil = spoil

    async def decide(self, context: ReasoningContext) -> Decision:
        decision = await super().decide(context)
        spoilt: Decision = self._spoil(decision) if context.affect else decision
        return spoilt


def over_strategies(decision: Decision) -> Decision:
    belief = Distribution.certain(ESCONV_8, "Question")
    return decision.model_copy(update={"distribution": belief, "label": "Question"})


def over_two_labels(decision: Decision) -> Decision:
    few = LabelSet(name="mesc-7", kind="emotion", labels=("sadness", "joy"), source="cut")
    return decision.model_copy(update={"distribution": Distribution.certain(few, "sadness")})


STAGES: list[tuple[Callable[[Decision], Any], set[str]]] = [
    (lambda d: d.model_copy(update={"stage": "strategy"}), {ANSWERS}),
    (lambda d: d.model_copy(update={"label": "joy"}), {ANSWERS}),
    (lambda d: d.model_copy(update={"source": ""}), {ANSWERS}),
    (over_strategies, {ANSWERS, "test_its_label_set_is_always_the_same"}),
    (over_two_labels, {ANSWERS, "test_its_label_set_is_always_the_same"}),
]


@pytest.mark.parametrize(("spoil", "checks"), STAGES)
def test_a_fault_of_a_label_stage_is_found(
    spoil: Callable[[Decision], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.label_stage(lambda: Stage(spoil))) == checks


class Head(ScriptedHead):
    def __init__(self, spoil: Callable[[Distribution], Any]) -> None:
        super().__init__({"sadness": 1.0}, labels=MESC_7)
        self._spoil = spoil

    async def read(self, context: ReasoningContext) -> Distribution | None:
        told = await super().read(context)
        assert told is not None
        spoilt: Distribution | None = self._spoil(told)
        return spoilt


HEADS: list[tuple[Callable[[Distribution], Any], set[str]]] = [
    (lambda d: d, set()),
    (lambda d: d.model_copy(update={"probs": (3.0, *d.probs[1:])}), {ANSWERS, ODD}),
    (lambda d: Distribution.certain(ESCONV_8, "Question"), {ANSWERS, ODD}),
    (lambda d: None, {"test_it_has_something_to_go_by"}),
]


@pytest.mark.parametrize(("spoil", "checks"), HEADS)
def test_a_fault_of_a_label_head_is_found(
    spoil: Callable[[Distribution], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.label_head(lambda: Head(spoil))) == checks


def test_a_head_that_changes_its_label_is_found() -> None:
    made: list[ScriptedHead] = []

    def make() -> ScriptedHead:
        made.append(ScriptedHead(labels=MESC_7 if made else ESCONV_8))
        return made[-1]

    with pytest.raises(conformance.NonconformityError, match="always the same"):
        conformance.label_head(make)().test_it_says_what_it_reads()


def test_a_stage_that_only_knows_itself_later_is_found() -> None:
    made: list[Stage] = []

    def make() -> Stage:
        stage = Stage()
        stage.stage = "strategy" if made else "user_emotion"
        made.append(stage)
        return stage

    with pytest.raises(conformance.NonconformityError, match="always the same"):
        conformance.label_stage(make)().test_its_stage_is_known_and_constant()


class Chooses:
    """A label stage over a backend."""

    stage = "user_emotion"

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def decide(self, context: ReasoningContext) -> Decision:
        prompt = (Message(role="user", content=context.utterance),)
        belief = await self.backend.choose(prompt, MESC_7)
        return Decision(
            stage="user_emotion", distribution=belief, label=belief.top, source="chooses"
        )


class MakesOneUp(Chooses):
    async def decide(self, context: ReasoningContext) -> Decision:
        try:
            return await super().decide(context)
        except BackendError:
            belief = Distribution.certain(MESC_7, "neutral")
            return Decision(
                stage="user_emotion", distribution=belief, label="neutral", source="guess"
            )


class RaisesAForeignError(Chooses):
    async def decide(self, context: ReasoningContext) -> Decision:
        try:
            return await super().decide(context)
        except Exception as error:
            raise RuntimeError("no answer") from error


@pytest.mark.parametrize(
    ("stage", "checks"), [(Chooses, set()), (MakesOneUp, {TOLD}), (RaisesAForeignError, {TOLD})]
)
def test_what_a_stage_does_when_its_backend_fails(
    stage: Callable[..., Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.label_stage(stage)) == checks


class Speaks:
    """A response stage over a backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def respond(self, context: ReasoningContext) -> AsyncIterator[Any]:
        async with aclosing(self.source(context)) as pieces:
            async for piece in pieces:
                yield piece

    def source(self, context: ReasoningContext) -> Any:
        return self.backend.stream(
            (Message(role="user", content=context.utterance),), Sampling(max_tokens=20)
        )


class LeavesItsSourceOpen(Speaks):
    async def respond(self, context: ReasoningContext) -> AsyncIterator[Any]:
        async for piece in self.source(context):
            yield piece


class PumpsInATask(Speaks):
    async def respond(self, context: ReasoningContext) -> AsyncIterator[Any]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        async def pump() -> None:
            try:
                async for piece in self.source(context):
                    queue.put_nowait(piece)
                # A model that speaks on, for anybody or nobody.
                await asyncio.sleep(0.08)
            finally:
                queue.put_nowait(None)

        self.task = asyncio.create_task(pump())
        while (piece := await queue.get()) is not None:
            yield piece


class SpeaksInBytes(Speaks):
    async def respond(self, context: ReasoningContext) -> AsyncIterator[Any]:
        async with aclosing(self.source(context)) as pieces:
            async for piece in pieces:
                yield piece.encode() if context.affect else piece


class SaysNothing(Speaks):
    async def respond(self, context: ReasoningContext) -> AsyncIterator[Any]:
        async with aclosing(super().respond(context)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                yield "" if context.affect else piece


class FallsSilent(Speaks):
    async def respond(self, context: ReasoningContext) -> AsyncIterator[Any]:
        try:
            async with aclosing(super().respond(context)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    yield piece
        except BackendError:
            yield "I hear you."


class CannotBeClosed(Speaks):
    def respond(self, context: ReasoningContext) -> Any:
        return _Bare(super().respond(context))


class _Bare:
    def __init__(self, source: AsyncIterator[Any]) -> None:
        self._source = source

    def __aiter__(self) -> _Bare:
        return self

    async def __anext__(self) -> Any:
        return await anext(self._source)


class ComesBackAfterClosing(Speaks):
    def respond(self, context: ReasoningContext) -> Any:
        return _Undead(super().respond(context))


class _Undead(_Bare):
    closed = False

    async def aclose(self) -> None:
        self.closed = True
        await self._source.aclose()  # type: ignore[attr-defined]

    async def __anext__(self) -> Any:
        return "again" if self.closed else await super().__anext__()


RESPONSES: list[tuple[Callable[..., Any], set[str]]] = [
    (Speaks, set()),
    (LeavesItsSourceOpen, {CLOSING}),
    (SpeaksInBytes, {ANSWERS}),
    (SaysNothing, {ANSWERS}),
    (FallsSilent, {TOLD}),
    (ComesBackAfterClosing, {"test_closing_ends_the_stream"}),
]


@pytest.mark.parametrize(("stage", "checks"), RESPONSES)
def test_a_fault_of_a_response_stage_is_found(
    stage: Callable[..., Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.response_stage(stage)) == checks


@pytest.mark.parametrize(
    ("stage", "checks"),
    [
        (
            PumpsInATask,
            {"test_closing_ends_the_stream", CLOSING, "test_nothing_is_left_running"},
        ),
        (CannotBeClosed, {ANSWERS, "test_closing_ends_the_stream"}),
    ],
)
def test_a_stream_that_cannot_be_stopped_is_found(
    stage: Callable[..., Any], checks: set[str], failing: Failing
) -> None:
    assert checks <= failing(conformance.response_stage(stage))


class Reasons(ScriptedReasoner):
    """A joint reasoner with a fault where the emotion was perceived."""

    def __init__(self, spoil: Callable[[list[Any]], list[Any]]) -> None:
        super().__init__("I hear you.", seconds_per_word=0.001)
        self._spoil = spoil

    async def reason(self, context: ReasoningContext) -> AsyncIterator[Any]:
        items = [item async for item in super().reason(context)]
        for item in self._spoil(items) if context.affect else items:
            yield item


class RaisesWhenClosedTwice(ScriptedReasoner):
    shut = False

    async def close(self) -> None:
        if self.shut:
            raise RuntimeError
        self.shut = True


REASONERS: list[tuple[Callable[..., Any], set[str]]] = [
    (lambda: Reasons(lambda items: items), set()),
    (lambda: Reasons(lambda items: items[::-1]), {ANSWERS}),
    (lambda: Reasons(lambda items: [items[0], *items]), {ANSWERS}),
    (lambda: Reasons(lambda items: items[:3]), {ANSWERS}),
    (lambda: Reasons(lambda items: [*items, None]), {ANSWERS}),
    (RaisesWhenClosedTwice, {"test_closing_the_reasoner_is_safe"}),
]


@pytest.mark.parametrize(("make", "checks"), REASONERS)
def test_a_fault_of_a_joint_reasoner_is_found(
    make: Callable[..., Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.joint_reasoner(make)) == checks


def test_every_check_of_its_own_finds_something() -> None:
    tables = [*STAGES, *RESPONSES, *REASONERS]
    found = {check for *_, checks in tables for check in checks} | {TOLD}
    shared = {name for name in dir(AsyncSuite) if name.startswith("test_")}
    own = {
        name
        for suite in (
            LabelStageOverBackendSuite,
            ResponseStageOverBackendSuite,
            JointReasonerOverBackendSuite,
        )
        for name in dir(suite)
        if name.startswith("test_")
    }
    assert own - shared - {"test_its_stage_is_known_and_constant"} <= found


def test_a_scripted_response_passes_without_a_backend(failing: Failing) -> None:
    assert failing(conformance.response_stage(ScriptedResponse)) == set()
