from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.backends.openai import OpenAIBackend
from affectgraph.reasoners.backends.requests import Structured
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.codecs import codec_named
from affectgraph.reasoners.contracts import Backend, JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import MESC_10

ASKED = (Message(role="system", content="Be kind."), Message(role="user", content="I passed!"))
BEGUN = (*ASKED, Message(role="assistant", content="User emotion:"))
FIELDS = (
    LabelField(stage="user_emotion", labels=MESC_7),
    LabelField(stage="strategy", labels=MESC_10),
    LabelField(
        stage="system_emotion",
        labels=MESC_7,
        prior=Distribution.over(MESC_7, {"joy": 1, "neutral": 1}),
    ),
)
FORM = JointForm(FIELDS, codec_named("lines"))


def backend(
    server: FakeOpenAIServer,
    *,
    structured: Structured = "vllm",
    waits: Sequence[float] = (0.0, 0.0),
    told: list[Usage] | None = None,
) -> OpenAIBackend:
    return OpenAIBackend(
        server.base_url,
        "fake-model",
        structured=structured,
        waits=waits,
        timeout=5,
        on_usage=None if told is None else told.append,
    )


async def test_it_is_a_backend_and_names_itself() -> None:
    made = OpenAIBackend("http://127.0.0.1:9/v1", "m")
    assert isinstance(made, Backend)
    assert (made.name, made.provider, made.model) == ("vllm/m", "vllm", "m")


async def test_warm_up_checks_the_model() -> None:
    async with FakeOpenAIServer(model="other") as server:
        made = backend(server)
        with pytest.raises(BackendError, match="serves other") as caught:
            await made.warm_up()
        assert caught.value.permanent
        await made.close()


async def test_a_server_that_is_not_there_is_named() -> None:
    made = OpenAIBackend("http://127.0.0.1:9/v1", "m", waits=(), timeout=5)
    with pytest.raises(BackendError, match=r"cannot reach http://127\.0\.0\.1:9/v1") as caught:
        await made.warm_up()
    assert not caught.value.permanent
    await made.close()


async def test_choose_constrains_and_continues_the_assistants_message() -> None:
    async with FakeOpenAIServer(prefers=["joy"]) as server:
        made = backend(server)
        chosen = await made.choose(BEGUN, MESC_7)
        await made.close()
    assert chosen == Distribution.certain(MESC_7, "joy")
    (request,) = server.requests
    assert request["structured_outputs"] == {"choice": [f" {label}" for label in MESC_7.labels]}
    assert request["continue_final_message"] is True
    assert request["add_generation_prompt"] is False


