"""Where the words of a reply come from, and what is said when the reasoner fails."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Literal

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from affectgraph.orchestrator import Agent, Limits, Parts, Turn
from affectgraph.orchestrator.events import Event, Voiced
from affectgraph.orchestrator.speaking import FAILED, FALLBACK, WITHHELD, in_place, library_of
from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.orchestrator.testing.fakes import FakeTextPerceiver
from affectgraph.orchestrator.testing.faults import Fault
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner, scripted_staged
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import JointReasoner
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.library import WrittenReplies
from affectgraph.reasoners.replies.origin import ReplyOrigin
from affectgraph.reasoners.stages import SmesStaged

LIVED = "I felt the same way last year."


def agent(
    reasoner: JointReasoner | SmesStaged, feels: str = "sadness", *, respond: float = 60.0
) -> Agent:
    return Agent(
        Parts(
            perceivers=(FakeTextPerceiver(feels, p=0.9),),
            reasoner=reasoner,
            limits=Limits(respond=respond),
        )
    )


async def events_of(one: Agent, said: str) -> list[Event]:
    async with aclosing(one.stream(Turn(text=said))) as events:
        return [event async for event in events]


@pytest.mark.parametrize("form", ["joint", "staged"])
async def test_both_forms_check_and_tell_it(form: Literal["joint", "staged"]) -> None:
    backend = ScriptedBackend(says=LIVED)
    made = SmesJoint(backend) if form == "joint" else SmesStaged.over(backend)
    events = await events_of(agent(made), "I failed my math exam.")
    told = [event.origin for event in events if isinstance(event, Voiced)]
    assert told == [ReplyOrigin(source="written", reasons=("invented-life",))]
    done = events[-1]
    assert done.kind == "done"
    assert done.reply.origin == told[0]
    assert done.reply.source == "reasoner"
    assert "last year" not in done.reply.text
    assert "your math exam" in done.reply.text
    kinds = [event.kind for event in events]
    assert kinds.index("voiced") < kinds.index("token")


@pytest.mark.parametrize("form", ["joint", "staged"])
async def test_a_good_reply_is_the_models(form: Literal["joint", "staged"]) -> None:
    backend = ScriptedBackend(says="That sounds hard. What is on your mind most?")
    made = SmesJoint(backend) if form == "joint" else SmesStaged.over(backend)
    reply = await agent(made).respond(Turn(text="I failed my math exam."))
    assert reply.text == "That sounds hard. What is on your mind most?"
    assert reply.origin == ReplyOrigin(source="model")


@pytest.mark.parametrize("form", ["joint", "staged"])
async def test_the_first_sentence_is_out_while_the_second_is_made(
    form: Literal["joint", "staged"],
) -> None:
    says = "That sounds hard. What hurts the most about it?"
    backend = ScriptedBackend(says=says, fault="hangs", after=4)
    made = SmesJoint(backend) if form == "joint" else SmesStaged.over(backend)
    one = agent(made)
    async with asyncio.timeout(20), aclosing(one.stream(Turn(text="I failed."))) as events:
        first = await anext(event async for event in events if event.kind == "token")
    assert first.text == "That sounds hard. "


@pytest.mark.parametrize("fault", ["fails", "hangs"])
@pytest.mark.parametrize(("feels", "group"), [("sadness", "sad"), ("joy", "glad")])
async def test_a_failing_reasoner_is_answered_for_by_the_perceived_affect(
    fault: Fault, feels: str, group: Literal["sad", "glad"]
) -> None:
    one = agent(ScriptedReasoner(fault=fault), feels, respond=0.5)
    reply = await one.respond(Turn(text="It was a day."))
    assert reply.source == "fallback"
    assert reply.origin == ReplyOrigin(source="written", reasons=(FAILED,))
    assert [part.node for part in reply.left_out] == ["reason"]
    library = WrittenReplies()
    library.load()
    assert any(reply.text.startswith(opening) for opening in library.openings(group))


async def test_what_was_decided_before_the_failure_shapes_the_reply() -> None:
    made = ScriptedReasoner(strategy="Advisement", user_emotion="joy", fault="fails", after=0)
    reply = await agent(made).respond(Turn(text="It was a day."))
    library = WrittenReplies()
    library.load()
    assert any(closing in reply.text for closing in library.closings("suggest", "glad"))


async def test_the_staged_form_is_answered_for_too() -> None:
    staged = scripted_staged(says="")
    reply = await agent(staged).respond(Turn(text="I lost my wife last year."))
    assert reply.source == "fallback"
    assert "your wife" in reply.text


async def test_a_reply_that_a_policy_stops_at_once_is_written() -> None:
    made = ScriptedReasoner("You should stop taking your medication. It helps nobody.")
    reply = await agent(made).respond(Turn(text="I failed my math exam."))
    assert reply.text != WITHHELD
    assert "your math exam" in reply.text
    assert reply.origin is not None
    assert reply.origin.source == "written"
    assert "medication" in reply.origin.reasons


async def test_a_reply_that_a_policy_stops_midway_says_so() -> None:
    made = ScriptedReasoner("That sounds hard. You should stop taking your medication.")
    reply = await agent(made).respond(Turn(text="I failed my math exam."))
    assert reply.text == f"That sounds hard. {WITHHELD}"
    assert reply.origin is not None
    assert reply.origin.cut


async def test_the_span_of_the_node_tells_codes_and_no_words(spans: InMemorySpanExporter) -> None:
    await agent(SmesJoint(ScriptedBackend(says=LIVED))).respond(Turn(text="My marzipan melted."))
    (span,) = (span for span in spans.get_finished_spans() if span.name == "node reason")
    assert span.attributes is not None
    assert span.attributes["affectgraph.reply.source"] == "written"
    assert span.attributes["affectgraph.reply.reasons"] == ("invented-life",)
    assert "marzipan" not in f"{dict(span.attributes)}"


def test_the_reasoners_own_library_is_the_one_that_is_used() -> None:
    joint, staged = SmesJoint(ScriptedBackend()), SmesStaged.over(ScriptedBackend())
    assert library_of(Parts(perceivers=(), reasoner=joint)) is joint.library
    parts = Parts(perceivers=(), reasoner=staged)
    assert library_of(parts) is not parts.replies
    scripted = Parts(perceivers=(), reasoner=ScriptedReasoner())
    assert library_of(scripted) is scripted.replies


def test_without_a_library_one_sentence_remains() -> None:
    context = ReasoningContext(utterance="I feel sad.")
    text, origin = in_place(WrittenReplies(), context, Plan())
    assert text == FALLBACK
    assert origin.reasons == (FAILED,)
