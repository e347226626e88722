"""OpenAI's Whisper as the transcriber, on a checkpoint in its own format that knows two words."""

from __future__ import annotations

import asyncio
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.adapters import OpenAIWhisper
from affectgraph.perceivers.device import Device
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.media import AudioFile
from affectgraph.perceivers.speech import ActivityDetector, WordGuard

pytest.importorskip("torch", reason="the extra 'gpu' is not installed")
pytest.importorskip("whisper", reason="the extra 'gpu' is not installed")

VOICE = Path(__file__).parents[3] / "examples" / "voice.flac"
WIDTH = 16


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whisper with one layer that says " hello again" of any sound, from 0 to 0.5 seconds.

    Nothing is added to the decoder's stream, so its place alone says which token comes next.
    """
    import torch
    from whisper.model import ModelDimensions, Whisper
    from whisper.tokenizer import get_tokenizer

    dims = {
        "n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": WIDTH, "n_audio_head": 2,
        "n_audio_layer": 1, "n_vocab": 51_864, "n_text_ctx": 448, "n_text_state": WIDTH,
        "n_text_head": 2, "n_text_layer": 1,
    }  # fmt: skip
    torch.manual_seed(1)
    model = Whisper(ModelDimensions(**dims))
    with warnings.catch_warnings():
        # The library leaves its vocabulary's file to be closed by chance.
        warnings.simplefilter("ignore", ResourceWarning)
        tokenizer = get_tokenizer(multilingual=False)
    begin, half = tokenizer.timestamp_begin, tokenizer.timestamp_begin + 25
    says = [begin, *tokenizer.encode(" hello again"), half, half, tokenizer.eot]
    assert len(says) < WIDTH
    with torch.no_grad():
        block = model.decoder.blocks[0]
        for module in (block.attn.out, block.cross_attn.out, block.mlp[2]):
            module.weight.zero_()
            module.bias.zero_()
        model.decoder.token_embedding.weight.zero_()
        model.decoder.positional_embedding.zero_()
        for place, token in enumerate(says):
            model.decoder.token_embedding.weight[token, place] += 20.0
            # Far above what the token's own row brings in.
            model.decoder.positional_embedding[place, place] = 1e4
        model.decoder.positional_embedding[len(says) :, len(says) - 1] = 1e4
    path = tmp_path_factory.mktemp("whisper") / "hello.en.pt"
    torch.save({"dims": dims, "model_state_dict": model.state_dict()}, path)
    return path


@pytest.fixture
def voice() -> NDArray[np.float32]:
    return AudioFile(VOICE).samples


@pytest.mark.parametrize("beam", [1, 3])
def test_words_with_their_places(checkpoint: Path, voice: NDArray[np.float32], beam: int) -> None:
    transcriber = OpenAIWhisper(checkpoint, beam=beam, detector=ActivityDetector(margin=0.0))
    activity = ActivityDetector(margin=0.0).find(voice)
    heard = asyncio.run(transcriber.transcribe(voice))
    assert heard.text.startswith("hello again")
    assert heard.spans[0].text == "hello again"
    # Whisper was shown the sound from the first speech on, and tells times in all of it.
    assert heard.spans[0].start == pytest.approx(activity.spans[0][0], abs=0.02)
    assert heard.spans[0].end == pytest.approx(activity.spans[0][0] + 0.5, abs=0.02)
    assert 0.9 < heard.confidence <= 1
    assert heard.speech_seconds == pytest.approx(activity.seconds)


async def test_where_nobody_speaks_there_are_no_words(checkpoint: Path) -> None:
    heard = await OpenAIWhisper(checkpoint).transcribe(np.zeros(32_000, np.float32))
    assert (heard.text, heard.spans, heard.speech_seconds) == ("", (), 0.0)


async def test_words_that_the_guard_does_not_believe_are_dropped(
    checkpoint: Path, voice: NDArray[np.float32]
) -> None:
    nothing = OpenAIWhisper(checkpoint, guard=WordGuard(hopeless=0.5))
    heard = await nothing.transcribe(voice)
    assert heard.text == ""
    assert heard.speech_seconds > 1


async def test_what_cannot_be_used_is_told(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"tiny is absent"):
        await OpenAIWhisper(tmp_path / "tiny").warm_up()
    (tmp_path / "odd.pt").write_bytes(b"no checkpoint")
    with pytest.raises(SetupError, match=r"odd\.pt: not a Whisper checkpoint"):
        await OpenAIWhisper(tmp_path / "odd.pt").warm_up()
    with pytest.raises(SetupError, match="knows English only, not 'de'"):
        await OpenAIWhisper(checkpoint, language="de").warm_up()
    with pytest.raises(SetupError, match="not one for the language 'elvish'"):
        await OpenAIWhisper(checkpoint, language="elvish").warm_up()
    with pytest.raises(SetupError, match="not bf16"):
        await OpenAIWhisper(checkpoint, device=Device(precision="bf16")).warm_up()


def test_a_bare_name_is_a_file_and_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``tiny`` is also the name of a model that the library would fetch."""
    import whisper

    def refuse(*args: object) -> None:
        raise AssertionError("a download was tried")

    monkeypatch.setattr(whisper, "_download", refuse)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").write_bytes(b"no checkpoint")
    with pytest.raises(SetupError, match="tiny: not a Whisper checkpoint"):
        asyncio.run(OpenAIWhisper(Path("tiny")).warm_up())


def test_one_sound_is_decoded_at_a_time(
    checkpoint: Path, voice: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two decodings on one model would mix, whichever threads they run on."""
    import whisper

    transcribe, inside, most, second = whisper.transcribe, 0, 0, threading.Event()

    def counted(*args: Any, **options: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        if inside > 1:
            second.set()
        second.wait(0.2)
        try:
            return transcribe(*args, **options)
        finally:
            inside -= 1

    monkeypatch.setattr(whisper, "transcribe", counted)
    transcriber = OpenAIWhisper(checkpoint, beam=1)
    with ThreadPoolExecutor(2) as threads:
        heard = list(threads.map(transcriber.transcribe_blocking, [voice, voice]))
    assert heard[0] == heard[1]
    assert most == 1


def test_no_hypothesis_is_refused(checkpoint: Path) -> None:
    with pytest.raises(SetupError, match="beam must be at least 1"):
        OpenAIWhisper(checkpoint, beam=0)