async def test_choose_gives_a_distribution_where_log_probabilities_come() -> None:
    weights = {"joy": 0.5, "neutral": 0.25, "chatter": 0.25}  # the last is no label
    async with FakeOpenAIServer(prefers=["joy"], weights=weights) as server:
        made = backend(server)
        chosen = await made.choose(ASKED, MESC_7)
        await made.close()
    assert chosen["joy"] == pytest.approx(2 / 3)
    assert chosen["neutral"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("structured", ["json_schema", "none"])
async def test_other_servers_are_asked_in_their_own_form(structured: Structured) -> None:
    async with FakeOpenAIServer(prefers=["fear"], free_text=" Fear. ") as server:
        made = backend(server, structured=structured)
        assert (await made.choose(BEGUN, MESC_7)).top == "fear"
        await made.close()
    (request,) = server.requests
    assert "structured_outputs" not in request
    assert "continue_final_message" not in request
    assert {message["role"] for message in request["messages"]} == {"system", "user"}
    assert ("response_format" in request) == (structured == "json_schema")


async def test_an_answer_that_is_no_label_is_an_error() -> None:
    async with FakeOpenAIServer(free_text="Well, perhaps joy or so") as server:
        made = backend(server, structured="none", waits=())
        with pytest.raises(BackendError, match="no label of mesc-7"):
            await made.choose(ASKED, MESC_7)
        await made.close()


async def test_stream_gives_pieces_and_usage() -> None:
    told: list[Usage] = []
    async with FakeOpenAIServer(says="How good. What now?") as server:
        made = backend(server, told=told)
        pieces = [piece async for piece in made.stream(ASKED, Sampling(max_tokens=50, seed=7))]
        await made.close()
    assert "".join(pieces) == "How good. What now?"
    assert len(pieces) == 4
    assert told == [Usage(prompt_tokens=4, completion_tokens=4, cached_tokens=2)]
    (request,) = server.requests
    assert request["seed"] == 7
    assert request["repetition_penalty"] == 1.15


async def test_joint_is_one_request_and_obeys_order_and_prior() -> None:
    order = (FIELDS[1], FIELDS[2], FIELDS[0])
    form = JointForm(order, codec_named("lines", [*(field.stage for field in order), "response"]))
    async with FakeOpenAIServer("Well done!", prefers=["joy", "Approval"]) as server:
        made = backend(server)
        items = [item async for item in made.stream_joint(ASKED, form, Sampling())]
        await made.close()
    decisions = [item for item in items if isinstance(item, Decision)]
    assert [(d.stage, d.label) for d in decisions] == [
        ("strategy", "Approval"), ("system_emotion", "joy"), ("user_emotion", "joy"),
    ]  # fmt: skip
    assert items[:3] == decisions
    assert "".join(item for item in items if isinstance(item, str)) == "Well done!"
    (request,) = server.requests
    assert (
        "anger"
        not in request["structured_outputs"]["regex"].split("System emotion")[1].split("\\n")[0]
    )


async def test_joint_without_constraints_rests_on_the_instruction() -> None:
    text = "User emotion: joy\nStrategy: Approval\nSystem emotion: joy\nResponse: Well done!"
    async with FakeOpenAIServer(free_text=text) as server:
        made = backend(server, structured="none")
        items = [item async for item in made.stream_joint(ASKED, FORM, Sampling())]
        await made.close()
    assert [i.label for i in items if isinstance(i, Decision)] == ["joy", "Approval", "joy"]
    assert "Strategy: one of" in server.requests[0]["messages"][-1]["content"]


async def test_joint_out_of_form_is_an_error() -> None:
    async with FakeOpenAIServer(free_text="I am glad to hear that!\nTell me more.") as server:
        made = backend(server, structured="none")
        with pytest.raises(BackendError, match="User emotion"):
            _ = [item async for item in made.stream_joint(ASKED, FORM, Sampling())]
        await made.close()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_fails_in_passing_is_tried_again(status: int) -> None:
    async with FakeOpenAIServer(statuses=[status, status]) as server:
        made = backend(server)
        assert [piece async for piece in made.stream(ASKED, Sampling())]
        await made.close()
    assert len(server.requests) == 3


async def test_tries_end() -> None:
    async with FakeOpenAIServer(statuses=[503] * 9) as server:
        made = backend(server)
        with pytest.raises(BackendError, match="HTTP 503") as caught:
            await made.choose(ASKED, MESC_7)
        await made.close()
    assert not caught.value.permanent
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_what_cannot_succeed_is_not_tried_again(status: int) -> None:
    async with FakeOpenAIServer(statuses=[status]) as server:
        made = backend(server)
        with pytest.raises(BackendError, match=f"HTTP {status}") as caught:
            await made.choose(ASKED, MESC_7)
        await made.close()
    assert caught.value.permanent
    assert len(server.requests) == 1


async def test_a_connection_that_breaks_mid_stream_is_not_tried_again() -> None:
    async with FakeOpenAIServer(cut_after=3) as server:
        made = backend(server)
        pieces: list[str] = []

        async def listen() -> None:
            async for piece in made.stream(ASKED, Sampling()):
                pieces.append(piece)  # noqa: PERF401 - kept although the loop raises

        with pytest.raises(BackendError, match="broke off"):
            await listen()
        await made.close()
    assert len(pieces) == 3
    assert len(server.requests) == 1


async def test_closing_the_stream_ends_the_request() -> None:
    async with FakeOpenAIServer(says="word " * 500, seconds_per_token=0.01) as server:
        made = backend(server)
        async with aclosing(made.stream(ASKED, Sampling(max_tokens=500))) as pieces:  # type: ignore[type-var]
            await anext(pieces)
        await asyncio.wait_for(server.left.wait(), 10)
        await made.close()
    assert server.abandoned == 1


async def test_the_fake_refuses_what_vllm_ignores_or_refuses() -> None:
    async with FakeOpenAIServer() as server:
        refused: tuple[dict[str, object], ...] = (
            {"guided_choice": ["a", "b"]},
            {"structured_outputs": {"choice": ["a"], "regex": "a"}},
            {"structured_outputs": {}},
            {"structured_outputs": {"choices": ["a"]}},
        )
        for extra in refused:
            made = OpenAIBackend(server.base_url, "fake-model", extra=extra, structured="none")
            with pytest.raises(BackendError, match="HTTP 400"):
                _ = [piece async for piece in made.stream(ASKED, Sampling())]
            await made.close()
