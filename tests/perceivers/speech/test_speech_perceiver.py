from __future__ import annotations

import asyncio
import re
import wave
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Distribution, Reading
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import MediaError, ModelMissingError, NodeError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.media import AudioFile, VideoFile
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import (
    ActivityDetector,
    SpeechActivity,
    SpeechEmotion,
    Transcript,
    TranscriptSpan,
    VoiceEmotion,
    VoiceReader,
)
from affectgraph.perceivers.turn import Turn

DEMO = Path(__file__).parents[3] / "examples" / "voice.flac"
Samples = NDArray[np.float32]
HEARD = Transcript("I am here.", (TranscriptSpan(0.6, 1.4, "I am here.", 0.8),), 0.8, 1.5)


class FakeTranscriber:
    """Hears the same words in everything, fails, or hangs."""

    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.error, self.hangs, self.warm = error, hangs, 0

    async def warm_up(self) -> None:
        self.warm += 1

    async def transcribe(self, samples: Samples) -> Transcript:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return HEARD


class FakeVoice:
    """Sounds sad, fails, or hangs."""

    name = "fake.v1"

    def __init__(self, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.error, self.hangs = error, hangs

    async def warm_up(self) -> None:
        pass

    async def read(self, speech: Samples) -> Distribution:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        return Distribution.over(RAVDESS_8, {"sad": 0.7, "calm": 0.3})


class FixedDetector(ActivityDetector):
    """Finds speech where it is told to."""

    def find(self, samples: Samples) -> SpeechActivity:
        return SpeechActivity(((0.5, 1.5), (1.8, 2.0)), -20.0)


def wav(path: Path, samples: NDArray[np.floating]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def buzz(seconds: float) -> NDArray[np.float64]:
    """A buzz in syllables, two a second, over a quiet room."""
    time = np.arange(int(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(2 * np.pi * 0.7 * time)) / 16_000
    voice = np.asarray(sum(np.sin(k * phase) / k for k in range(1, 9)))
    return np.asarray(0.1 * voice * np.maximum(np.sin(2 * np.pi * 2 * time), 0.0) ** 2)


@pytest.fixture
def note(tmp_path: Path) -> Turn:
    return Turn(audio=AudioFile(wav(tmp_path / "note.wav", buzz(3.0))))


def perceiver(
    transcriber: FakeTranscriber | None = None,
    voice: FakeVoice | None = None,
    detector: ActivityDetector | None = None,
) -> SpeechEmotion:
    return SpeechEmotion(
        transcriber=transcriber or FakeTranscriber(),
        voice=voice or FakeVoice(),
        detector=detector or FixedDetector(),
        transcript_seconds=0.2,
        voice_seconds=0.2,
    )


def reason(reading: Reading) -> str:
    assert reading.abstention is not None
    return reading.abstention.reason


async def test_words_and_voice_side_by_side(note: Turn) -> None:
    part = perceiver()
    assert isinstance(part, Perceiver)
    assert isinstance(FakeVoice(), VoiceReader)
    assert isinstance(VoiceEmotion(), VoiceReader)
    await part.warm_up()
    reading = await part.perceive(note)
    assert reading.modality == part.modality == "speech"
    assert reading.transcript == "I am here."
    assert reading.affect is not None
    assert reading.affect.top == "sad"
    assert reading.affect.captured_at == note.at
    assert reading.affect.vad.valence < 0
    first, second = reading.affect.evidence
    assert (first.kind, first.start, first.end, first.score) == ("segment", 0.5, 1.5, 0.8)
    assert second.score is None
    assert reading.model == "fake.v1"
    assert reading.prosody is not None
    assert reading.prosody.speech_seconds == pytest.approx(1.2)
    assert reading.prosody.pauses == 1
    assert reading.prosody.words_per_minute == pytest.approx(3 / 1.5 * 60)


async def test_a_missing_model_does_not_leave_the_other_part_at_work(note: Turn) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    class Lacking(FakeTranscriber):
        async def transcribe(self, samples: Samples) -> Transcript:
            await begun.wait()
            raise ModelMissingError("whisper-tiny.en")

    class Patient(FakeVoice):
        async def read(self, speech: Samples) -> Distribution:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                left.set()
            raise AssertionError("nothing ends this wait but leaving it")

    with pytest.raises(ModelMissingError):
        await perceiver(Lacking(), Patient()).perceive(note)
    assert left.is_set()


async def test_closing_closes_the_parts_that_can_be_closed() -> None:
    class Closing(FakeVoice):
        closed = 0

        async def close(self) -> None:
            self.closed += 1

    voice = Closing()
    # The transcriber holds nothing and has no such method.
    await perceiver(voice=voice).close()
    assert voice.closed == 1


async def test_the_sound_of_a_video_is_read_where_there_is_no_note(
    note: Turn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = Turn(video=VideoFile(tmp_path / "film.mp4"))
    monkeypatch.setattr(VideoFile, "sound", property(lambda _: note.audio))
    assert (await perceiver().perceive(film)).transcript == "I am here."
    monkeypatch.setattr(VideoFile, "sound", property(lambda _: None))
    assert reason(await perceiver().perceive(film)) == "absent"


async def test_a_sound_without_room_for_a_pause_is_too_short_not_noise() -> None:
    class AllOfIt(ActivityDetector):
        def find(self, samples: Samples) -> SpeechActivity:
            return SpeechActivity(((0.0, len(samples) / 16_000),), -20.0)

    steady = (0.2 * np.sin(np.arange(4_800) / 10)).astype(np.float32)
    reading = await perceiver(detector=AllOfIt()).read(steady, datetime.now(UTC))
    assert reason(reading) == "too-short"


async def test_no_audio_is_absent() -> None:
    assert reason(await perceiver().perceive(Turn(text="Hello."))) == "absent"


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (np.zeros(32_000), "silence"),
        (np.random.default_rng(0).normal(0, 1e-4, 32_000), "silence"),
        (np.random.default_rng(0).normal(0, 0.1, 64_000), "noise"),
        (0.3 * np.sin(2 * np.pi * 440 * np.arange(64_000) / 16_000), "noise"),
        (0.5 * np.sign(np.sin(2 * np.pi * 50 * np.arange(64_000) / 16_000)), "noise"),
    ],
    ids=["nothing", "a breath of hiss", "white noise", "a tone", "a hum"],
)
async def test_sounds_without_speech(
    tmp_path: Path, signal: NDArray[np.floating], expected: str
) -> None:
    part = perceiver(detector=ActivityDetector())
    reading = await part.perceive(Turn(audio=AudioFile(wav(tmp_path / "a.wav", signal))))
    assert reason(reading) == expected
    assert reading.transcript is None


async def test_a_word_is_too_short_to_be_read_and_still_heard(tmp_path: Path) -> None:
    class OneWord(ActivityDetector):
        def find(self, samples: Samples) -> SpeechActivity:
            return SpeechActivity(((0.5, 0.9),), -20.0)

    path = wav(tmp_path / "word.wav", buzz(1.0))
    reading = await perceiver(detector=OneWord()).perceive(Turn(audio=AudioFile(path)))
    assert reason(reading) == "too-short"
    assert reading.transcript == "I am here."
    deaf = perceiver(FakeTranscriber(RuntimeError("secret words")), detector=OneWord())
    reading = await deaf.perceive(Turn(audio=AudioFile(path)))
    assert reason(reading) == "too-short"
    assert reading.abstention is not None
    assert "secret" not in reading.abstention.detail


def lost_in_noise() -> NDArray[np.float64]:
    sound = buzz(3.0)
    return sound + np.random.default_rng(0).normal(0, sound.std(), len(sound))


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (lost_in_noise(), "noise"),
        (buzz(3.0) * 1e-3, "silence"),
        (buzz(3.0) * 100, "low-quality"),
        (buzz(3.0) + 0.3, "low-quality"),
    ],
    ids=["noise", "faint", "clipped", "offset"],
)
async def test_a_voice_that_cannot_be_read_is_not_and_its_words_are_if_they_are_sure(
    tmp_path: Path, signal: NDArray[np.floating], expected: str
) -> None:
    turn = Turn(audio=AudioFile(wav(tmp_path / "poor.wav", signal)))
    reading = await perceiver().perceive(turn)
    assert reason(reading) == expected
    assert reading.transcript == "I am here."
    assert reading.prosody is None
    doubtful = SpeechEmotion(
        transcriber=FakeTranscriber(), voice=FakeVoice(), detector=FixedDetector(), sure=0.9
    )
    assert (await doubtful.perceive(turn)).transcript == ""
    # Nothing can be said of either: one line tells both.
    deaf = await perceiver(FakeTranscriber(RuntimeError("secret words"))).perceive(turn)
    assert reason(deaf) == expected
    assert deaf.transcript is None


