from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.speech import VoiceHead, WhisperEncoder
from affectgraph.perceivers.speech.encoder import LAYERS
from affectgraph.perceivers.speech.voice_onnx import head_model
from affectgraph.perceivers.training.calibration import softmax
from affectgraph.perceivers.training.ravdess import (
    Told,
    Trainer,
    choose,
    cross_validate,
    main,
    measure,
    train,
)
from affectgraph.perceivers.training.ravdess_copies import degrade, varied_mel
from affectgraph.perceivers.training.ravdess_data import Voices, halved
from affectgraph.perceivers.training.ravdess_net import (
    CHOICES,
    Components,
    Recipe,
    fit_linear,
    fit_net,
    linear_logits,
    net_logits,
    pooled,
)


class NeverAsked(WhisperEncoder):
    """Has weights, and must not be asked for anything else."""

    def batch(self, mels: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        raise AssertionError("the layers were kept")


SMALL = Recipe(dim=16, hidden=16, inner=8, heads=2, epochs=6, rate=5e-3)
WIDTH = 96
"""Channels of the invented layers; the real ones have 1920."""


def invented(width: int = WIDTH) -> Voices:
    """24 actors, 8 emotions, one recording each; an emotion moves a few channels for a while."""
    rng = np.random.default_rng(0)
    channels = np.arange(0, width, width // 32)
    actor = np.repeat(np.arange(1, 25), 8)
    label = np.tile(np.arange(8), 24)
    directions = rng.normal(size=(8, len(channels)))
    speakers = rng.normal(0, 0.5, (25, len(channels)))
    frames, start, length = [], np.zeros((4, 192), np.int64), np.zeros((4, 192), np.int64)
    at = 0
    for copy in range(4):
        for row in range(192):
            count = int(rng.integers(8, 14))
            sound = rng.normal(0, 0.3, (count, width)).astype(np.float16)
            sound[:, channels] += speakers[actor[row]].astype(np.float16)
            sound[count // 4 :, channels] += directions[label[row]].astype(np.float16)
            frames.append(sound)
            start[copy, row], length[copy, row], at = at, count, at + count
    return Voices(np.concatenate(frames), start, length, label, actor, np.zeros(192, np.bool_))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads than these networks have work for cost more than they give."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def voices() -> Voices:
    return invented()


def test_a_degraded_copy_is_another_sound_and_stays_in_range() -> None:
    samples = np.sin(np.arange(16_000) / 20).astype(np.float32)
    copies = [degrade(samples, np.random.default_rng(seed)) for seed in range(8)]
    for copy in copies:
        assert copy.dtype == np.float32
        assert 0.9 <= len(copy) / len(samples) <= 1.12
        assert 0 < np.abs(copy).max() <= 1.0
    assert len({copy.tobytes() for copy in copies}) == 8


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 500), pitched=st.booleans())
def test_a_varied_copy_is_a_spectrogram_of_about_the_same_length(seed: int, pitched: bool) -> None:
    samples = np.sin(np.arange(16_000) / 20).astype(np.float32)
    mel = varied_mel(samples, np.random.default_rng(seed), pitched=pitched)
    assert mel.dtype == np.float32
    assert mel.shape[0] == 80
    assert 0.7 <= mel.shape[1] / 100 <= 1.4
    assert mel.max() - mel.min() <= 2.0 + 1e-5


def test_pairs_of_positions_are_averaged_and_an_odd_one_is_dropped() -> None:
    layers = np.arange(5, dtype=np.float32)[:, None] * np.ones(LAYERS, np.float32)
    assert halved(layers)[:, 0].tolist() == [0.5, 2.5]


def test_both_parts_learn_and_degraded_copies_are_not_trained_on(voices: Voices) -> None:
    rows = np.flatnonzero(voices.fold != 0)
    others = np.flatnonzero(voices.fold == 0)
    spoilt = replace(voices, frames=voices.frames.copy())
    spoilt.frames[voices.start[-1].min() :] = 7.0
    features = pooled(voices)
    (part,) = fit_linear(features, voices.label, rows, ((200, 0.2),))
    (same,) = fit_linear(pooled(spoilt), voices.label, rows, ((200, 0.2),))
    np.testing.assert_array_equal(part.weight, same.weight)
    right = linear_logits(part, features[0, others]).argmax(axis=1) == voices.label[others]
    assert right.mean() > 0.8

    inputs = Components(voices, rows, SMALL.dim)
    net = fit_net(inputs, voices, rows, SMALL, seed=0)
    told = net_logits(net, inputs, others)
    assert np.exp(told).sum(axis=1) == pytest.approx(1.0, abs=1e-5)
    assert (told.argmax(axis=1) == voices.label[others]).mean() > 0.5
    inputs = Components(spoilt, rows, SMALL.dim)
    again = net_logits(fit_net(inputs, spoilt, rows, SMALL, seed=0), inputs, others)
    np.testing.assert_allclose(again, told, atol=1e-4)


def test_what_is_held_out_decides_nothing(voices: Voices) -> None:
    """Labels of the first fold are turned round: what is chosen for it stays as it was."""
    held = cross_validate(voices, Trainer(voices, recipe=SMALL))
    turned = voices.label.copy()
    turned[voices.fold == 0] = turned[voices.fold == 0][::-1]
    other = replace(voices, label=turned)
    blind = cross_validate(other, Trainer(other, recipe=SMALL))
    assert blind.settings[0] == held.settings[0]
    mine = voices.fold == 0
    np.testing.assert_allclose(blind.probs[mine], held.probs[mine], atol=1e-6)
    figures = measure(held, voices.missed)
    assert figures["accuracy"] > 0.7
    assert figures["accuracy_by_fold"][0] == pytest.approx(
        (held.probs[mine].argmax(axis=1) == voices.label[mine]).mean()
    )
    assert figures["recordings"] == 192


def test_the_better_part_gets_the_larger_share() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 8, 400)
    good = 4.0 * np.eye(8)[label] + rng.normal(0, 1.0, (400, 8))
    poor = rng.normal(0, 1.0, (400, 8))
    linear = np.stack([poor] * len(CHOICES))
    linear[3] = 5.0 * good
    settings = choose(Told(linear, np.log(softmax(poor))), label)
    assert settings.choice == CHOICES[3]
    assert settings.share == 1.0
    # Noise of variance 1 around classes 4 apart asks for a quarter; all of it was made five-fold.
    assert settings.linear_temperature == pytest.approx(5 / 4, rel=0.2)
    other = choose(Told(np.stack([poor] * len(CHOICES)), np.log(softmax(good))), label)
    assert other.share == 0.0


