"""Chat models of LangChain's: its own fakes, and its client of a real server on a socket."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from pydantic import SecretStr

from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer
from affectgraph.perceivers.errors import BackendError, SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.backends.faults import OutOfFormError
from affectgraph.reasoners.backends.langchain import LangChainBackend
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