@pytest.mark.parametrize(
    "transcriber", [FakeTranscriber(RuntimeError("secret words")), FakeTranscriber(hangs=True)]
)
async def test_the_voice_is_read_when_the_words_are_lost(
    note: Turn, transcriber: FakeTranscriber, caplog: pytest.LogCaptureFixture
) -> None:
    reading = await perceiver(transcriber).perceive(note)
    assert reading.affect is not None
    assert reading.affect.top == "sad"
    assert reading.transcript is None
    assert "the words" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("voice", "expected"),
    [(FakeVoice(RuntimeError("broken")), "failed"), (FakeVoice(hangs=True), "timeout")],
)
async def test_the_words_are_kept_when_the_voice_is_lost(
    note: Turn, voice: FakeVoice, expected: str
) -> None:
    reading = await perceiver(voice=voice).perceive(note)
    assert reason(reading) == expected
    assert reading.abstention is not None
    assert "the voice" in reading.abstention.detail
    assert reading.transcript == "I am here."


async def test_when_both_are_lost_the_node_fails_without_quoting(note: Turn) -> None:
    part = perceiver(FakeTranscriber(RuntimeError("secret words")), FakeVoice(ValueError("x")))
    with pytest.raises(NodeError, match="RuntimeError") as caught:
        await part.perceive(note)
    assert "secret" not in str(caught.value)