def test_the_graph_says_what_the_trained_parts_say(tmp_path: Path) -> None:
    voices = invented(LAYERS)
    trainer = Trainer(voices, recipe=SMALL, seeds=(0, 1))
    rows = np.arange(len(voices.label))
    linear, members = trainer.final(rows, (200, 0.2))
    model = head_model(linear, members, share=0.5, temperature=1.5)
    (tmp_path / "head.onnx").write_bytes(model.SerializeToString())
    head = VoiceHead(tmp_path / "head.onnx")
    inputs = Components(voices, rows, SMALL.dim)
    nets = [fit_net(inputs, voices, rows, SMALL, seed) for seed in (0, 1)]
    some = np.arange(5)
    parts = np.mean([net_logits(net, inputs, some) for net in nets], axis=0)
    plain = np.log(softmax(linear_logits(linear, pooled(voices)[0, some])))
    expected = softmax((0.5 * plain + 0.5 * parts) / 1.5)
    for row in some:
        # The graph averages pairs of positions itself.
        layers = np.repeat(voices.utterance(0, int(row)).astype(np.float32), 2, axis=0)
        np.testing.assert_allclose(head.probabilities(layers), expected[row], atol=0.02)


def test_metrics_are_those_of_the_guesses() -> None:
    label = np.repeat(np.arange(8), 24)
    actor = np.tile(np.arange(1, 25), 8)
    guess = np.where(actor % 2 == 0, label, (label + 1) % 8)
    probs = 0.9 * np.eye(8)[guess] + 0.1 / 8
    held = SimpleNamespace(
        probs=probs,
        degraded=probs[::-1],
        parts={"linear": probs},
        label=label,
        actor=actor,
        woman=actor % 2 == 0,
    )
    figures = measure(held, np.zeros(len(label), np.bool_))  # type: ignore[arg-type]
    assert figures["accuracy"] == figures["uar"] == figures["accuracy_of_parts"]["linear"] == 0.5
    assert (figures["accuracy_men"], figures["accuracy_women"]) == (0.0, 1.0)
    assert (figures["accuracy_worst_actor"], figures["accuracy_best_actor"]) == (0.0, 1.0)
    assert figures["ece"] == pytest.approx(0.9 + 0.1 / 8 - 0.5)


@pytest.mark.models
@pytest.mark.data
def test_end_to_end_on_a_small_slice(
    requires_model: Callable[[str], Path],
    model_store: ModelStore,
    data_root: Path,
    tmp_path: Path,
) -> None:
    requires_model("whisper-tiny.en")
    encoder = WhisperEncoder(model_store)
    result = train(data_root, tmp_path, limit=64, encoder=encoder)
    assert result["name"] == "ravdess"
    assert result["metrics"]["recordings"] == 64
    # Twice what chance gives, from a handful of recordings an emotion.
    assert result["metrics"]["accuracy"] > 2 * result["baselines"]["random"]
    head = VoiceHead(tmp_path / "ravdess.onnx")
    assert head.probabilities(np.zeros((50, LAYERS), np.float32)).sum() == pytest.approx(
        1, abs=1e-3
    )
    # The layers are kept: a second run encodes nothing and gives the same.
    assert train(data_root, tmp_path, limit=64, encoder=NeverAsked(model_store)) == result


@pytest.mark.models
@pytest.mark.data
def test_the_command_prints_one_json(
    requires_model: Callable[[str], Path],
    data_root: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    requires_model("whisper-tiny.en")
    main(["--data", str(data_root / "ravdess"), "--limit", "32", "--json"])
    out, err = capsys.readouterr()
    assert set(json.loads(out)) == {"name", "metrics", "baselines"}
    assert err == ""
