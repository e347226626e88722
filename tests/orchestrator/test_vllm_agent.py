"""The whole agent on a real vLLM server: turns in both forms, and what the prefix cache spares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator import Agent, Reply, Turn
from affectgraph.orchestrator.events import Decided, Token
from affectgraph.orchestrator.spec import parse_spec
from affectgraph.orchestrator.testing.vllm_process import VllmAt
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.taxonomy import MESC_10

pytestmark = [pytest.mark.vllm, pytest.mark.models]

BLOCK = 32
"""Tokens of a cache block: ``--block-size 32``."""

SPEC = """
agent: affectgraph/v1
perceivers: [text.minilm.v1]
memory: {{chroma.v1: {{path: "{memory}"}}}}
threads: memory.v1
reasoner:
  smes.{form}.v1:
    backend:
      vllm.server.v1: {{base_url: "{url}", model: "{model}", timeout: 300}}
    sampling: {{max_tokens: 40}}
    replies: {{check: false}}
    user_emotion: {{emotion.smes.v1: {{sources: [affect, choice]}}}}
limits: {{text: 60, triage: 120, decide: 300, respond: 600, recall: 60, remember: 60}}
"""

# No reply is checked, so none is generated again: a second try would find this turn's own prompt
# in the cache, and the turns' counts of hits would say nothing of the turns before.

SAID = (
    "My sister moved abroad last week and the flat is so quiet now.",
    "I keep setting the table for two, and then I notice.",
    "We used to cook together on Sundays, that is what I miss most.",
)

Form = Literal["joint", "staged"]


@dataclass(frozen=True)
class Told:
    """One turn.

    Attributes:
        reply: Its result.
        events: What was told on the way.
        prompts: Tokens, and of these cached ones as far as they were told, of each prompt.
        hits: Tokens that the server took from its cache, by its own counter.
    """

    reply: Reply
    events: list[Any]
    prompts: list[tuple[int, int]]
    hits: float


async def talk(form: Form, server: VllmAt, memory: Path, spans: InMemorySpanExporter) -> list[Told]:
    """Three turns of one conversation."""
    text = SPEC.format(form=form, url=server.base_url, model=server.name, memory=memory)
    agent = await asyncio.to_thread(lambda: Agent(parse_spec(text).build().parts))

    async def hits() -> float:
        return await asyncio.to_thread(server.metric, "vllm:prefix_cache_hits_total")

    turns = []
    async with agent:
        for said in SAID:
            spans.clear()
            before = await hits()
            events = [event async for event in agent.stream(Turn(text=said, thread=f"vllm-{form}"))]
            (reply,) = [event.reply for event in events if event.kind == "done"]
            costs = prompts(spans.get_finished_spans(), server.name)
            turns.append(Told(reply, events, costs, await hits() - before))
    return turns


def prompts(finished: tuple[ReadableSpan, ...], model: str) -> list[tuple[int, int]]:
    """Tokens, and of these cached ones, of each call whose cost the server told, in order."""
    calls = sorted(
        (span for span in finished if span.name.endswith(f" {model}")),
        key=lambda span: span.start_time or 0,
    )
    told = [dict(span.attributes or {}) for span in calls]
    return [
        (
            int(str(attributes["gen_ai.usage.input_tokens"])),
            int(str(attributes["gen_ai.usage.cache_read.input_tokens"])),
        )
        for attributes in told
        if "gen_ai.usage.input_tokens" in attributes
    ]


def whole_blocks(tokens: int) -> int:
    """Tokens of a prompt that are certain to be cached: all but its last block."""
    return (tokens - 1) // BLOCK * BLOCK


@pytest.fixture
def _here(requires_model: Callable[[str], Path]) -> None:
    requires_model("minilm")


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("form", ["joint", "staged"])
async def test_turns_work_and_every_prompt_goes_on_where_the_last_one_ended(
    form: Form, vllm_server: VllmAt, tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    turns = await talk(form, vllm_server, tmp_path, spans)
    for turn in turns:
        reply = turn.reply
        assert not reply.left_out
        assert reply.source == "reasoner"
        assert reply.user_emotion is not None
        assert reply.user_emotion.label in MESC_7
        assert reply.strategy is not None
        assert reply.strategy.label in MESC_10
        assert reply.system_emotion is not None
        assert reply.system_emotion.label in ("neutral", "sadness", "joy")
        kinds = [type(event) for event in turn.events if isinstance(event, Decided | Token)]
        assert kinds[:3] == [Decided] * 3, "the labels are told before the words"
        assert Token in kinds[3:]
        assert turn.prompts
        assert turn.hits >= sum(hit for _, hit in turn.prompts), "the server's own counter agrees"
    for last, now in pairwise(turns):
        assert now.prompts[0][0] > last.prompts[0][0]
        assert now.hits >= whole_blocks(last.prompts[0][0]), "each turn reads only what is new"
    if form == "joint":
        assert [len(turn.prompts) for turn in turns] == [1] * 3, "a turn is one request"
    if form == "staged":
        for turn in turns:
            assert len(turn.prompts) == 4, "a label costs one request, and so do the words"
            stages, (words, _) = turn.prompts[:3], turn.prompts[3]
            for (tokens, _), (longer, hit) in pairwise(stages):
                assert longer > tokens
                assert hit >= whole_blocks(tokens), "each stage reads only what is new"
            # A stream that is left early does not tell its hits; the server's counter does.
            assert words > stages[-1][0]
            rest = turn.hits - sum(hit for _, hit in stages)
            assert rest >= whole_blocks(stages[-1][0]), "so do the words"
        for last, now in pairwise(turns):
            assert now.prompts[0][1] >= whole_blocks(last.prompts[0][0])
