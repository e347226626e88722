from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.affect import Evidence, Reading
from affectgraph.perceivers.contracts import Perceiver, TextReader
from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.text import MiniLMEncoder, TextEmotion, VADScale
from affectgraph.perceivers.text.language import sentences, unreadable
from affectgraph.perceivers.turn import Turn

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def encoder() -> MiniLMEncoder:
    return MiniLMEncoder(cache_size=0)


@pytest.fixture
def reader(encoder: MiniLMEncoder) -> TextEmotion:
    return TextEmotion(encoder)


def basic(reading: Reading) -> str:
    assert reading.affect is not None
    return reading.affect.distribution.to(EKMAN_7).top


def shown(reading: Reading) -> Evidence:
    assert reading.affect is not None
    [evidence] = reading.affect.evidence
    return evidence


def words(reading: Reading, text: str) -> str:
    evidence = shown(reading)
    assert evidence.start is not None
    assert evidence.end is not None
    return text[int(evidence.start) : int(evidence.end)]


@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("I am so happy I passed!", "joy"),
        ("Thank you, that really helped me.", "joy"),
        ("I'm terrified of tomorrow", "fear"),
        ("I am so nervous about the interview, I can't stop shaking.", "fear"),
        ("My grandmother died and I can't stop crying", "sadness"),
        ("I feel so sad and lonely today.", "sadness"),
        ("How dare you lie to me", "anger"),
        ("I am furious with my boss, he is a damn liar.", "anger"),
        ("That smell is disgusting, it makes me sick.", "disgust"),
        ("Wow, I did not expect that at all!", "surprise"),
        ("The meeting is on the second floor.", "neutral"),
    ],
)
async def test_plain_sentences_are_read_as_anyone_would(
    text: str, emotion: str, reader: TextEmotion
) -> None:
    reading = await reader.perceive(Turn(text=text, at=NOON))
    assert basic(reading) == emotion
    assert reading.modality == "text"
    assert reading.covers == len(text)
    assert reading.model
    assert reading.affect is not None
    assert reading.affect.captured_at == NOON
    assert reading.affect.confidence == pytest.approx(reading.affect.distribution.top_p)


async def test_the_evidence_is_the_sentence_that_speaks_most(reader: TextEmotion) -> None:
    text = "I went to the shop on Monday. I am terrified of tomorrow! The bus was red."
    reading = await reader.read(text, NOON)
    assert basic(reading) == "fear"
    assert words(reading, text) == "I am terrified of tomorrow!"
    score = shown(reading).score
    assert score is not None
    assert score > 0.5


async def test_one_sentence_is_its_own_evidence(reader: TextEmotion) -> None:
    reading = await reader.read("  I am so happy I passed!  ", NOON)
    assert words(reading, "  I am so happy I passed!  ") == "I am so happy I passed!"


async def test_the_end_of_a_long_text_counts_too(reader: TextEmotion) -> None:
    calm = "The meeting is on the second floor. " * 45
    glad = "I am so happy, I love this, what a wonderful joy! " * 60
    reading = await reader.read(calm + glad, NOON)
    assert basic(reading) == "joy"
    assert reading.covers == len(calm + glad)
    assert "happy" in words(reading, calm + glad)


async def test_the_turn_is_encoded_once() -> None:
    encoder = MiniLMEncoder()
    reader = TextEmotion(encoder)
    await reader.perceive(Turn(text="I am so happy I passed! Really."))
    assert list(encoder._cache) == ["I am so happy I passed! Really."]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "absent"),
        ("  \n ", "absent"),
        ("12:30 ... ?!", "absent"),
        ("\U0001f62d\U0001f62d", "absent"),
        ("Мне очень грустно сегодня", "unsupported-language"),
        ("今日はとても悲しいです", "unsupported-language"),
        ("أنا حزين جدا اليوم", "unsupported-language"),
        ("Estoy muy triste porque mi abuela ha muerto", "unsupported-language"),
        ("Ich bin heute sehr traurig und weiß nicht warum", "unsupported-language"),
        ("Je suis très triste et je ne sais pas pourquoi", "unsupported-language"),
    ],
)
async def test_what_cannot_be_read_is_not_guessed_at(
    text: str, reason: str, tmp_path: Path
) -> None:
    # No model is needed to say so.
    reader = TextEmotion(MiniLMEncoder(weights=tmp_path / "absent.onnx"))
    reading = await reader.read(text, NOON)
    assert reading.abstention is not None
    assert reading.abstention.reason == reason
    assert text.strip() == "" or text not in reading.abstention.detail


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "Café naïve résumé",
        "My friend 王 left",
        "Que sera, sera, as my mum would say.",
        "das ist what he said to me and I laughed",
        "Don’t know",  # noqa: RUF001 - a typed apostrophe
    ],
)
def test_english_with_a_foreign_word_is_read(text: str) -> None:
    assert unreadable(text) is None


@pytest.mark.data
def test_published_english_texts_are_taken_for_english(data_root: Path) -> None:
    lines = (data_root / "goemotions" / "dev.tsv").read_text(encoding="utf-8").split("\n")
    texts = [line.split("\t")[0] for line in lines if line]
    refused = [text for text in texts if unreadable(text) == "unsupported-language"]
    assert len(refused) < 0.002 * len(texts)


def test_sentences_end_at_marks_and_lines() -> None:
    text = ' One. Two?! "Three."\nfour\n\n5.\nVersion 2.5 is out… Six'
    assert [text[a:b] for a, b in sentences(text)] == [
        "One.", "Two?!", '"Three."', "four", "Version 2.5 is out…", "Six",
    ]  # fmt: skip


@given(st.text(max_size=200))
def test_sentences_stand_in_order_inside_the_text(text: str) -> None:
    spans = sentences(text)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= a < b <= len(text) and text[a:b] == text[a:b].strip() for a, b in spans)
    assert bool(spans) >= (unreadable(text) is None)


async def test_missing_weights_are_said_at_warm_up(tmp_path: Path) -> None:
    with pytest.raises(SetupError):
        await TextEmotion(MiniLMEncoder(weights=tmp_path / "absent.onnx")).warm_up()


@pytest.mark.parametrize(
    ("pleasant", "unpleasant"),
    [
        ("What a wonderful, sunny morning!", "It was a cold and miserable funeral."),
        ("She won the prize and everyone cheered.", "They were murdered in their sleep."),
    ],
)
async def test_valence_is_measured_and_orders_texts(
    pleasant: str, unpleasant: str, reader: TextEmotion
) -> None:
    good, bad = [(await reader.read(text, NOON)).affect for text in (pleasant, unpleasant)]
    assert good is not None
    assert bad is not None
    assert good.vad_source == bad.vad_source == "measured"
    assert good.vad.valence > 0 > bad.vad.valence


def test_the_scale_is_a_line_that_stays_in_range(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text('{"alignment": {"centre": [3, 3, 3], "slope": [2, 1, 0.5]}}')
    told = VADScale.load(facts).told(np.array([3.25, 9.0, 2.0]))
    assert (told.valence, told.arousal, told.dominance) == (0.5, 1.0, -0.5)


@pytest.mark.parametrize("text", ["", "{}", '{"alignment": {"centre": [3], "slope": [1]}}'])
def test_a_scale_that_cannot_be_used_is_named(text: str, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text(text)
    with pytest.raises(ModelCorruptError, match=r"facts\.json"):
        VADScale.load(facts)


def test_it_is_a_perceiver_and_reads_transcripts() -> None:
    reader = TextEmotion(MiniLMEncoder())
    assert isinstance(reader, Perceiver)
    assert isinstance(reader, TextReader)
    assert reader.modality == "text"
