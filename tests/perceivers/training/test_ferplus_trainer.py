"""The FER+ trainer: its filter, its schedule, and a small run from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.face import ExpressionHead
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.training import ferplus
from affectgraph.perceivers.training.ferplus_data import FILE, Faces, load, soft_labels

CLASSES = [*FERPLUS_8.labels, "unknown", "NF"]


@pytest.mark.parametrize(
    ("votes", "train", "valid"),
    [
        ({"happiness": 10}, {"happiness": 1.0}, True),
        ({"happiness": 8, "anger": 1, "fear": 1}, {"happiness": 1.0}, True),
        ({"sadness": 6, "neutral": 4}, {"sadness": 0.6, "neutral": 0.4}, True),
        ({"sadness": 5, "neutral": 5}, {"sadness": 0.5, "neutral": 0.5}, False),
        ({"anger": 4, "unknown": 3, "disgust": 3}, {"anger": 4 / 7, "disgust": 3 / 7}, False),
        ({"unknown": 6, "neutral": 4}, None, False),
        ({"NF": 9, "fear": 1}, None, False),
        (dict.fromkeys(CLASSES, 1), None, False),
    ],
)
def test_the_filter_of_the_authors(
    votes: dict[str, int], train: dict[str, float] | None, valid: bool
) -> None:
    row = np.array([[votes.get(label, 0) for label in CLASSES]])
    stays, targets = soft_labels(row, majority=False)
    assert stays.tolist() == [train is not None]
    if train is not None:
        expected = [train.get(label, 0.0) for label in FERPLUS_8.labels]
        assert targets[0] == pytest.approx(expected)
    assert soft_labels(row, majority=True)[0].tolist() == [valid]


@given(st.lists(st.lists(st.integers(0, 10), min_size=10, max_size=10), min_size=1, max_size=20))
def test_soft_labels_are_distributions_and_majority_is_stricter(rows: list[list[int]]) -> None:
    votes = np.array(rows)
    stays, targets = soft_labels(votes, majority=False)
    strict, _ = soft_labels(votes, majority=True)
    assert targets.shape == (stays.sum(), 8)
    assert targets.sum(axis=1) == pytest.approx(np.ones(len(targets)), abs=1e-6)
    assert not np.any(strict & ~stays)


def test_absent_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=f"no {FILE}"):
        load(tmp_path, "train")


@given(st.integers(1, 60))
def test_pictures_grow_to_full_size_and_the_rate_falls_to_nothing(epochs: int) -> None:
    config = ferplus.Config(epochs=epochs)
    sides = [config.side(epoch) for epoch in range(epochs)]
    assert sides == sorted(sides)
    assert set(sides) <= {32, 40, 48}
    assert epochs < 4 or sides[-1] == 48
    rates = [config.rate(step / 100) for step in range(101)]
    assert max(rates) == pytest.approx(config.peak_rate)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_figures_of_logits_worked_by_hand() -> None:
    labels = np.array([0, 0, 1, 2])
    faces = Faces(np.zeros((4, 48, 48), np.uint8), np.eye(8, dtype=np.float32)[labels])
    logits = 20 * np.eye(8)[[0, 1, 1, 2]]
    figures = ferplus.judge(logits, faces, temperature=1.0)
    assert figures["accuracy"] == 0.75
    assert figures["f1"]["neutral"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["f1"]["surprise"] == 1.0
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 8, abs=1e-4)
    assert figures["ece"] == pytest.approx(0.25, abs=1e-3)
    assert ferplus.baselines(faces, seed=0)["majority class"] == 0.5


def test_augmentation_keeps_range_and_follows_its_seed() -> None:
    torch = pytest.importorskip("torch")
    from affectgraph.perceivers.training.ferplus_net import augment

    faces = torch.rand(16, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 255
    one, same, other = (
        augment(faces, 40, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert one.shape == (16, 1, 40, 40)
    assert 0 <= float(one.min()) <= float(one.max()) <= 255
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.data
# torch's exporter trips over its own deprecations.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_small_run_learns_and_leaves_a_head_that_reads(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    ferplus.main(
        ["--data", str(data_root), "--out", str(tmp_path), "--epochs", "3", "--limit", "1024",
         "--json"]
    )  # fmt: skip
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"name", "metrics", "baselines"}
    assert printed == json.loads((tmp_path / "ferplus.json").read_text(encoding="utf-8"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ferplus.json", "ferplus.onnx"]
    metrics = printed["metrics"]
    assert metrics["test"]["n"] == metrics["valid"]["n"] == 256
    assert metrics["train_pictures"] == 1024
    assert metrics["onnx_gap"] < 1e-4
    assert metrics["onnx_bytes"] < 4_000_000
    assert metrics["temperature"] > 0

    valid = load(data_root, "valid").sample(256, seed=0)
    guesses = ExpressionHead(tmp_path / "ferplus.onnx").probabilities(valid.images).argmax(axis=1)
    accuracy = float((guesses == valid.labels).mean())
    assert accuracy == pytest.approx(metrics["valid"]["accuracy"], abs=0.008)
    assert accuracy >= 0.25
