"""How servers fail, over real sockets: what is asked again, and where."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer, HttpFault
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.backends.faults import (
    BusyError,
    OutOfFormError,
    RefusedError,
    ServerFailedError,
    SilentError,
    StreamCutError,
    UnreachableError,
    retry_after,
)
from affectgraph.reasoners.backends.openai import OpenAIBackend
from affectgraph.reasoners.backends.vllm_server import VllmServer
from affectgraph.reasoners.contracts import Message, Sampling

ASKED = (Message(role="system", content="Be kind."), Message(role="user", content="marzipan"))


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address that refuses: the port is bound and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


async def said(backend: OpenAIBackend) -> str:
    try:
        return "".join([piece async for piece in backend.stream(ASKED, Sampling())])
    finally:
        await backend.close()


async def fault(backend: OpenAIBackend) -> BackendError:
    with pytest.raises(BackendError) as caught:
        await said(backend)
    assert "marzipan" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("trouble", "kind", "requests"),
    [
        ("silent", SilentError, 1),  # it has cost its time once
        ("fails", ServerFailedError, 3),
        ("malformed", OutOfFormError, 1),
        ("empty", None, 1),  # a stream without a word: whoever reads it decides
    ],
)
async def test_each_fault_of_a_stream_has_its_class_and_its_number_of_tries(
    trouble: HttpFault, kind: type[BackendError] | None, requests: int
) -> None:
    async with FakeOpenAIServer(fault=trouble) as server:
        backend = VllmServer(server.base_url, "fake-model", timeout=0.3, waits=(0.0, 0.0))
        if kind is None:
            assert await said(backend) == ""
        else:
            assert type(await fault(backend)) is kind
    assert len(server.requests) == requests


@pytest.mark.parametrize("trouble", ["malformed", "wrong label", "empty"])
async def test_a_label_that_cannot_be_read_is_an_answer_out_of_form(trouble: HttpFault) -> None:
    async with FakeOpenAIServer(fault=trouble, prefers=["joy"]) as server:
        for backend in (
            VllmServer(server.base_url, "fake-model"),
            OpenAIBackend(server.base_url, "fake-model"),
            OpenAIBackend(server.base_url, "fake-model", structured="json_schema"),
        ):
            before = len(server.requests)
            with pytest.raises(OutOfFormError):
                await backend.choose(ASKED, MESC_7)
            await backend.close()
            assert len(server.requests) == before + 1


async def test_a_refused_connection_is_unreachable(nowhere: str) -> None:
    assert type(await fault(VllmServer(nowhere, "m", waits=(0.0,)))) is UnreachableError


async def test_a_stream_that_breaks_off_is_cut() -> None:
    async with FakeOpenAIServer(cut_after=2) as server:
        backend = VllmServer(server.base_url, "fake-model")
        assert type(await fault(backend)) is StreamCutError
    assert len(server.requests) == 1


async def test_silence_in_the_middle_of_a_stream_is_told() -> None:
    async with FakeOpenAIServer(seconds_per_token=5) as server:
        assert type(await fault(VllmServer(server.base_url, "fake-model", timeout=0.3))) in (
            SilentError, StreamCutError,
        )  # fmt: skip


async def test_a_wrong_key_is_refused_once() -> None:
    async with FakeOpenAIServer(statuses=[401]) as server:
        found = await fault(VllmServer(server.base_url, "fake-model"))
    assert type(found) is RefusedError
    assert found.permanent
    assert len(server.requests) == 1


async def test_retry_after_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await real(0)

    async with FakeOpenAIServer(statuses=[429], retry_after=3, seconds_to_first=0) as server:
        backend = VllmServer(server.base_url, "fake-model", waits=(0.01,))
        monkeypatch.setattr("affectgraph.reasoners.backends.servers.asyncio.sleep", sleep)
        assert await said(backend)
    assert 3 in slept


async def test_who_asks_for_more_patience_than_there_is_is_not_asked_again() -> None:
    async with FakeOpenAIServer(statuses=[429] * 5, retry_after=600) as server:
        found = await fault(VllmServer(server.base_url, "fake-model", longest_wait=1))
    assert isinstance(found, BusyError)
    assert found.retry_after == 600
    assert not found.permanent
    assert len(server.requests) == 1


@pytest.mark.parametrize("trouble", ["silent", "fails"])
async def test_another_server_takes_over_and_the_first_is_left_alone(
    trouble: HttpFault, nowhere: str
) -> None:
    async with FakeOpenAIServer(fault=trouble) as bad, FakeOpenAIServer("I hear you.") as good:
        urls = [nowhere, bad.base_url, good.base_url]
        backend = VllmServer(urls, "fake-model", timeout=1.5, waits=())
        for _ in range(4):
            pieces = [piece async for piece in backend.stream(ASKED, Sampling())]
            assert "".join(pieces) == "I hear you."
        await backend.close()
    assert len(bad.requests) == 1
    assert len(good.requests) == 4


async def test_a_conversation_stays_with_its_server() -> None:
    async with FakeOpenAIServer() as one, FakeOpenAIServer() as two:
        backend = VllmServer([one.base_url, two.base_url], "fake-model")
        for talk in range(4):
            messages = [Message(role="user", content=f"Talk {talk}.")]
            for turn in range(3):
                _ = [piece async for piece in backend.stream(messages, Sampling())]
                begun = Message(role="assistant", content="User emotion:")
                await backend.choose([*messages, begun], MESC_7)
                messages += [
                    Message(role="assistant", content="I hear you."),
                    Message(role="user", content=f"Turn {turn}."),
                ]
        await backend.close()
    for server in (one, two):
        talks = {body["messages"][0]["content"] for body in server.requests}
        assert len(talks) == 2
        assert len(server.requests) == 12


async def test_what_is_refused_goes_to_no_other_server() -> None:
    async with FakeOpenAIServer(statuses=[400]) as one, FakeOpenAIServer(statuses=[400]) as two:
        await fault(VllmServer([one.base_url, two.base_url], "fake-model"))
    assert len(one.requests) + len(two.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("1.5", 1.5), ("soon", None), ("-4", 0.0), ("inf", None)],
)
def test_retry_after_is_read(header: str | None, seconds: float | None) -> None:
    assert retry_after({} if header is None else {"retry-after": header}) == seconds


def test_retry_after_may_be_a_date() -> None:
    told = retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert told == 0.0
