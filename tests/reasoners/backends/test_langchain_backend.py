"""Chat models of LangChain's: its own fakes, and its client of a real server on a socket."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableGenerator
from openai import LengthFinishReasonError
from openai.types.chat import ChatCompletion
from pydantic import SecretStr

from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer
from affectgraph.perceivers.errors import BackendError, SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.backends.faults import OutOfFormError
from affectgraph.reasoners.backends.langchain import LangChainBackend
from affectgraph.reasoners.backends.requests import LABEL_TOKENS
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.codecs import codec_named
from affectgraph.reasoners.contracts import Backend, JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import MESC_10

ASKED = (Message(role="system", content="Be kind."), Message(role="user", content="I passed!"))
FORM = JointForm(
    (
        LabelField(stage="user_emotion", labels=MESC_7),
        LabelField(stage="strategy", labels=MESC_10),
    ),
    codec_named("lines"),
)


def served(server: FakeOpenAIServer, **options: Any) -> LangChainBackend:
    from langchain_openai import ChatOpenAI

    key = SecretStr("none")
    model = ChatOpenAI(base_url=server.base_url, model="fake-model", api_key=key, max_retries=0)
    return LangChainBackend(model, **options)


def test_it_is_a_backend_that_names_its_model() -> None:
    made = LangChainBackend(FakeListChatModel(responses=["joy"]))
    assert isinstance(made, Backend)
    assert made.name == "langchain/FakeListChatModel"
    named = LangChainBackend("langchain_openai:ChatOpenAI", options={"model": "some-model"})
    assert named.name == "langchain/some-model"


def test_a_model_without_structured_output_constrains_nothing() -> None:
    assert not LangChainBackend(FakeListChatModel(responses=["joy"])).constrains


@pytest.mark.parametrize("answer", ["joy", " Joy. ", "I would say: joy!"])
async def test_a_plain_answer_is_read(answer: str) -> None:
    made = LangChainBackend(FakeListChatModel(responses=[answer]))
    assert (await made.choose(ASKED, MESC_7)).top == "joy"


@pytest.mark.parametrize("answer", ["perhaps joy or sadness", "", "bliss"])
async def test_an_answer_that_names_no_label_or_two_is_out_of_form(answer: str) -> None:
    made = LangChainBackend(FakeListChatModel(responses=[answer]))
    with pytest.raises(OutOfFormError):
        await made.choose(ASKED, MESC_7)


async def test_a_model_that_ignores_the_limit_is_cut() -> None:
    made = LangChainBackend(FakeListChatModel(responses=["one two three four five six"]))
    pieces = [piece async for piece in made.stream(ASKED, Sampling(max_tokens=3))]
    assert "".join(pieces).split() == ["one", "two", "three"]


async def test_joint_without_structured_output_rests_on_the_instruction() -> None:
    text = "User emotion: joy\nStrategy: Approval\nResponse: Well done!"
    made = LangChainBackend(FakeListChatModel(responses=[text]))
    items = [item async for item in made.stream_joint(ASKED, FORM, Sampling())]
    assert [item.label for item in items if isinstance(item, Decision)] == ["joy", "Approval"]
    assert "".join(item for item in items if isinstance(item, str)) == "Well done!"


async def test_structured_output_holds_labels_and_streams_the_joint_form() -> None:
    told: list[Usage] = []
    async with FakeOpenAIServer("Well done! What now?", prefers=["joy", "Approval"]) as server:
        made = served(server, on_usage=told.append)
        assert made.constrains
        assert (await made.choose(ASKED, MESC_7)).top == "joy"
        items = [item async for item in made.stream_joint(ASKED, FORM, Sampling())]
    assert [item.label for item in items if isinstance(item, Decision)] == ["joy", "Approval"]
    words = [item for item in items if isinstance(item, str)]
    assert "".join(words) == "Well done! What now?"
    assert len(words) > 1, "the response streams"
    assert all("response_format" in request for request in server.requests)
    assert told
    assert told[0].cached_tokens > 0


async def test_the_structured_joint_form_is_sampled_as_asked_and_has_room_for_labels() -> None:
    sampling = Sampling(max_tokens=20, temperature=0.4, top_p=0.8, seed=7)
    async with FakeOpenAIServer("Well done!", prefers=["joy", "Approval"]) as server:
        made = served(server)
        _ = [item async for item in made.stream_joint(ASKED, FORM, sampling)]
        renamed = served(server, sampling={"temperature": "temperature"})
        _ = [item async for item in renamed.stream_joint(ASKED, FORM, sampling)]
    first, second = server.requests
    assert (first["temperature"], first["top_p"], first["seed"]) == (0.4, 0.8, 7)
    room = first.get("max_tokens") or first["max_completion_tokens"]
    assert room == 20 + LABEL_TOKENS * 3
    assert second["temperature"] == 0.4
    assert not {"max_tokens", "max_completion_tokens", "top_p", "seed"} & second.keys()


async def test_a_response_is_cut_at_the_limit_in_the_structured_joint_form() -> None:
    async with FakeOpenAIServer("one two three four five six", prefers=["joy"]) as server:
        stream = served(server).stream_joint(ASKED, FORM, Sampling(max_tokens=3))
        items = [item async for item in stream]
    words = "".join(item for item in items if isinstance(item, str))
    assert words.split() == ["one", "two", "three"]


@pytest.mark.parametrize("codec", ["lines", "json"])
async def test_a_response_is_cut_at_the_limit_where_nothing_holds_the_form(codec: str) -> None:
    texts = {
        "lines": "User emotion: joy\nStrategy: Approval\nResponse: one two three four five",
        "json": '{"user_emotion": "joy", "strategy": "Approval", "response": "one two three four',
    }
    form = JointForm(FORM.fields, codec_named(codec))
    for most, said in ((3, ["one", "two", "three"]), (9, ["one", "two", "three", "four"])):
        made = LangChainBackend(FakeListChatModel(responses=[texts[codec]]))
        stream = made.stream_joint(ASKED, form, Sampling(max_tokens=most))
        words = "".join([item async for item in stream if isinstance(item, str)])
        assert words.split()[:4] == said


@pytest.mark.parametrize("begun", [True, False])
async def test_words_before_a_limit_of_tokens_stand(begun: bool) -> None:
    class Limited(FakeListChatModel):
        def with_structured_output(self, *_: Any, **__: Any) -> Any:
            return RunnableGenerator(_filling)

    async def _filling(_: Any) -> Any:
        labels = {"user_emotion": "joy", "strategy": "Approval"}
        yield labels
        if begun:
            yield {**labels, "response": "Well do"}
        usage = ChatCompletion(id="", choices=[], created=0, model="", object="chat.completion")
        raise LengthFinishReasonError(completion=usage)

    made = LangChainBackend(Limited(responses=[""]), sampling={})
    stream = made.stream_joint(ASKED, FORM, Sampling())
    if begun:
        assert "".join([item async for item in stream if isinstance(item, str)]) == "Well do"
    else:
        with pytest.raises(BackendError):
            _ = [item async for item in stream]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"n": 0}, "value_error"),
        ({"temperature": "hot"}, r"temperature \(float_parsing\)"),
        ({"model_kwargs": {"model": "y"}}, "value_error"),
        ({"api_key": {"key": "sk-SECRET"}}, "api_key"),
    ],
)
async def test_a_key_among_the_options_is_in_no_error(wrong: dict[str, object], told: str) -> None:
    options = {"api_key": "sk-SECRET", "model": "x", **wrong}
    made = LangChainBackend("langchain_openai:ChatOpenAI", options=options)
    with pytest.raises(SetupError, match=told) as setup:
        await made.warm_up()
    with pytest.raises(BackendError, match=told) as asked:
        await made.choose(ASKED, MESC_7)
    assert asked.value.permanent
    for error in (setup.value, asked.value):
        assert "SECRET" not in "".join(traceback.format_exception(error))


async def test_a_server_that_fails_is_told_by_its_class_and_quotes_nothing() -> None:
    async with FakeOpenAIServer(fault="fails") as server:
        with pytest.raises(BackendError) as caught:
            await served(server).choose(ASKED, MESC_7)
    assert type(caught.value).__name__ == "ServerFailedError"
    assert "passed" not in str(caught.value)


async def test_an_error_of_the_models_own_is_ours_without_its_text() -> None:
    class Quoting(FakeListChatModel):
        def _call(self, *args: Any, **kwargs: Any) -> str:
            raise RuntimeError("they said: I passed!")

    with pytest.raises(BackendError) as caught:
        await LangChainBackend(Quoting(responses=[""])).choose(ASKED, MESC_7)
    assert "passed" not in str(caught.value)


async def test_content_in_blocks_is_read() -> None:
    class Blocks(FakeListChatModel):
        async def ainvoke(self, *args: Any, **kwargs: Any) -> AIMessage:
            return AIMessage(
                content=[{"type": "text", "text": "jo"}, {"type": "text", "text": "y"}]
            )

    assert (await LangChainBackend(Blocks(responses=[""])).choose(ASKED, MESC_7)).top == "joy"


@pytest.mark.parametrize("where", ["os:system", "langchain_openai", "langchain_openai.ChatOpenAI"])
def test_only_classes_of_langchain_packages_are_named(where: str) -> None:
    with pytest.raises(SetupError, match="langchain_openai:ChatOpenAI"):
        LangChainBackend(where)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("langchain_absent:ChatModel", "pip install langchain-absent"),
        ("langchain_core.messages:AIMessage", "no chat model"),
    ],
)
async def test_a_class_that_is_not_there_or_no_chat_model_is_named(where: str, told: str) -> None:
    made = LangChainBackend(where, options={"content": ""})
    with pytest.raises(SetupError, match=told):
        await made.warm_up()
