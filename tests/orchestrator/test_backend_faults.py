"""A language model server that fails in every way, under the whole agent: the turn still ends well.

Each fault is made by a real server behind a real socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator import Agent, Reply, Turn
from affectgraph.orchestrator.events import Omitted, Token
from affectgraph.orchestrator.spec import parse_spec
from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer, HttpFault

SECRET = "marzipan"
SAID = f"I had a hard day and ate all the {SECRET}."
WATCHDOG = 60.0
"""Seconds after which a turn has hung; its own budget is below a fifth of it."""

Form = Literal["joint", "staged"]
Trouble = Literal["refused", "slow", "dripping", "cut"] | HttpFault

SPEC = """
agent: affectgraph/v1
perceivers: []
memory: null
threads: memory.v1
reasoner:
  smes.{form}.v1:
    backend:
      vllm.server.v1: {{base_url: "{url}", model: fake-model, timeout: {timeout}, waits: [0.05]}}
limits: {{decide: 3, respond: 5}}
"""


@pytest.fixture(autouse=True, scope="module")
def _the_client_is_imported() -> None:
    """The first import takes seconds on a busy machine, and a turn here has few."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url="http://127.0.0.1:9/v1", api_key="none")
    _ = client.chat.completions, client.completions, client.models


@asynccontextmanager
async def address(trouble: Trouble) -> AsyncIterator[str]:
    """A server that fails so."""
    if trouble == "refused":
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))  # bound, and nobody listens
            yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        return
    options: dict[str, Any] = {"prefers": ["sadness", "Open questions", "neutral"]}
    if trouble == "slow":
        options |= {"seconds_to_first": 300}
    elif trouble == "dripping":
        options |= {"seconds_per_token": 1.0, "says": "word " * 300}
    elif trouble == "cut":
        options |= {"cut_after": 2}
    else:
        options |= {"fault": trouble}
    async with FakeOpenAIServer(**options) as server:
        yield server.base_url


@dataclass(frozen=True)
class Ended:
    """A turn that has ended."""

    reply: Reply
    tokens: list[str]
    omitted: list[str]


async def made(form: Form, url: str, patience: float = 1.5) -> Agent:
    """The agent, made off the loop as its rule files are read."""
    spec = SPEC.format(form=form, url=url, timeout=patience)
    return await asyncio.to_thread(lambda: Agent(parse_spec(spec).build().parts))


async def turn(form: Form, url: str) -> Ended:
    tokens, omitted = list[str](), list[str]()
    async with asyncio.timeout(WATCHDOG), await made(form, url) as agent:
        async for event in agent.stream(Turn(text=SAID)):
            if isinstance(event, Token):
                tokens.append(event.text)
            elif isinstance(event, Omitted):
                omitted.append(event.left_out.node)
            elif event.kind == "done":
                reply = event.reply
    return Ended(reply, tokens, omitted)


def reasons(finished: tuple[ReadableSpan, ...]) -> set[str]:
    """Why, as the spans tell it."""
    found = set[str]()
    for span in finished:
        told = span.attributes or {}
        for key in ("error.type", "affectgraph.left_out"):
            if key in told:
                found.add(str(told[key]))
        several = told.get("affectgraph.reply.reasons") or ()
        assert isinstance(several, tuple)
        found |= {str(reason) for reason in several}
    return found


WHY: dict[Trouble, dict[Form, set[str]]] = {
    "refused": {"joint": {"UnreachableError"}, "staged": {"UnreachableError"}},
    "slow": {"joint": {"SilentError"}, "staged": {"SilentError"}},
    "dripping": {"joint": {"timeout"}, "staged": {"timeout"}},
    "fails": {"joint": {"ServerFailedError"}, "staged": {"ServerFailedError"}},
    "cut": {"joint": {"StreamCutError"}, "staged": {"StreamCutError"}},
    "malformed": {"joint": {"OutOfFormError"}, "staged": {"OutOfFormError"}},
    "wrong label": {"joint": {"OutOfFormError"}, "staged": {"OutOfFormError"}},
    "empty": {"joint": {"OutOfFormError"}, "staged": {"OutOfFormError", "empty"}},
}


@pytest.mark.parametrize("form", ["joint", "staged"])
@pytest.mark.parametrize("trouble", list(WHY))
async def test_the_turn_ends_in_a_safe_reply_and_a_span_says_why(
    spans: InMemorySpanExporter, trouble: Trouble, form: Form
) -> None:
    async with address(trouble) as url:
        ended = await turn(form, url)
    reply = ended.reply
    assert reply.text.strip()
    assert "".join(ended.tokens).strip() in reply.text
    assert SECRET not in reply.text
    # Whoever reads the reply learns of it, and so does whoever listens.
    told = reply.origin is not None and reply.origin.source == "written"
    assert reply.left_out or told
    assert ended.omitted == [part.node for part in reply.left_out]
    for part in reply.left_out:
        assert part.reason in ("failed", "timeout")
        assert SECRET not in part.detail
    finished = spans.get_finished_spans()
    assert WHY[trouble][form] & reasons(finished)
    everything = [f"{s.name} {dict(s.attributes or {})} {s.status.description}" for s in finished]
    assert not [text for text in everything if SECRET in text]


@pytest.mark.parametrize("form", ["joint", "staged"])
async def test_the_next_turn_is_answered_once_the_server_is_well(form: Form) -> None:
    async with FakeOpenAIServer(fault="fails", prefers=["sadness"]) as server:
        agent = await made(form, server.base_url, 5)
        async with asyncio.timeout(WATCHDOG), agent:
            first = await agent.respond(Turn(text=SAID))
            server.heal()
            second = await agent.respond(Turn(text=SAID))
    assert first.left_out
    assert not second.left_out
    assert second.source == "reasoner"
    assert second.user_emotion is not None
