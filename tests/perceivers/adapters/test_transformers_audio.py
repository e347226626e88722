"""Any audio classifier of transformers as a reader of voices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.adapters import Checkpoint, TransformersAudio, TransformersSpeech
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.media import AudioFile
from affectgraph.perceivers.speech import Transcript, TranscriptSpan
from affectgraph.perceivers.turn import Turn

pytest.importorskip("transformers", reason="the extra 'gpu' is not installed")

AT = datetime(2026, 1, 1, tzinfo=UTC)
VOICE = Path(__file__).parents[3] / "examples" / "voice.flac"
Make = Callable[..., Path]


def sound(seconds: float, pitch: float = 150.0) -> NDArray[np.float32]:
    """A buzz with a slow swell."""
    t = np.arange(round(seconds * 16_000)) / 16_000
    return np.asarray(0.3 * np.sign(np.sin(2 * np.pi * pitch * t)) * np.sin(3 * t), np.float32)


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "whisper"])
async def test_it_says_what_the_library_says(audio_checkpoint: Make, family: str) -> None:
    import torch
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    folder = audio_checkpoint(family)
    reader = TransformersAudio(Checkpoint(folder))
    distribution = await reader.read(sound(1.0))

    def by_hand() -> NDArray[np.float64]:
        extractor = AutoFeatureExtractor.from_pretrained(folder)
        inputs = extractor(sound(1.0), sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            logits = AutoModelForAudioClassification.from_pretrained(folder)(**inputs).logits
        return np.asarray(logits.softmax(-1)[0].double())

    expected = await asyncio.to_thread(by_hand)
    told = [distribution[label] for label in ("neutral", "joy", "anger", "sadness")]
    np.testing.assert_allclose(told, expected, atol=1e-4)
    assert distribution.label_set == "ekman-7"
    assert reader.name == family


@pytest.mark.parametrize("masked", [True, False])
async def test_a_neighbour_in_the_batch_changes_nothing(
    audio_checkpoint: Make, masked: bool
) -> None:
    """Without a mask the model would take the padding of the shorter one for sound."""
    folder = audio_checkpoint(masked=masked)
    sounds = [sound(0.7, 120), sound(1.6, 200), sound(1.1, 90), sound(1.6, 60)]
    alone = TransformersAudio(Checkpoint(folder))
    single = [await alone.read(each) for each in sounds]
    shared = TransformersAudio(Checkpoint(folder))
    await shared.warm_up()
    together = await asyncio.gather(*map(shared.read, sounds))
    assert dict(shared.stats.sizes) == {4: 1}
    for one, other in zip(single, together, strict=True):
        np.testing.assert_allclose(one.probs, other.probs, atol=1e-4)
    await shared.close()


async def test_long_speech_is_read_in_windows(audio_checkpoint: Make) -> None:
    folder = audio_checkpoint()
    reader = TransformersAudio(Checkpoint(folder), window=2)
    speech = np.concatenate([sound(2.0, 90), sound(2.0, 220)])
    first, second = [await reader.read(part) for part in np.array_split(speech, 2)]
    both = await reader.read(speech)
    mean = (np.array(first.probs) + np.array(second.probs)) / 2
    np.testing.assert_allclose(both.probs, mean, atol=1e-5)


async def test_a_model_for_another_rate_is_refused(audio_checkpoint: Make) -> None:
    with pytest.raises(SetupError, match="wants sound at 8000 Hz, not 16000"):
        await TransformersAudio(Checkpoint(audio_checkpoint(rate=8_000))).warm_up()


class Writes:
    """A transcriber that needs no model."""

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def transcribe(self, samples: NDArray[np.float32]) -> Transcript:
        seconds = len(samples) / 16_000
        span = TranscriptSpan(0.0, seconds, "hello there", 0.9)
        return Transcript("hello there", (span,), 0.9, seconds)


async def test_it_stands_behind_our_voice_activity_detection(audio_checkpoint: Make) -> None:
    perceiver = TransformersSpeech(Checkpoint(audio_checkpoint()), transcriber=Writes())
    assert isinstance(perceiver, Perceiver)
    reading = await perceiver.perceive(Turn(audio=AudioFile(VOICE), at=AT))
    assert reading.affect is not None
    assert reading.affect.distribution.label_set == "ekman-7"
    assert (reading.model, reading.transcript) == ("wav2vec2", "hello there")
    assert all(evidence.kind == "segment" for evidence in reading.affect.evidence)
    assert perceiver.stats.items > 0
    assert "wav2vec2" in [use.name for use in perceiver.models]
    silent = await perceiver.perceive(Turn(text="no voice", at=AT))
    assert silent.abstention is not None
    await perceiver.close()


@pytest.mark.parametrize("window", [0.1, 60.0])
def test_a_window_out_of_range_is_refused(tmp_path: Path, window: float) -> None:
    with pytest.raises(SetupError, match="window must be 1 to 30 seconds"):
        TransformersAudio(Checkpoint(tmp_path), window=window)
