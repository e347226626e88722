from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.labels import GOEMOTIONS_28
from affectgraph.perceivers.text import MiniLMEncoder, TextEmotion
from affectgraph.perceivers.training.text import main
from affectgraph.perceivers.training.text_scores import (
    baselines,
    emotion_scores,
    soft,
    thresholds,
)

JOY = GOEMOTIONS_28.labels.index("joy")
NEUTRAL = GOEMOTIONS_28.labels.index("neutral")


def test_labels_share_the_mass_of_their_text() -> None:
    assert soft(np.array([[1, 0, 1.0], [0, 1, 0]])).tolist() == [[0.5, 0, 0.5], [0, 1, 0]]


def test_thresholds_find_a_clean_cut() -> None:
    labels = np.array([[0, 1], [0, 0], [1, 1], [1, 0]] * 5)
    scores = np.array([[0.05, 0.6], [0.06, 0.1], [0.5, 0.55], [0.4, 0.3]] * 5)
    assert ((scores > thresholds(scores, labels)) == labels).all()


def test_thresholds_of_a_label_that_nobody_gave_are_finite() -> None:
    scores = np.random.default_rng(0).random((30, 2))
    labels = np.stack([np.zeros(30), scores[:, 1] > 0.5], axis=1)
    cuts = thresholds(scores, labels)
    assert ((cuts > 0) & (cuts < 1)).all()


def test_perfect_probabilities_score_one_and_have_no_calibration_error() -> None:
    labels = np.eye(28)
    figures = emotion_scores(labels, labels, np.full(28, 0.5), np.full(7, 0.5))
    errors = {"ece_28", "ece_ekman"}
    assert {key: value for key, value in figures.items() if key not in errors} == dict.fromkeys(
        set(figures) - errors, 1.0
    )
    assert all(figures[key] == pytest.approx(0) for key in errors)


def test_the_top_label_is_right_when_any_rater_gave_it() -> None:
    labels = np.zeros((2, 28))
    labels[0, [2, JOY]] = 1
    labels[1, 2] = 1
    probs = np.eye(28)[[JOY, JOY]]
    figures = emotion_scores(probs, labels, np.full(28, 0.5), np.full(7, 0.5))
    assert figures["top_28_given"] == 0.5
    assert figures["ece_28"] == pytest.approx(0.5)
    # The first text is anger and joy at once, so only the second counts among the seven.
    assert figures["top_ekman_accuracy"] == 0


def test_the_majority_row_always_says_the_most_frequent_label() -> None:
    train_labels = np.eye(28)[[NEUTRAL, NEUTRAL, JOY]]
    rows = baselines(train_labels, np.eye(28)[[NEUTRAL, JOY, JOY, 2]], seed=0)
    assert rows["majority"]["top_28_given"] == 0.25
    assert rows["majority"]["top_ekman_accuracy"] == 0.25
    assert 0 <= rows["random"]["macro_f1_28"] <= 1


@pytest.mark.data
@pytest.mark.models
def test_the_trainer_runs_from_data_to_a_reader_and_goes_on_where_it_stopped(
    data_root: Path,
    requires_model: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    requires_model("minilm")
    command = ["--data", str(data_root), "--out", str(tmp_path), "--limit", "120", "--json"]
    main([*command, "--epochs", "1"])
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"name", "settings", "rows", "metrics", "baselines"}
    assert report["rows"] == {"train": 120, "dev": 120, "test": 120}
    assert set(report["metrics"]) == {"dev", "test"}

    weights = tmp_path / "affect-minilm.onnx"
    encoder = MiniLMEncoder(weights=weights)
    reader = TextEmotion(encoder, facts=weights.with_suffix(".json"))

    async def use() -> float:
        reading = await reader.read("I am so happy I passed!", datetime(2026, 1, 2, tzinfo=UTC))
        assert reading.affect is not None
        near, far = await encoder.embed(["I cannot sleep at night.", "My nights are restless."])
        return float(np.dot(near, far))

    # Two steps hardly move the encoder: its embedding is still the original's.
    assert asyncio.run(use()) > 0.3

    before = weights.read_bytes()
    main([*command, "--epochs", "1"])
    assert json.loads(capsys.readouterr().out)["metrics"] == report["metrics"]
    assert weights.read_bytes() == before
