"""Emotions in the language model's own words, told in a declared label set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.orchestrator.testing import ScriptedBackend, conformance
from affectgraph.orchestrator.testing.fakes import HashEmbedder
from affectgraph.perceivers.errors import BackendError, SetupError
from affectgraph.perceivers.labels import EKMAN_7, FERPLUS_8
from affectgraph.reasoners.openvocabulary import OpenVocabulary, emotions_in

AT = datetime(2026, 1, 1, tzinfo=UTC)
NEAR = {
    "anxious": "fear", "terrified": "fear", "delighted": "joy", "proud": "joy", "lonely": "sadness",
}  # fmt: skip


class Neighbours:
    """An embedder that knows which words are near which labels."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._vector(text.removeprefix("feeling ")) for text in texts]

    def _vector(self, word: str) -> list[float]:
        vector = np.full(len(EKMAN_7), 0.1)
        vector[EKMAN_7.labels.index(NEAR.get(word, word))] = 1.0
        return [float(x) for x in vector / np.linalg.norm(vector)]


def reader(says: str, weights: dict[str, float] | None = None, most: int = 5) -> OpenVocabulary:
    return OpenVocabulary(ScriptedBackend(says, weights=weights), Neighbours(), most=most)


TestTextReader = conformance.text_reader(
    lambda: OpenVocabulary(ScriptedBackend("anxious, lonely"), HashEmbedder())
)
TestPerceiver = conformance.perceiver(
    lambda: OpenVocabulary(ScriptedBackend("anxious, lonely"), HashEmbedder())
)


async def test_the_model_s_words_with_how_well_they_fit() -> None:
    words = await reader("Anxious, lonely.", {"anxious": 0.2, "lonely": 0.6}).words("Help me move.")
    assert [(w.word, round(w.weight, 2)) for w in words] == [("lonely", 0.75), ("anxious", 0.25)]


async def test_words_go_to_their_nearest_labels_by_weight() -> None:
    weights = {"anxious": 0.6, "terrified": 0.2, "delighted": 0.2}
    reading = await reader("anxious, terrified, delighted", weights).read("Well, well.", AT)
    assert reading.affect is not None
    told = reading.affect.distribution
    assert told.top == "fear"
    assert told["fear"] == pytest.approx(0.8, abs=0.01)
    assert told["joy"] == pytest.approx(0.2, abs=0.01)
    assert (reading.covers, reading.model) == (11, "open-vocabulary/script")


async def test_one_word_is_enough() -> None:
    reading = await reader("proud").read("I did it.", AT)
    assert reading.affect is not None
    assert reading.affect.top == "joy"


async def test_what_comes_after_the_first_line_is_never_read() -> None:
    backend = ScriptedBackend("proud, delighted\nThe person seems lonely, and then some")
    words = await OpenVocabulary(backend, Neighbours()).words("I did it.")
    assert {word.word for word in words} == {"proud", "delighted"}
    assert backend.streams == backend.closed == 1


async def test_there_are_at_most_so_many_words() -> None:
    words = await reader("proud, anxious, lonely, delighted, terrified", most=2).words("I did it.")
    assert {word.word for word in words} == {"proud", "anxious"}


@pytest.mark.parametrize(
    "says", ["I cannot say what this person may be feeling now.", "None", "no emotion"]
)
async def test_where_no_emotion_is_named_it_abstains(says: str) -> None:
    reading = await reader(says).read("Hm, no.", AT)
    assert reading.abstention is not None
    assert reading.abstention.reason == "low-quality"


@pytest.mark.parametrize(
    ("text", "reason"), [("...", "absent"), ("Сегодня мне грустно", "unsupported-language")]
)
async def test_the_model_is_not_asked_of_what_is_not_read(text: str, reason: str) -> None:
    backend = ScriptedBackend("lonely")
    reading = await OpenVocabulary(backend, Neighbours()).read(text, AT)
    assert reading.abstention is not None
    assert reading.abstention.reason == reason
    assert backend.prompts == []


async def test_a_model_of_any_language_is_asked() -> None:
    told = OpenVocabulary(ScriptedBackend("lonely"), Neighbours(), any_language=True)
    assert (await told.read("Сегодня мне грустно", AT)).affect is not None


async def test_a_backend_that_fails_is_seen() -> None:
    with pytest.raises(BackendError):
        await OpenVocabulary(ScriptedBackend(fault="fails"), Neighbours()).read("Hello there.", AT)


