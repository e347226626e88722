from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from typing_extensions import TypedDict

from affectgraph.orchestrator.events import Event, Fused, Omitted, Token
from affectgraph.orchestrator.node import Emit, Node, Retry
from affectgraph.orchestrator.testing import NodeRun, run_node
from affectgraph.perceivers.affect import Affect
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import BuildError, InputError, MediaError

QUICK = Retry(attempts=2, wait=0.001)


class Summary(TypedDict):
    summary: str


async def summarise(utterance: str, affect: Affect | None = None, *, emit: Emit) -> Summary:
    emit(Fused(affect=affect))
    return {"summary": utterance.upper()}


async def test_a_run_holds_the_update_and_the_events_apart_from_the_wrappers_own_keys() -> None:
    run = await run_node(Node("summarise", summarise), utterance="hello")
    assert dict(run.update) == {"summary": "HELLO"}
    assert run.events == (Fused(affect=None),)
    assert run.left_out is None
    assert run.timings_ms["summarise"] >= 0


async def test_a_run_is_frozen() -> None:
    run = await run_node(Node("summarise", summarise), utterance="hello")
    with pytest.raises(AttributeError):
        run.left_out = None  # type: ignore[misc]
    with pytest.raises(TypeError):
        run.update["summary"] = ""  # type: ignore[index]


async def test_a_key_that_the_node_does_not_read_is_refused() -> None:
    with pytest.raises(BuildError, match="does not read utterence; it reads: affect, utterance"):
        await run_node(Node("summarise", summarise), utterence="hello")


async def test_a_value_of_another_type_is_refused_without_being_quoted() -> None:
    with pytest.raises(InputError, match=r"cannot read 'utterance'") as caught:
        await run_node(Node("summarise", summarise), utterance=["my secret"])
    assert "secret" not in str(caught.value)


async def test_a_key_that_is_missing_leaves_the_node_out() -> None:
    run = await run_node(Node("summarise", summarise, degrade={"summary": ""}))
    assert run.left_out is not None
    assert "reads 'utterance'" in run.left_out.detail
    assert dict(run.update) == {"summary": ""}


@pytest.mark.parametrize("fault", ["fails", "hangs"])
async def test_a_fault_is_degraded_and_told(fault: str) -> None:
    async def broken(utterance: str, *, emit: Emit) -> Summary:
        emit(Token(text=utterance))
        if fault == "hangs":
            await asyncio.Event().wait()
        raise RuntimeError(utterance)

    def degrade(emitted: Sequence[Event]) -> Summary:
        return {"summary": f"after {len(emitted)}"}

    node = Node("probe", broken, timeout=0.02, degrade=degrade, retry=QUICK)
    run = await run_node(node, utterance="hello")
    assert run.left_out is not None
    assert run.left_out.reason == ("timeout" if fault == "hangs" else "failed")
    assert [type(event) for event in run.events] == [Token, Omitted]
    assert dict(run.update) == {"summary": "after 2"}


async def test_an_output_that_was_not_declared_leaves_the_node_out() -> None:
    async def strays() -> Summary:
        return {"summary": "", "other": 1}  # type: ignore[typeddict-unknown-key]

    run = await run_node(Node("strays", strays, retry=QUICK))
    assert run.left_out is not None
    assert "'other': extra forbidden" in run.left_out.detail


async def test_what_fails_once_is_tried_again() -> None:
    tries = []

    async def flaky() -> Summary:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError
        return {"summary": "done"}

    run = await run_node(Node("flaky", flaky, retry=QUICK))
    assert len(tries) == 2
    assert run.left_out is None


async def test_a_blocking_body_runs_on_its_pool() -> None:
    def blocking(utterance: str, *, emit: Emit) -> Summary:
        emit(Fused(affect=None))
        return {"summary": utterance}

    run = await run_node(Node("blocking", blocking, pool=BlockingPool(1)), utterance="hello")
    assert dict(run.update) == {"summary": "hello"}
    assert run.events == (Fused(affect=None),)


async def test_what_was_delivered_is_given_to_a_node_that_asks() -> None:
    async def closing(delivered: str | None, *, emit: Emit) -> Summary:
        emit(Token(text=" More."))
        return {"summary": delivered or ""}

    run = await run_node(Node("closing", closing, after_delivery=1.0), delivered="I hear you.")
    assert dict(run.update) == {"summary": "I hear you."}


async def test_events_of_a_run_that_raises_are_kept() -> None:
    async def refusing(*, emit: Emit) -> Summary:
        emit(Fused(affect=None))
        raise MediaError("photo.jpg", "not an image")

    events: list[Any] = []
    with pytest.raises(MediaError):
        await run_node(Node("refusing", refusing, refuses=True), events=events)
    assert events == [Fused(affect=None)]


async def test_a_cancelled_run_cancels_the_body() -> None:
    ended = asyncio.Event()

    async def hanging() -> Summary:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {"summary": ""}

    task: asyncio.Task[NodeRun] = asyncio.ensure_future(run_node(Node("hanging", hanging)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
