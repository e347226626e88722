from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.media import AudioFile
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import (
    ActivityDetector,
    VoiceEmotion,
    VoiceHead,
    WhisperEncoder,
)
from affectgraph.perceivers.speech.emotion import WEIGHTS
from affectgraph.perceivers.speech.encoder import LAYERS
from affectgraph.perceivers.speech.voice_onnx import LinearPart, Member, head_model

ANGRY, SAD = RAVDESS_8.labels.index("angry"), RAVDESS_8.labels.index("sad")
DIM, HIDDEN, HEADS = 6, 5, 2


class PlainEncoder(WhisperEncoder):
    """Tells whether low or high bands are louder, and notes what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.lengths: list[list[int]] = []

    def load(self) -> None:
        pass

    def batch(self, mels: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.lengths.append([mel.shape[1] for mel in mels])
        told = [np.zeros((mel.shape[1] // 2, LAYERS), dtype=np.float32) for mel in mels]
        for layers, mel in zip(told, mels, strict=True):
            layers[:, 0] = np.sign(mel[:20].mean() - mel[60:].mean())
        return told


def linear() -> LinearPart:
    """Angry where the first channel is high, sad where it is low."""
    weight = np.zeros((2 * LAYERS, 8))
    weight[0, ANGRY], weight[0, SAD] = 10, -10
    return LinearPart(weight, np.zeros(8))


def member(seed: int) -> Member:
    draw = np.random.default_rng(seed).normal
    width = 2 * HEADS * HIDDEN
    return Member(
        components=draw(0, 0.05, (LAYERS, DIM)),
        offset=draw(size=DIM),
        convolution=(draw(0, 0.3, (HIDDEN, DIM, 3)), draw(size=HIDDEN)),
        attention=(draw(size=(HIDDEN, 4)), draw(size=4), draw(size=(4, HEADS)), draw(size=HEADS)),
        norm=(draw(1, 0.1, width), draw(0, 0.1, width)),
        output=(draw(0, 0.5, (width, 8)), draw(size=8)),
    )


def saved(path: Path, *members: Member, share: float = 1.0, temperature: float = 1.0) -> Path:
    model = head_model(linear(), members, share=share, temperature=temperature)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def by_hand(part: Member, layers: NDArray[np.float32]) -> NDArray[np.float64]:
    """A member's log-probabilities, in plain numpy."""
    from math import erf

    pairs = layers[: len(layers) // 2 * 2].reshape(-1, 2, LAYERS).mean(axis=1)
    inputs = np.pad(pairs @ part.components + part.offset, ((1, 1), (0, 0)))
    kernel, bias = part.convolution
    hidden = np.stack(
        [np.einsum("td,hdt->h", inputs[at : at + 3], kernel) + bias for at in range(len(pairs))]
    )
    hidden = 0.5 * hidden * (1 + np.vectorize(erf)(hidden / np.sqrt(2)))
    first, first_bias, second, second_bias = part.attention
    scores = np.tanh(hidden @ first + first_bias) @ second + second_bias
    weight = np.exp(scores) / np.exp(scores).sum(axis=0)
    mean = weight.T @ hidden
    deviation = np.sqrt(np.maximum(weight.T @ hidden**2 - mean**2, 1e-5))
    told = np.concatenate([mean, deviation], axis=1).reshape(-1)
    told = (told - told.mean()) / np.sqrt(told.var() + 1e-5) * part.norm[0] + part.norm[1]
    logits = told @ part.output[0] + part.output[1]
    return np.asarray(logits - np.log(np.exp(logits).sum()))


@pytest.mark.parametrize("positions", [2, 9, 50])
def test_the_graph_does_what_it_says(tmp_path: Path, positions: int) -> None:
    parts = (member(0), member(1))
    layers = np.random.default_rng(2).normal(size=(positions, LAYERS)).astype(np.float32)
    head = VoiceHead(saved(tmp_path / "head.onnx", *parts, share=0.25, temperature=2.0))
    pairs = layers[: positions // 2 * 2].reshape(-1, 2, LAYERS).mean(axis=1)
    pooled = np.concatenate([pairs.mean(axis=0), pairs.std(axis=0)])
    logits = pooled @ linear().weight
    plain = logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()
    whole = 0.25 * plain + 0.375 * (by_hand(parts[0], layers) + by_hand(parts[1], layers))
    expected = np.exp(whole / 2) / np.exp(whole / 2).sum()
    # The weights are stored as float16.
    np.testing.assert_allclose(head.probabilities(layers), expected, atol=0.01)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0, 100))
