"""Whole turns through the graph, with fakes in place of the models."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from affectgraph.orchestrator import Agent, Consent, Limits, Parts, Safety, Turn
from affectgraph.orchestrator.answering import CRISIS_FALLBACK
from affectgraph.orchestrator.events import Event
from affectgraph.orchestrator.speaking import FALLBACK
from affectgraph.orchestrator.testing.fakes import FakePerceiver, FakeTextPerceiver, ListMemory
from affectgraph.orchestrator.testing.reasoner import ScriptedReasoner
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.errors import BuildError, MediaError
from affectgraph.perceivers.media import AudioFile, ImageFile
from affectgraph.policies.crisis import CrisisReply, CrisisResponder
from affectgraph.policies.triage import RiskTriage
from affectgraph.policies.verdict import RiskAssessment
from affectgraph.reasoners.replies.origin import ReplyOrigin

ALL = Consent(camera=True, microphone=True, memory=True)
QUICK = Limits(text=0.3, face=0.3, speech=0.3, recall=0.3, remember=0.3, respond=0.5)
Fault = Literal["fails", "hangs"]


@pytest.fixture
def photo(tmp_path: Path) -> ImageFile:
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "grey").save(path)
    return ImageFile(path)


@pytest.fixture
def note(tmp_path: Path) -> AudioFile:
    import wave

    path = tmp_path / "note.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.zeros(16_000, "<i2").tobytes())
    return AudioFile(path)


def parts(
    *,
    text: Fault | None = None,
    face: Fault | None = None,
    speech: Fault | None = None,
    reasoner: ScriptedReasoner | None = None,
    memory: ListMemory | None = None,
) -> Parts:
    reader = FakeTextPerceiver("sadness")
    reader._fault = text
    return Parts(
        perceivers=(
            reader,
            FakePerceiver("face", "joy", fault=face),
            FakePerceiver("speech", "sadness", fault=speech, transcript="I am so tired"),
        ),
        reasoner=reasoner or ScriptedReasoner(),
        memory=memory or ListMemory(),
        limits=QUICK,
        safety=Safety(crisis=CrisisResponder("US")),
    )


def turn(photo: ImageFile, note: AudioFile, text: str = "Today was long.") -> Turn:
    return Turn(user="ana", text=text, images=(photo,), audio=note, consent=ALL)


async def events_of(agent: Agent, one: Turn) -> list[Event]:
    async with aclosing(agent.stream(one)) as events:
        return [event async for event in events]


async def test_a_whole_turn(photo: ImageFile, note: AudioFile) -> None:
    memory, reasoner = ListMemory(), ScriptedReasoner("I hear you. What happened?")
    agent = Agent(parts(memory=memory, reasoner=reasoner))
    reply = await agent.respond(turn(photo, note))
    assert reply.text == "I hear you. What happened?"
    assert reply.source == "reasoner"
    assert {r.modality for r in reply.readings} == {"text", "face", "speech"}
    assert reply.affect is not None
    assert reply.affect.top == "sadness"
    assert reply.user_emotion is not None
    assert reply.user_emotion.label == "sadness"
    assert reply.strategy is not None
    assert reply.system_emotion is not None
    assert reply.left_out == ()
    assert [record.id for record in memory.records] == [reply.remembered]
    assert reasoner.contexts[0].utterance == "Today was long.\nI am so tired"
    assert {"admit", "text", "face", "speech", "fuse", "triage", "recall", "reason", "turn"} <= set(
        reply.timings_ms
    )


async def test_closing_closes_the_perceivers_that_can_be_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("affectgraph.orchestrator.agent.CLOSING_SECONDS", 0.01)
    closed: list[str] = []

    class Hangs(FakePerceiver):
        async def close(self) -> None:
            closed.append(self.modality)
            await asyncio.Event().wait()

    class Fails(FakeTextPerceiver):
        async def close(self) -> None:
            closed.append(self.modality)
            raise OSError("no such connection")

    class Closes(ScriptedReasoner):
        async def close(self) -> None:
            closed.append("reasoner")

    several = (Fails("sadness"), Hangs("face", "joy"), FakePerceiver("speech", "sadness"))
    agent = Agent(replace(parts(reasoner=Closes()), perceivers=several))
    with pytest.raises(OSError, match="no such connection"):
        await agent.close()
    assert closed == ["face", "text", "reasoner"]


async def test_the_transcript_feeds_the_text_reading(photo: ImageFile, note: AudioFile) -> None:
    reply = await Agent(parts()).respond(turn(photo, note))
    text = next(r for r in reply.readings if r.modality == "text")
    assert text.covers == len("Today was long.\nI am so tired")


async def test_events_come_in_the_order_of_the_turn(photo: ImageFile, note: AudioFile) -> None:
    kinds = [event.kind for event in await events_of(Agent(parts()), turn(photo, note))]
    firsts = sorted(set(kinds), key=kinds.index)
    assert firsts[:3] == ["noticed", "perceived", "fused"]
    assert set(firsts[3:5]) == {"assessed", "recalled"}
    assert firsts[5:] == ["decided", "held", "token", "remembered", "done"]


async def test_tokens_arrive_before_the_response_is_complete(
    photo: ImageFile, note: AudioFile
) -> None:
    gate = asyncio.Event()

    class Pausing(ScriptedReasoner):
        async def _maybe_fault(self) -> None:
            await gate.wait()

    reasoner = Pausing("I hear you. And there is more to say.", after=4)
    agent = Agent(replace(parts(reasoner=reasoner), limits=Limits()))
    spoken = []
    async with aclosing(agent.stream(turn(photo, note))) as events:
        async for event in events:
            if event.kind == "token":
                spoken.append(event.text)
                gate.set()
    assert spoken[0].strip() == "I hear you."
    assert "".join(spoken) == "I hear you. And there is more to say."


@pytest.mark.parametrize("fault", ["fails", "hangs"])
@pytest.mark.parametrize("sense", ["text", "face", "speech"])
async def test_a_broken_perceiver_is_left_out_and_the_turn_goes_on(
    sense: str, fault: Fault, photo: ImageFile, note: AudioFile
) -> None:
    made = parts(**{sense: fault})  # type: ignore[arg-type]
    reply = await Agent(made).respond(turn(photo, note))
    assert reply.source == "reasoner"
    # A text reader that fails takes the reading of the transcript with it, not what was heard.
    assert {part.node for part in reply.left_out} == (
        {"text", "speech"} if sense == "text" else {sense}
    )
    assert {part.reason for part in reply.left_out} == {"failed" if fault == "fails" else "timeout"}
    others = {r.modality for r in reply.readings if r.affect} - {sense}
    assert others == {"text", "face", "speech"} - {sense}


@pytest.mark.parametrize("fault", ["fails", "hangs"])
async def test_triage_holds_with_every_perceiver_broken(
    fault: Fault, photo: ImageFile, note: AudioFile
) -> None:
    made = parts(text=fault, face=fault, speech=fault)
    risky = turn(photo, note, "I want to end my life tonight")
    reply = await Agent(made).respond(risky)
    assert {part.node for part in reply.left_out} == {"text", "face", "speech"}
    assert reply.source == "crisis"
    assert "988" in reply.text


@pytest.mark.parametrize("words", ["Sure, go ahead. It is a fine plan.", "No."])
async def test_no_word_of_the_model_reaches_a_person_in_crisis(
    words: str, photo: ImageFile, note: AudioFile
) -> None:
    reasoner = ScriptedReasoner(words)
    agent = Agent(parts(reasoner=reasoner))
    reply = await agent.respond(turn(photo, note, "I want to end my life tonight"))
    assert reasoner.contexts == []
    assert reply.source == "crisis"
    assert words not in reply.text
    assert "988" in reply.text


async def test_an_idiom_is_no_crisis(photo: ImageFile, note: AudioFile) -> None:
    reply = await Agent(parts()).respond(turn(photo, note, "this homework is killing me"))
    assert reply.source == "reasoner"
    assert reply.risk.level == 0


class BrokenTriage(RiskTriage):
    def assess(self, text: str) -> RiskAssessment:
        raise RuntimeError(text)


class BrokenResponder(CrisisResponder):
    def respond(self, assessment: RiskAssessment, shown: Collection[str] = ()) -> CrisisReply:
        raise RuntimeError


async def test_a_broken_triage_errs_towards_resources(photo: ImageFile, note: AudioFile) -> None:
    made = parts()
    made = replace(made, safety=replace(made.safety, triage=BrokenTriage()))
    reply = await Agent(made).respond(turn(photo, note))
    assert reply.risk.degraded
    assert "988" in reply.text
    assert [part.node for part in reply.left_out] == ["triage"]


async def test_a_broken_crisis_responder_still_answers(photo: ImageFile, note: AudioFile) -> None:
    made = parts()
    made = replace(made, safety=replace(made.safety, crisis=BrokenResponder("US")))
    reply = await Agent(made).respond(turn(photo, note, "I want to end my life tonight"))
    assert reply.text == CRISIS_FALLBACK


@pytest.mark.parametrize("fault", ["fails", "hangs"])
async def test_a_reasoner_that_says_nothing_is_answered_for(
    fault: Fault, photo: ImageFile, note: AudioFile
) -> None:
    agent = Agent(parts(reasoner=ScriptedReasoner(fault=fault)))
    reply = await agent.respond(turn(photo, note))
    assert reply.source == "fallback"
    assert reply.origin == ReplyOrigin(source="written", reasons=("reasoner-failed",))
    # The written replies know what was perceived, and end in a question or a word of support.
    assert reply.text
    assert reply.text != FALLBACK
    assert [part.node for part in reply.left_out] == ["reason"]


@pytest.mark.parametrize("fault", ["fails", "hangs"])
async def test_what_was_delivered_before_a_fault_is_kept(
    fault: Fault, photo: ImageFile, note: AudioFile
) -> None:
    reasoner = ScriptedReasoner("I hear you. It is a lot at once.", fault=fault, after=5)
    reply = await Agent(parts(reasoner=reasoner)).respond(turn(photo, note))
    # A written sentence closes it, and the reply says so.
    assert reply.text.startswith("I hear you. ")
    assert reply.text.endswith(("?", "."))
    assert "It is a lot" not in reply.text
    assert reply.origin is not None
    assert reply.origin.cut
    assert reply.origin.continued
    assert reply.origin.reasons[-1] == "reasoner-failed"
    assert reply.strategy is not None


@pytest.mark.parametrize("fault", ["fails", "hangs"])
async def test_a_broken_memory_costs_no_reply(
    fault: Fault, photo: ImageFile, note: AudioFile
) -> None:
    agent = Agent(parts(memory=ListMemory(fault=fault)))
    reply = await agent.respond(turn(photo, note))
    assert reply.source == "reasoner"
    assert {part.node for part in reply.left_out} == {"recall", "remember"}
    assert reply.remembered is None


async def test_without_consent_nothing_is_perceived_or_kept(
    photo: ImageFile, note: AudioFile
) -> None:
    memory = ListMemory()
    made = parts(memory=memory)
    silent = turn(photo, note).model_copy(update={"consent": Consent()})
    reply = await Agent(made).respond(silent)
    reasons = {r.modality: r.abstention.reason for r in reply.readings if r.abstention}
    assert reasons == {"face": "no-consent", "speech": "no-consent"}
    assert [p.calls for p in made.perceivers if isinstance(p, FakePerceiver)] == [1, 0, 0]
    assert memory.records == []
    assert not any("emotion" in notice.lower() for notice in reply.notices)


async def test_the_next_turn_knows_the_last_and_starts_clean(
    photo: ImageFile, note: AudioFile
) -> None:
    reasoner = ScriptedReasoner()
    agent = Agent(parts(reasoner=reasoner))
    await agent.respond(turn(photo, note, "My cat is ill."))
    second = await agent.respond(Turn(user="ana", text="She will not eat.", consent=ALL))
    (exchange,) = reasoner.contexts[1].history
    assert exchange.said.startswith("My cat is ill.")
    assert exchange.replied
    reasons = {r.modality: r.abstention.reason for r in second.readings if r.abstention}
    assert reasons == {"face": "absent", "speech": "absent"}
    assert len(second.recalled) == 1


async def test_another_person_or_thread_knows_nothing(photo: ImageFile, note: AudioFile) -> None:
    reasoner = ScriptedReasoner()
    agent = Agent(parts(reasoner=reasoner))
    await agent.respond(turn(photo, note, "My cat is ill."))
    ben = await agent.respond(Turn(user="ben", text="My cat is ill.", consent=ALL))
    assert ben.recalled == ()
    assert reasoner.contexts[1].history == ()
    # The same joined name out of other parts must not meet either.
    await agent.respond(Turn(user="ana:thread", thread="x", text="hi"))
    await agent.respond(Turn(user="ana", thread="thread:x", text="hi"))
    assert reasoner.contexts[3].history == ()


async def test_turns_of_one_thread_do_not_lose_each_other(
    photo: ImageFile, note: AudioFile
) -> None:
    reasoner = ScriptedReasoner()
    agent = Agent(parts(reasoner=reasoner))
    await asyncio.gather(*(agent.respond(turn(photo, note, f"number {n}")) for n in range(5)))
    assert [len(context.history) for context in reasoner.contexts] == [0, 1, 2, 3, 4]


async def test_risk_is_not_forgotten_within_a_thread(photo: ImageFile, note: AudioFile) -> None:
    agent = Agent(parts())
    await agent.respond(turn(photo, note, "I want to end my life tonight"))
    after = await agent.respond(turn(photo, note, "Anyway, what about the weather?"))
    assert after.source == "reasoner"
    assert after.risk.level == 0
    # Another line than the one that was shown, and in the next turn only.
    assert "findahelpline.com" in after.text
    later = await agent.respond(turn(photo, note, "The sun came out."))
    assert later.text == "That sounds hard. What is on your mind most?"


async def test_bad_media_refuse_the_turn_and_leave_the_thread_as_it_was(
    photo: ImageFile, note: AudioFile, tmp_path: Path
) -> None:
    memory, reasoner = ListMemory(), ScriptedReasoner()
    agent = Agent(parts(memory=memory, reasoner=reasoner))
    await agent.respond(turn(photo, note, "one"))
    with pytest.raises(MediaError, match=r"gone\.jpg: no such file"):
        await agent.respond(turn(ImageFile(tmp_path / "gone.jpg"), note, "two"))
    await agent.respond(turn(photo, note, "three"))
    assert len(reasoner.contexts) == 2
    assert len(memory.records) == 2
    assert [e.said.split("\n")[0] for e in reasoner.contexts[1].history] == ["one"]


async def test_leaving_the_stream_stops_the_model_and_the_thread_stays_usable(
    photo: ImageFile, note: AudioFile
) -> None:
    reasoner = ScriptedReasoner("I hear you. " * 50)
    agent = Agent(parts(reasoner=reasoner))
    async with aclosing(agent.stream(turn(photo, note))) as events:
        async for event in events:
            if event.kind == "token":
                break
    assert reasoner.closed == 1
    assert (await agent.respond(turn(photo, note))).source == "reasoner"


async def test_a_forbidden_sentence_never_leaves(photo: ImageFile, note: AudioFile) -> None:
    reasoner = ScriptedReasoner("I hear you. When I was a child I felt the same. Go on.")
    events = await events_of(Agent(parts(reasoner=reasoner)), turn(photo, note))
    spoken = "".join(e.text for e in events if e.kind in ("token", "replaced"))
    assert "child" not in spoken
    assert spoken.startswith("I hear you.")
    assert [e.kind for e in events].count("replaced") == 1


async def test_two_perceivers_of_one_modality_are_refused() -> None:
    with pytest.raises(BuildError, match="same modality: face"):
        Parts(
            perceivers=(FakePerceiver("face"), FakePerceiver("face")), reasoner=ScriptedReasoner()
        )


async def test_an_agent_without_perceivers_or_memory_replies() -> None:
    agent = Agent(Parts(perceivers=(), reasoner=ScriptedReasoner("All right.")))
    reply = await agent.respond(Turn(text="hello"))
    assert reply.text == "All right."
    assert reply.affect is None


async def test_a_part_that_cannot_warm_up_is_left_out_later(
    photo: ImageFile, note: AudioFile
) -> None:
    class Cold(FakePerceiver):
        async def warm_up(self) -> None:
            raise OSError("no memory")

        async def perceive(self, turn: Turn) -> Reading:
            raise OSError("not loaded")

    made = parts()
    made = replace(made, perceivers=(made.perceivers[0], Cold("face")))
    agent = Agent(made)
    await agent.warm_up()
    reply = await agent.respond(turn(photo, note))
    assert [part.node for part in reply.left_out] == ["face"]


async def test_the_graph_is_a_plain_langgraph_graph() -> None:
    agent = Agent(parts())
    drawn = agent.graph.compile().get_graph().draw_mermaid()
    for node in ("admit", "face", "triage", "crisis", "reason", "remember"):
        assert node in drawn


async def test_an_empty_response_is_answered_for(photo: ImageFile, note: AudioFile) -> None:
    reply = await Agent(parts(reasoner=ScriptedReasoner(""))).respond(turn(photo, note))
    assert reply.source == "fallback"
