"""A real vLLM server: the suite of backends, and what only its own counters can show."""

from __future__ import annotations

import json
from typing import Any

import pytest

from affectgraph.orchestrator.testing.conformance.backend import BackendThatFailsSuite
from affectgraph.orchestrator.testing.vllm_process import VllmAt
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.backends.langchain import LangChainBackend
from affectgraph.reasoners.backends.openai import OpenAIBackend
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.backends.vllm_server import VllmServer
from affectgraph.reasoners.codecs import CODECS
from affectgraph.reasoners.contracts import Backend, JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10

pytestmark = pytest.mark.vllm

NOWHERE = "http://127.0.0.1:9/v1"
ASKED = (
    Message(role="system", content="You are a companion who listens. " * 12),
    Message(role="user", content="My bicycle was stolen this morning, and now I am late."),
)
BEGUN = (*ASKED, Message(role="assistant", content="User emotion:"))


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """The suite looks for blocking calls itself."""


class OverVllm(BackendThatFailsSuite):
    __test__ = False
    # Which requests share a batch depends on the moment, and bfloat16 rounds by the batch.
    deterministic = False
    process: VllmAt

    @pytest.fixture(autouse=True)
    def _server(self, vllm_server: VllmAt) -> None:
        self.process = vllm_server


class TestVllmServer(OverVllm):
    __test__ = True

    def make(self) -> Backend:
        return VllmServer(self.process.base_url, self.process.name, api_key="none")

    @staticmethod
    def broken() -> Backend:
        return VllmServer(NOWHERE, "absent", api_key="none", waits=())


class TestLangChainOverVllm(OverVllm):
    __test__ = True

    def make(self) -> Backend:
        return _langchain(self.process.base_url, self.process.name)

    @staticmethod
    def broken() -> Backend:
        return _langchain(NOWHERE, "absent", max_retries=0)


def _langchain(base_url: str, model: str, **options: object) -> LangChainBackend:
    httpx = pytest.importorskip("httpx", reason="langchain-openai is not installed")
    # LangChain keeps one client of HTTP for the whole process, and each test has a loop of its own.
    client = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=0))
    options |= {"base_url": base_url, "model": model, "api_key": "none"}
    return LangChainBackend(
        "langchain_openai:ChatOpenAI",
        options={**options, "http_async_client": client},
        structured=True,
    )


@pytest.mark.parametrize("labels", [MESC_7, MESC_10, ESCONV_8])
async def test_a_label_costs_one_request_and_its_distribution_is_that_of_constrained_decoding(
    vllm_server: VllmAt, labels: LabelSet
) -> None:
    """Against the model in process, which has the logits at hand."""
    pytest.importorskip("torch", reason="the extra `local` is not installed")
    from affectgraph.reasoners.backends.local import LocalBackend

    told: list[Usage] = []
    served = VllmServer(vllm_server.base_url, vllm_server.name, on_usage=told.append)
    local = LocalBackend(threads=1)
    found, expected = await served.choose(BEGUN, labels), await local.choose(BEGUN, labels)
    await served.close()
    for label in labels.labels:  # bfloat16 against float32
        assert found[label] == pytest.approx(expected[label], abs=0.06)
    assert sum(usage.completion_tokens for usage in told) == len(told) == 1


async def test_scores_are_those_of_the_model_in_process(vllm_server: VllmAt) -> None:
    pytest.importorskip("torch", reason="the extra `local` is not installed")
    from affectgraph.reasoners.backends.local import LocalBackend

    words = [" sadness", " joy", " great relief", " great grief"]
    text = '"My bicycle was stolen"\nThis is a message of'
    served = VllmServer(vllm_server.base_url, vllm_server.name)
    found = await served.score(text, words)
    await served.close()
    assert found == pytest.approx(await LocalBackend(threads=1).score(text, words), abs=0.25)


@pytest.mark.parametrize(
    ("constraint", "fits"),
    [
        ({"choice": ["yes", "no"]}, lambda text: text in ("yes", "no")),
        ({"regex": "[0-9]{4}"}, lambda text: len(text) == 4 and text.isdecimal()),
        ({"grammar": 'root ::= "left" | "right"'}, lambda text: text in ("left", "right")),
        (
            {
                "json": {
                    "type": "object",
                    "properties": {"mood": {"enum": ["low", "high"]}},
                    "required": ["mood"],
                    "additionalProperties": False,
                },
                "disable_any_whitespace": True,
            },
            lambda text: json.loads(text)["mood"] in ("low", "high"),
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_every_kind_of_structured_output_is_obeyed(
    vllm_server: VllmAt, constraint: dict[str, object], fits: Any
) -> None:
    served = OpenAIBackend(
        vllm_server.base_url, vllm_server.name, extra={"structured_outputs": constraint}
    )
    said = "".join([p async for p in served.stream(ASKED, Sampling(max_tokens=20))])
    await served.close()
    assert fits(said)


@pytest.mark.parametrize("codec", sorted(CODECS))
async def test_the_joint_form_holds_in_every_codec(vllm_server: VllmAt, codec: str) -> None:
    form = CODECS[codec]()
    fields = tuple(
        LabelField(stage=stage, labels=MESC_10 if stage == "strategy" else MESC_7)
        for stage in form.order
        if stage != "response"
    )
    served = VllmServer(vllm_server.base_url, vllm_server.name)
    stream = served.stream_joint(ASKED, JointForm(fields, form), Sampling(max_tokens=8))
    items = [item async for item in stream]
    await served.close()
    decided = items[: len(fields)]
    assert all(isinstance(item, Decision) for item in decided)
    for item, field in zip(decided, fields, strict=True):
        assert isinstance(item, Decision)
        assert item.stage == field.stage
        assert item.label in field.labels
    words = items[len(fields) :]
    assert all(isinstance(piece, str) for piece in words)
    assert "".join(str(piece) for piece in words).strip()


async def test_the_server_tells_what_its_prefix_cache_spared(vllm_server: VllmAt) -> None:
    told: list[Usage] = []
    served = VllmServer(vllm_server.base_url, vllm_server.name, on_usage=told.append)
    hits = vllm_server.metric("vllm:prefix_cache_hits_total")
    for _ in range(2):
        _ = [piece async for piece in served.stream(ASKED, Sampling(max_tokens=4))]
    await served.close()
    again = told[-1]
    assert again.prompt_tokens - 32 <= again.cached_tokens < again.prompt_tokens
    assert vllm_server.metric("vllm:prefix_cache_hits_total") - hits >= again.cached_tokens


async def test_a_model_that_is_not_served_is_named_at_the_start(vllm_server: VllmAt) -> None:
    served = VllmServer(vllm_server.base_url, "another")
    with pytest.raises(BackendError, match=f"serves {vllm_server.name}") as caught:
        await served.warm_up()
    await served.close()
    assert caught.value.permanent