def test_probabilities_are_a_distribution_and_temperature_keeps_their_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, scale: float
) -> None:
    folder = tmp_path_factory.mktemp("heads")
    layers = np.random.default_rng(seed).normal(0, scale, (11, LAYERS)).astype(np.float32)
    plain, calm = (
        VoiceHead(saved(folder / f"{t}.onnx", member(3), share=0.5, temperature=t)).probabilities(
            layers
        )
        for t in (1.0, 3.0)
    )
    for probs in (plain, calm):
        assert probs.sum() == pytest.approx(1.0, abs=1e-4)
    assert calm[plain.argmax()] == pytest.approx(calm.max())
    assert calm.max() <= plain.max() + 1e-6


async def test_a_long_note_is_read_in_equal_windows_that_are_averaged(tmp_path: Path) -> None:
    encoder = PlainEncoder()
    voice = VoiceEmotion(encoder, weights=saved(tmp_path / "head.onnx"), window=2.0)
    at = np.arange(24_000) / 16_000
    low, high = (np.sin(2 * np.pi * hertz * at).astype(np.float32) for hertz in (200, 5000))
    read = await voice.read(np.concatenate([low, high]))
    assert encoder.lengths == [[150, 150]]
    assert read.labels == RAVDESS_8.labels
    assert read["angry"] == pytest.approx(read["sad"], abs=0.02)
    assert read["angry"] > 0.4
    # Sessions that read at once share a pass, and each gets its own answer.
    tops = [read.top for read in await asyncio.gather(voice.read(low), voice.read(high))]
    assert tops == ["angry", "sad"]
    assert len(encoder.lengths[-1]) == 2
    await voice.close()


@pytest.mark.parametrize("window", [0.0, -1.0, 0.9, 30.5, float("nan")])
def test_a_window_out_of_range_is_refused(window: float) -> None:
    with pytest.raises(SetupError, match="1 to 30 seconds"):
        VoiceEmotion(PlainEncoder(), window=window)


def test_the_shipped_weights_are_small_and_sound() -> None:
    assert WEIGHTS.stat().st_size < 4_000_000
    assert VoiceHead().probabilities(np.zeros((50, LAYERS), np.float32)).shape == (8,)


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x0a\x12\x00 cut short"])
def test_broken_weights_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.onnx").write_bytes(content)
    with pytest.raises(SetupError, match=r"head\.onnx"):
        VoiceHead(tmp_path / "head.onnx")


def test_absent_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"none\.onnx"):
        VoiceHead(tmp_path / "none.onnx")


def test_a_head_with_other_labels_is_refused(tmp_path: Path) -> None:
    model = head_model(linear(), (), share=1.0, temperature=1.0)
    onnx.helper.set_model_props(model, {"labels": "yes no"})
    (tmp_path / "head.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelCorruptError, match="labels"):
        VoiceHead(tmp_path / "head.onnx")


@pytest.mark.models
@pytest.mark.data
def test_recordings_of_ravdess_are_read_as_played(
    requires_model: Callable[[str], Path], model_store: ModelStore, data_root: Path
) -> None:
    """The shipped head was trained on these: it shows that training and use fit together."""
    requires_model("whisper-tiny.en")
    voice = VoiceEmotion(WhisperEncoder(model_store))
    spoken = []
    for emotion in range(1, 9):
        # Strong intensity; neutral has none.
        name = f"03-01-{emotion:02d}-{1 if emotion == 1 else 2:02d}-01-01-04.flac"
        samples = AudioFile(data_root / "ravdess" / name).samples
        spoken.append(ActivityDetector().find(samples).cut(samples))
    told = np.argmax(voice.probabilities(spoken), axis=1)
    assert (told == np.arange(8)).sum() >= 7