@pytest.mark.parametrize(("most", "sharpness"), [(0, 20.0), (11, 20.0), (5, 0.0)])
def test_numbers_out_of_range_are_refused(most: int, sharpness: float) -> None:
    with pytest.raises(SetupError):
        OpenVocabulary(ScriptedBackend(), Neighbours(), most=most, sharpness=sharpness)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("anxious, overwhelmed, tired", ("anxious", "overwhelmed", "tired")),
        ("Emotions: Anxious; worn out.", ("anxious", "worn out")),
        ("1. sad 2. lonely", ("sad", "lonely")),
        ("- proud\n- delighted", ("proud", "delighted")),
        ("The person feels hopeful and relieved", ("hopeful", "relieved")),
        ("joy, Joy, JOY!", ("joy",)),
        ("bitter-sweet", ("bitter-sweet",)),
        ("I would say that this is sad", ()),
        ("None.", ()),
        ("none of these, nothing", ()),
        ("No emotion", ()),
        ("no strong feelings, tired", ("tired",)),
        ("", ()),
    ],
)
def test_words_are_found_in_an_answer(said: str, words: tuple[str, ...]) -> None:
    assert emotions_in(said) == words


@given(st.text(max_size=60))
def test_whatever_is_said_words_are_short_and_distinct(said: str) -> None:
    words = emotions_in(said)
    assert len(set(words)) == len(words)
    assert all(1 <= len(word.split()) <= 3 for word in words)


async def test_of_a_long_text_every_word_is_shown_to_the_model() -> None:
    backend = ScriptedBackend("lonely, anxious")
    text = " ".join(f"word{n} is tired" for n in range(300))
    assert len(text) > 2 * 2_000
    reading = await OpenVocabulary(backend, Neighbours()).read(text, AT)
    shown = [prompt[-1].content for prompt in backend.prompts]
    assert all(len(message) < 2_200 for message in shown)
    told = set(" ".join(shown).split())
    assert {f"word{n}" for n in range(300)} <= told
    assert reading.covers == len(text)
    assert reading.affect is not None
    (evidence,) = reading.affect.evidence
    assert (evidence.start, evidence.end) == (0, len(text))


async def test_the_words_of_a_long_text_are_weighed_by_the_length_of_what_they_are_of() -> None:
    class Differs(OpenVocabulary):
        async def _named(self, text: str) -> tuple[str, ...]:
            return ("lonely",) if "alone" in text else ("proud", "delighted")

    told = Differs(ScriptedBackend(weights={"proud": 0.5, "delighted": 0.5}), Neighbours(), most=2)
    text = "a" * 1_999 + " " + "b" * 1_499 + " " + "alone" * 100
    # 2,000 characters with two words, and 2,000 with one.
    words = await told.words(text)
    assert [word.word for word in words] == ["lonely", "proud"]
    assert [word.weight for word in words] == pytest.approx([2 / 3, 1 / 3])


async def test_a_window_that_fails_stops_the_others() -> None:
    stopped = asyncio.Event()

    class Fails(OpenVocabulary):
        async def _named(self, text: str) -> tuple[str, ...]:
            if "alone" in text:
                raise BackendError("script", "is gone")
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            return ()

    with pytest.raises(BackendError, match="is gone"):
        await Fails(ScriptedBackend(), Neighbours()).words("a" * 1_999 + " alone again")
    assert stopped.is_set()


async def test_closing_closes_the_language_models_connections() -> None:
    class Connected(ScriptedBackend):
        connections = 1

        async def close(self) -> None:
            self.connections = 0

    backend = Connected("lonely")
    await OpenVocabulary(backend, Neighbours()).close()
    assert backend.connections == 0
    # Most hold nothing.
    await reader("lonely").close()


@pytest.mark.models
@pytest.mark.local_lm
async def test_a_small_model_in_process_names_emotions(
    requires_model: Callable[[str], Path],
) -> None:
    pytest.importorskip("torch", reason="the extra 'local' is not installed")
    from affectgraph.perceivers.text import MiniLMEncoder
    from affectgraph.reasoners.backends.local import LocalBackend

    requires_model("smollm2-135m")
    requires_model("minilm")
    told = OpenVocabulary(LocalBackend(threads=1), MiniLMEncoder(), label_set=FERPLUS_8, most=3)
    await told.warm_up()
    text = "I am so scared of the operation tomorrow."
    words = await told.words(text)
    assert 1 <= len(words) <= 3
    assert sum(word.weight for word in words) == pytest.approx(1)
    reading = await told.read(text, AT)
    assert reading.affect is not None
    assert reading.affect.distribution.label_set == "ferplus-8"
