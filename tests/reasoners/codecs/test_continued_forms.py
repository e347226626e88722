"""Words that a model writes into a begun form: kept up to where they leave it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.backends.vllm_engine import VllmEngine
from affectgraph.reasoners.backends.vllm_server import VllmServer
from affectgraph.reasoners.codecs import CODECS, codec_named
from affectgraph.reasoners.codecs.continued import spoken, spoken_by
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.replies.speaking import Replying
from affectgraph.reasoners.stages import BackendResponse

BROKEN = (
    ("That sounds hard.\nWhat happened?",),
    ("That sounds", " hard.\nWhat", " happened?"),
    tuple("That sounds hard.\nWhat happened?"),
)
WORDS = "That sounds hard."
ASKED = (Message(role="user", content="I failed."),)
SAID = st.one_of(st.text(), st.text(alphabet="ab \n\t\"\\u0dn}:,'"))


async def given_by(pieces: Sequence[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("pieces", BROKEN)
async def test_a_raw_line_break_ends_the_response_and_costs_no_word(
    name: str, pieces: tuple[str, ...]
) -> None:
    codec = codec_named(name)
    assert "".join(spoken(pieces, codec)) == WORDS
    async with aclosing(spoken_by(given_by(pieces), codec)) as words:
        assert "".join([each async for each in words]) == WORDS


@given(SAID, st.lists(st.integers(0, 60)), st.sampled_from(sorted(CODECS)))
def test_how_it_is_cut_makes_no_difference(text: str, places: list[int], name: str) -> None:
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    pieces = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert "".join(pieces) == text
    assert "".join(spoken(pieces, codec_named(name))) == "".join(spoken([text], codec_named(name)))


@pytest.mark.parametrize("said", ["\x00 Well.", '"', '" and so on', "\\z" + "." * 20, ""])
def test_who_begins_outside_the_form_has_said_nothing(said: str) -> None:
    assert list(spoken([said], codec_named("json"))) == []


def test_no_piece_is_asked_for_once_it_has_ended() -> None:
    asked = iter(["Well.\n", "And", " then?"])
    assert list(spoken(asked, codec_named("smes"))) == ["Well."]
    assert list(asked) == ["And", " then?"]


@given(st.lists(st.integers(0, 80)))
def test_labels_before_a_fault_are_given_at_any_chunking(places: list[int]) -> None:
    fields = (
        LabelField(stage="user_emotion", labels=MESC_7),
        LabelField(stage="system_emotion", labels=MESC_7),
    )
    texts = {
        "json": '{"user_emotion": "joy", "system_emotion": "bored", "response": "Hi."}',
        "smes": "(joy)(bored): Hi.",
        "lines": "User emotion: joy\nSystem emotion: bored\nResponse: Hi.",
    }
    for name, text in texts.items():
        parser = codec_named(name).parser("test", fields)
        ends = sorted({min(place, len(text)) for place in places} | {len(text)})
        found: list[Decision | str] = []
        for start, end in zip([0, *ends], ends, strict=False):
            with suppress(BackendError):
                found += parser.feed(text[start:end])
        assert parser.broken
        with pytest.raises(BackendError, match="system_emotion"):
            parser.close()
        assert not parser.done
        assert [item.label for item in found if isinstance(item, Decision)] == ["joy"]
        with pytest.raises(BackendError, match="system_emotion"):
            parser.feed(" more")


class Server(VllmServer):
    """Says given pieces."""

    said: tuple[str, ...] = ()

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        return Distribution.certain(labels, "joy")

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        for piece in self.said:
            yield piece


class Engine(VllmEngine):
    """Says given pieces, without vLLM."""

    said: tuple[str, ...] = ()

    async def _tokens(self, cut):  # type: ignore[no-untyped-def]
        return [[1], [2]]

    async def _words(self, prompt, sampling):  # type: ignore[no-untyped-def]
        for piece in self.said:
            yield piece


@pytest.mark.parametrize("pieces", BROKEN)
async def test_vllm_label_by_label_keeps_the_words(pieces: tuple[str, ...]) -> None:
    server = Server("http://127.0.0.1:9/v1", "m", joint="labels")
    server.said = pieces
    form = JointForm((LabelField(stage="user_emotion", labels=MESC_7),), codec_named("json"))
    items = [item async for item in server.stream_joint(ASKED, form, Sampling())]
    await server.close()
    assert [item.label for item in items if isinstance(item, Decision)] == ["joy"]
    assert "".join(item for item in items if isinstance(item, str)) == WORDS


@pytest.mark.parametrize("pieces", BROKEN)
async def test_vllm_in_process_keeps_the_words(pieces: tuple[str, ...]) -> None:
    engine = Engine(model="smollm2-135m")
    engine.said = ("\n", *pieces)
    form = JointForm((), codec_named("json"))
    items = [item async for item in engine.stream_joint(ASKED, form, Sampling())]
    assert "".join(map(str, items)) == WORDS


@pytest.mark.parametrize("check", [False, True])
async def test_the_response_stage_keeps_the_words(check: bool) -> None:
    backend = ScriptedBackend("That sounds hard.\nWhat happened?")
    prompts = Prompts(PromptLayout(codec="json"))
    stage = BackendResponse(backend, prompts, replies=Replying(check=check, situations=False))
    await stage.warm_up()
    context = ReasoningContext(utterance="I failed my exam.", plan=Plan())
    said = "".join([str(piece) async for piece in stage.respond(context)])
    assert said.startswith(WORDS)
    assert "What happened" not in said
