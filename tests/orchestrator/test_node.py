"""The wrapper around every node, seen through a graph of one."""

from __future__ import annotations

import asyncio
import logging
import operator
import threading
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from langgraph.graph import END, START
from typing_extensions import TypedDict

from affectgraph.orchestrator.compiler import compose
from affectgraph.orchestrator.control import TurnControl
from affectgraph.orchestrator.events import Fused, Omitted, Token
from affectgraph.orchestrator.node import Emit, Node, Retry
from affectgraph.orchestrator.state import LeftOut
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import InputError, MediaError, NodeError


class State(TypedDict, total=False):
    heard: str
    said: str
    count: int
    left_out: Annotated[tuple[LeftOut, ...], operator.add]
    timings_ms: Annotated[dict[str, float], operator.or_]


class Said(TypedDict):
    said: str


async def run(
    node: Node, *, control: TurnControl | None = None, **given: Any
) -> tuple[dict[str, Any], list[Any]]:
    graph: Any = compose(
        State, [node], [(START, node.name), (node.name, END)], inputs=["heard", "said", "count"]
    )
    state: dict[str, Any] = {}
    events: list[Any] = []
    async for part in graph.compile().astream(
        {"heard": "hello", **given},
        context=control,
        stream_mode=["custom", "values"],
        version="v2",
    ):
        if part["type"] == "custom":
            events.append(part["data"])
        else:
            state = part["data"]
    return state, events


async def echo(heard: str, *, emit: Emit) -> Said:
    emit(Fused(affect=None))
    return {"said": heard}


