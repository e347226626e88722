"""vLLM's server as a backend, against a scripted server that obeys and refuses as vLLM does."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.backends import vllm_server
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.backends.vllm_server import VllmServer
from affectgraph.reasoners.codecs import CODECS
from affectgraph.reasoners.contracts import JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision

ASKED = (Message(role="system", content="Be kind."), Message(role="user", content="I passed!"))
BEGUN = (*ASKED, Message(role="assistant", content="User emotion:"))
BRACKET = (*ASKED, Message(role="assistant", content="("))


async def test_a_label_is_read_off_one_token() -> None:
    weights = {"joy": 0.5, "neutral": 0.25, "sadness": 0.25}
    told: list[Usage] = []
    async with FakeOpenAIServer(weights=weights) as server:
        made = VllmServer(server.base_url, "fake-model", on_usage=told.append)
        chosen = await made.choose(BEGUN, MESC_7)
        await made.close()
    for label in MESC_7.labels:
        assert chosen[label] == pytest.approx(weights.get(label, 0.0), abs=1e-3)
    (request,) = server.requests
    assert request["max_tokens"] == 1
    assert request["continue_final_message"] is True
    assert len(request["logprob_token_ids"]) == len(MESC_7.labels)
    assert len(told) == 1


@pytest.mark.parametrize("prompt", [BEGUN, BRACKET, ASKED], ids=["colon", "bracket", "fresh"])
async def test_labels_that_begin_alike_cost_one_request_more(prompt: tuple[Message, ...]) -> None:
    labels = LabelSet(
        name="alike", labels=("question", "quest", "quiet", "calm"), kind="emotion", source="a test"
    )
    weights = {"question": 0.4, "quest": 0.2, "quiet": 0.1, "calm": 0.3}
    async with FakeOpenAIServer(weights=weights) as server:
        made = VllmServer(server.base_url, "fake-model")
        chosen = await made.choose(prompt, labels)
        await made.close()
    # The fake tells no weight for what ends a label, so the two longest share theirs by form.
    assert chosen["calm"] == pytest.approx(0.3, abs=0.02)
    assert chosen["quiet"] == pytest.approx(0.1, abs=0.02)
    assert len(server.requests) == 2


async def test_a_single_label_needs_no_request() -> None:
    only = MESC_7.model_copy(update={"labels": ("joy",)})
    async with FakeOpenAIServer() as server:
        made = VllmServer(server.base_url, "fake-model")
        assert (await made.choose(BEGUN, only)).top == "joy"
        await made.close()
    assert server.requests == []


async def test_scores_are_asked_for_at_once() -> None:
    async with FakeOpenAIServer(weights={"joy": 0.75, "fear": 0.25}) as server:
        made = VllmServer(server.base_url, "fake-model")
        joy, fear = await made.score("a message of", [" joy", " fear"])
        await made.close()
    assert joy > fear
    (request,) = server.requests
    assert len(request["prompt"]) == len({tuple(prompt) for prompt in request["prompt"]})


async def test_more_tokens_than_vllm_tells_at_once_are_asked_for_in_parts() -> None:
    words = [f" {a}{b}c" for a in "abcdefghijklm" for b in "nopqrstuvwxyz"]
    async with FakeOpenAIServer(weights={"anc": 1.0}) as server:
        made = VllmServer(server.base_url, "fake-model")
        scores = await made.score("a message of", words)
        await made.close()
    assert scores.index(max(scores)) == words.index(" anc")
    assert len(server.requests) == 2


@pytest.mark.parametrize("codec", sorted(CODECS))
async def test_label_by_label_a_prior_weighs_what_the_model_says(codec: str) -> None:
    prior = Distribution.over(MESC_7, {"joy": 0.2, "neutral": 0.8})
    emotion = LabelField(stage="user_emotion", labels=MESC_7, prior=prior)
    tone = LabelField(stage="system_emotion", labels=MESC_7)
    form = CODECS[codec]()
    fields = tuple(sorted((emotion, tone), key=lambda field: form.order.index(field.stage)))
    weights = {"joy": 0.5, "neutral": 0.25, "sadness": 0.25}
    async with FakeOpenAIServer("Well done!", weights=weights) as server:
        made = VllmServer(server.base_url, "fake-model", joint="labels")
        stream = made.stream_joint(ASKED, JointForm(fields, form), Sampling())
        items = [item async for item in stream]
        await made.close()
    decided = {item.stage: item for item in items if isinstance(item, Decision)}
    assert decided["user_emotion"].distribution["neutral"] == pytest.approx(2 / 3, abs=0.01)
    assert decided["user_emotion"].distribution["sadness"] == 0
    assert decided["system_emotion"].label == "joy"
    assert "".join(item for item in items if isinstance(item, str)).startswith("Well done!")
    assert [request["max_tokens"] for request in server.requests] == [1, 1, Sampling().max_tokens]


async def test_an_adapter_is_asked_by_its_name_over_the_same_connections() -> None:
    async with FakeOpenAIServer(adapters=["listening"], prefers=["joy"]) as server:
        made = VllmServer(server.base_url, "fake-model")
        adapted = made.using("listening")
        await adapted.warm_up()
        await made.choose(BEGUN, MESC_7)
        await adapted.choose(BEGUN, MESC_7)
        _ = [piece async for piece in adapted.stream(ASKED, Sampling())]
        await made.close()
    assert [request["model"] for request in server.requests] == [
        "fake-model", "listening", "listening",
    ]  # fmt: skip
    assert (made.name, adapted.name) == ("vllm/fake-model", "vllm/listening")


async def test_an_adapter_that_is_not_served_is_told_at_the_start() -> None:
    async with FakeOpenAIServer(adapters=["listening"]) as server:
        made = VllmServer(server.base_url, "fake-model").using("speaking")
        with pytest.raises(BackendError, match="fake-model, listening"):
            await made.warm_up()
        await made.close()


async def test_a_stream_that_is_left_early_has_told_its_prompt() -> None:
    told: list[Usage] = []
    async with FakeOpenAIServer("word " * 300) as server:
        made = VllmServer(server.base_url, "fake-model", on_usage=told.append)
        stream = made.stream(ASKED, Sampling(max_tokens=300))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        await made.close()
    assert [usage.prompt_tokens for usage in told] == [4]


async def test_tokens_are_counted_by_the_servers_tokenizer() -> None:
    async with FakeOpenAIServer() as server:
        made = VllmServer(server.base_url, "fake-model")
        assert await made.count_tokens(["one two", ""]) == [2, 0]
        await made.close()
    assert server.requests == []


async def test_a_text_is_counted_once_and_not_kept() -> None:
    class Counting(VllmServer):
        asked = 0

        async def _tokenize(self, body: Mapping[str, object]) -> list[int]:
            self.asked += 1
            return await super()._tokenize(body)

    said = [f"number {at} was marzipan" for at in range(5)]
    async with FakeOpenAIServer() as server:
        made = Counting(server.base_url, "fake-model")
        first = await made.count_tokens(said)
        again = await made.count_tokens([*said, "and one more"])
        assert (again[:-1], made.asked) == (first, 6)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vllm_server, "_REMEMBERED", 4)
            assert await made.count_tokens(["something new"])
            assert len(made._counts) == 4, "the oldest are forgotten"
            assert await made.count_tokens(said) == first
        await made.close()
    assert "marzipan" not in repr(vars(made))