async def test_a_missing_model_is_not_hidden(note: Turn) -> None:
    with pytest.raises(ModelMissingError):
        await perceiver(FakeTranscriber(ModelMissingError("whisper-tiny.en"))).perceive(note)


async def test_a_bad_file_is_the_callers_fault(tmp_path: Path) -> None:
    (tmp_path / "note.wav").write_bytes(b"not sound")
    with pytest.raises(MediaError, match=r"note\.wav"):
        await perceiver().perceive(Turn(audio=AudioFile(tmp_path / "note.wav")))


@pytest.fixture
def brief_note(tmp_path: Path) -> Turn:
    """The first 0.35 seconds of the demo clip's voice."""
    samples = AudioFile(DEMO).samples
    start = ActivityDetector().find(samples).spans[0][0]
    first = samples[: round((start + 0.35) * 16_000)]
    return Turn(audio=AudioFile(wav(tmp_path / "brief.wav", first)))


@pytest.mark.models
async def test_the_demo_clip(
    requires_model: Callable[[str], Path], model_store: ModelStore, brief_note: Turn
) -> None:
    requires_model("whisper-tiny.en")
    part = SpeechEmotion(model_store)
    await part.warm_up()
    reading = await part.perceive(Turn(audio=AudioFile(DEMO)))
    said = "goodbye thank you for trying out the asterisk open source pbx"
    assert reading.transcript is not None
    assert re.findall(r"\w+", reading.transcript.lower()) == said.split()
    # A bright, friendly voice.
    assert reading.affect is not None
    assert reading.affect.top == "happy"
    assert reading.affect.confidence > 0.5
    assert reason(await part.perceive(brief_note)) == "too-short"