async def test_a_node_that_works_is_timed() -> None:
    state, events = await run(Node("probe", echo))
    assert state["said"] == "hello"
    assert state["timings_ms"]["probe"] >= 0
    assert state["left_out"] == ()
    assert events == [Fused(affect=None)]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (ValueError("the person said: my secret"), "ValueError"),
        (NodeError("probe", "the model is not loaded"), "node 'probe': the model is not loaded"),
    ],
)
async def test_a_failing_node_is_left_out_without_quoting_foreign_messages(
    error: Exception, detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def body() -> None:
        raise error

    with caplog.at_level(logging.DEBUG, logger="affectgraph"):
        state, events = await run(Node("probe", body))
    (left_out,) = state["left_out"]
    assert (left_out.node, left_out.reason, left_out.detail) == ("probe", "failed", detail)
    assert events == [Omitted(left_out=left_out)]
    assert "probe" in caplog.text
    assert "my secret" not in caplog.text


async def test_a_hanging_node_is_cancelled_and_left_out() -> None:
    ended = asyncio.Event()

    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    state, _ = await run(Node("probe", body, timeout=0.02))
    assert ended.is_set()
    assert state["left_out"][0].reason == "timeout"
    assert state["left_out"][0].detail == "not done after 0.02 s"


async def test_a_timeout_inside_a_node_is_a_failure_of_its_own() -> None:
    async def body() -> None:
        raise TimeoutError

    state, _ = await run(Node("probe", body, retry=Retry(attempts=1)))
    assert state["left_out"][0].reason == "failed"


async def test_something_cancelled_inside_a_node_does_not_cancel_the_turn() -> None:
    async def body() -> None:
        inner = asyncio.ensure_future(asyncio.sleep(10))
        inner.cancel()
        await inner

    state, _ = await run(Node("probe", body))
    assert state["left_out"][0].detail == "CancelledError"


async def test_cancelling_the_turn_is_not_swallowed() -> None:
    async def body() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(run(Node("probe", body)))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_degraded_result_knows_what_was_emitted() -> None:
    async def body(*, emit: Emit) -> Said:
        emit(Fused(affect=None))
        raise RuntimeError

    def degrade(*, emitted: Sequence[Any]) -> Said:
        return {"said": ",".join(event.kind for event in emitted)}

    state, _ = await run(Node("probe", body, degrade=degrade))
    assert state["said"] == "fused,omitted"


async def test_a_plain_degraded_result() -> None:
    async def body() -> Said:
        raise RuntimeError

    state, _ = await run(Node("probe", body, degrade={"said": "nothing"}))
    assert state["said"] == "nothing"


async def test_a_degrade_that_fails_leaves_the_turn_alive() -> None:
    async def body() -> Said:
        raise RuntimeError

    def degrade() -> Said:
        raise ZeroDivisionError

    state, _ = await run(Node("probe", body, degrade=degrade))
    assert "said" not in state
    assert state["left_out"][0].node == "probe"


async def test_bad_input_is_not_degraded() -> None:
    async def body() -> None:
        raise MediaError("photo.jpg", "not an image")

    with pytest.raises(MediaError, match=r"photo\.jpg: not an image"):
        await run(Node("probe", body, refuses=True))
    state, _ = await run(Node("probe", body))
    assert state["left_out"][0].detail == "photo.jpg: not an image"


@pytest.mark.parametrize(
    ("update", "detail"),
    [
        ({"said": 3}, "node 'probe': returned 'said': string type"),
        ({"sad": "x"}, "node 'probe': returned 'sad': extra forbidden"),
        ("said", "node 'probe': returned 'something': dict type"),
        ({"said": "x", "count": "3"}, "node 'probe': returned 'count': extra forbidden"),
    ],
)
async def test_what_a_node_returns_is_held_to_what_it_declares(update: Any, detail: str) -> None:
    async def body() -> Said:
        return update  # type: ignore[no-any-return]

    state, _ = await run(Node("probe", body))
    assert state["left_out"][0].detail == detail
    assert "said" not in state


async def test_what_comes_from_outside_is_held_to_its_type() -> None:
    with pytest.raises(InputError, match="node 'probe' cannot read 'heard': string type"):
        await run(Node("probe", echo), heard=3)


class Flaky:
    """Fails some times and then works."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.calls = failures, error, 0

    async def __call__(self, heard: str) -> Said:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return {"said": heard}


QUICK = Retry(attempts=3, wait=0.001)


async def test_what_may_pass_is_tried_again() -> None:
    flaky = Flaky(2, ConnectionError())
    state, _ = await run(Node("probe", flaky, retry=QUICK))
    assert state["said"] == "hello"
    assert flaky.calls == 3


async def test_not_more_often_than_asked() -> None:
    flaky = Flaky(3, ConnectionError())
    state, _ = await run(Node("probe", flaky, retry=QUICK))
    assert flaky.calls == 3
    assert state["left_out"][0].detail == "ConnectionError"


@pytest.mark.parametrize(
    "error",
    [ValueError(), NodeError("probe", "no"), RuntimeError(), KeyError("x")],
)
async def test_what_stays_wrong_is_not_tried_again(error: Exception) -> None:
    flaky = Flaky(1, error)
    await run(Node("probe", flaky, retry=QUICK))
    assert flaky.calls == 1


async def test_our_errors_say_themselves_whether_they_pass() -> None:
    flaky = Flaky(1, NodeError("probe", "busy", permanent=False))
    state, _ = await run(Node("probe", flaky, retry=QUICK))
    assert state["said"] == "hello"


async def test_nothing_is_said_twice_by_trying_again() -> None:
    calls = 0

    async def body(*, emit: Emit) -> Said:
        nonlocal calls
        calls += 1
        emit(Token(text="I hear"))
        raise ConnectionError

    _, events = await run(Node("probe", body, retry=QUICK))
    assert calls == 1
    assert [event.kind for event in events] == ["token", "omitted"]


async def test_retries_share_the_time_limit() -> None:
    flaky = Flaky(1_000, ConnectionError())
    endless = Retry(attempts=1_000, wait=0.01, longest=0.01)
    state, _ = await run(Node("probe", flaky, timeout=0.05, retry=endless))
    assert state["left_out"][0].reason == "timeout"


async def test_blocking_code_runs_on_the_pool_and_its_events_arrive() -> None:
    where = []

    def body(heard: str, *, emit: Emit) -> Said:
        where.append(threading.current_thread())
        emit(Fused(affect=None))
        return {"said": heard}

    state, events = await run(Node("probe", body, pool=BlockingPool(1)))
    assert state["said"] == "hello"
    assert [event.kind for event in events] == ["fused"]
    assert where != [threading.main_thread()]


async def test_blocking_code_that_hangs_is_left_behind() -> None:
    release = threading.Event()

    def body() -> None:
        release.wait(10)

    state, _ = await run(Node("probe", body, timeout=0.05, pool=BlockingPool(1)))
    assert state["left_out"][0].reason == "timeout"
    release.set()


async def test_a_stopped_turn_passes_nodes_over_but_for_those_that_close_it() -> None:
    control = TurnControl()
    control.stop()
    state, _ = await run(Node("probe", echo, degrade={"said": "cut"}), control=control)
    assert state["said"] == "cut"
    assert state["left_out"][0].reason == "stopped"
    state, _ = await run(Node("probe", echo, always=True), control=control)
    assert state["said"] == "hello"


async def test_stopping_a_turn_cancels_what_runs() -> None:
    control, begun = TurnControl(), asyncio.Event()

    async def body() -> Said:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(run(Node("probe", body, degrade={"said": "cut"}), control=control))
    await begun.wait()
    control.stop()
    state, _ = await task
    assert state["said"] == "cut"


async def test_what_a_person_has_received_is_counted_before_a_closing_node() -> None:
    control = TurnControl()
    seen: list[str | None] = []

    async def body(*, delivered: str | None) -> None:
        seen.append(delivered)

    control.offer(Token(text="two words"))
    task = asyncio.create_task(run(Node("probe", body, after_delivery=5), control=control))
    await asyncio.sleep(0.02)
    assert seen == []
    control.take("two ")
    control.take("words")
    await task
    assert seen == ["two words"]


async def test_a_caller_that_never_takes_what_was_said_stops_the_turn() -> None:
    control = TurnControl()
    control.offer(Token(text="words"))
    await control.handed_over(0.01)
    assert control.stopped
    assert control.delivered == ""
