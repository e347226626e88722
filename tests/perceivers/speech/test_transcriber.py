from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelMissingError
from affectgraph.perceivers.media import AudioFile
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import Transcript, WhisperTranscriber, WordGuard

DEMO = Path(__file__).parents[3] / "examples" / "voice.flac"


def segment(**changes: object) -> SimpleNamespace:
    usual = {
        "text": " Hello.",
        "avg_logprob": -0.3,
        "no_speech_prob": 0.1,
        "compression_ratio": 1.0,
    }
    return SimpleNamespace(**(usual | changes))


@pytest.mark.parametrize(
    ("changes", "believed"),
    [
        ({}, True),
        ({"no_speech_prob": 0.9}, True),
        ({"avg_logprob": -1.2}, True),
        ({"no_speech_prob": 0.9, "avg_logprob": -1.2}, False),
        ({"avg_logprob": -1.6}, False),
        ({"avg_logprob": float("nan")}, False),
        ({"compression_ratio": 2.5}, False),
        ({"text": "  "}, False),
    ],
)
def test_which_words_are_believed(changes: dict[str, object], believed: bool) -> None:
    assert WordGuard().believes(segment(**changes)) is believed


async def test_silence_and_noise_give_no_words_and_need_no_model(tmp_path: Path) -> None:
    transcriber = WhisperTranscriber(ModelStore(tmp_path))
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    assert await transcriber.transcribe(np.zeros(48_000, dtype=np.float32)) == Transcript()
    assert await transcriber.transcribe(noise) == Transcript()


async def test_a_missing_model_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"models pull whisper-tiny\.en"):
        await WhisperTranscriber(ModelStore(tmp_path)).warm_up()


@pytest.fixture
def samples() -> NDArray[np.float32]:
    return AudioFile(DEMO).samples


@pytest.mark.models
async def test_words_of_the_demo_clip(
    requires_model: Callable[[str], Path], model_store: ModelStore, samples: NDArray[np.float32]
) -> None:
    requires_model("whisper-tiny.en")
    transcriber = WhisperTranscriber(model_store)
    first = await transcriber.transcribe(samples)
    assert first == await transcriber.transcribe(samples)
    assert first.text == " ".join(span.text for span in first.spans)
    assert 0.5 < first.confidence <= 1.0
    assert 1.0 < first.speech_seconds <= len(samples) / 16_000
    assert all(0 <= span.start <= span.end for span in first.spans)
    # Three seconds of silence before move the words, and change none.
    later = await transcriber.transcribe(np.pad(samples, (48_000, 0)))
    assert later.text == first.text
    assert later.spans[0].start == pytest.approx(first.spans[0].start + 3.0, abs=0.6)
