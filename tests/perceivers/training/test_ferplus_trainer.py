"""The FER+ trainer: its schedule, and a small run from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.corpora.ferplus import Faces, load
from affectgraph.perceivers.face import ExpressionHead
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.training import ferplus
from affectgraph.perceivers.training.ferplus_loop import (
    BASE_PHASE,
    GROWN_PHASE,
    Config,
    Phase,
    Run,
    rows_of,
)


@given(st.integers(1, 60), st.sampled_from([BASE_PHASE, GROWN_PHASE]))
def test_pictures_grow_to_full_size_and_the_rate_falls_to_nothing(
    epochs: int, phase: Phase
) -> None:
    phase = replace(phase, epochs=epochs)
    sides = [phase.side(epoch) for epoch in range(epochs)]
    assert sides == sorted(sides)
    assert set(sides) <= {32, 40, 48}
    assert epochs < 4 or sides[-1] == 48
    rates = [phase.rate(step / 100) for step in range(101)]
    assert max(rates) == pytest.approx(phase.peak_rate)
    assert rates[-1] == pytest.approx(0, abs=1e-9)


def test_pictures_of_rare_classes_come_more_often() -> None:
    labels = np.array([0, FERPLUS_8.labels.index("contempt"), 1])
    faces = Faces(np.zeros((3, 48, 48), np.uint8), np.eye(8, dtype=np.float32)[labels])
    assert rows_of(faces, GROWN_PHASE).tolist() == [0, 1, 1, 1, 2]
    assert rows_of(faces, BASE_PHASE).tolist() == [0, 1, 2]


def test_networks_are_averaged_only_where_that_is_better() -> None:
    labels = np.array([0, 1, 2])
    right, wrong = 5 * np.eye(8)[labels], 5 * np.eye(8)[[0, 1, 3]]
    assert ferplus.choose({"base": wrong, "grown": right}, labels) == ("grown",)
    assert ferplus.choose({"base": right, "grown": wrong}, labels) in (
        ("base",),
        ("base", "grown"),
    )
    # Each is wrong in one place, by less than the other is right there.
    one, other = 5 * np.eye(8)[[0, 1, 3]], 9 * np.eye(8)[[0, 4, 2]]
    one[1, 1] = 12.0
    assert ferplus.choose({"base": one, "grown": other}, labels) == ("base", "grown")


def test_a_grown_network_begins_with_the_features_of_its_base() -> None:
    torch = pytest.importorskip("torch")
    from affectgraph.perceivers.training.ferplus_net import BASE, ExpressionNet, grow

    torch.manual_seed(0)
    base = ExpressionNet(BASE, excited=False).eval()
    grown = grow(base).eval()
    faces = torch.rand(2, 1, 48, 48) * 255
    with torch.no_grad():
        x = y = base.stem(faces)
        for stage, source in zip(grown.body, base.body, strict=False):
            x, y = source(x), stage(y)
        assert torch.nn.functional.cosine_similarity(x.flatten(1), y.flatten(1)).min() > 0.99


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


QUICK = Config(
    phases=(replace(BASE_PHASE, epochs=2), replace(GROWN_PHASE, epochs=1)), limit=16, batch=8
)


def some_faces(count: int, seed: int) -> Faces:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 48, 48), dtype=np.uint8)
    return Faces(images, np.eye(8, dtype=np.float32)[rng.integers(0, 8, count)])


def base_run(folder: Path, config: Config = QUICK, seed_of_faces: int = 0) -> list[str]:
    """Train the first phase, and give what it said."""
    from affectgraph.perceivers.training.ferplus_net import BASE, ExpressionNet

    said: list[str] = []
    faces, valid = some_faces(16, seed_of_faces), some_faces(8, 9)
    net = ExpressionNet(BASE, excited=False)
    run = Run(
        net, faces, valid, phase=config.phases[0], config=config, folder=folder, say=said.append
    )
    run.train()
    return said


def test_a_state_of_the_same_run_is_taken_up(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert len(base_run(tmp_path)) == 2
    # How many threads there are is not what the run is of.
    (said,) = base_run(tmp_path, replace(QUICK, threads=2))
    assert said.startswith("taken up after epoch 2")


@pytest.mark.parametrize(
    ("config", "faces"),
    [
        (replace(QUICK, seed=7), 0),
        (replace(QUICK, limit=0), 0),
        (replace(QUICK, phases=(replace(BASE_PHASE, epochs=3), QUICK.phases[1])), 0),
        (QUICK, 1),
    ],
    ids=["seed", "limit", "epochs", "pictures"],
)
def test_a_state_of_another_run_is_not_taken_up(config: Config, faces: int, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    base_run(tmp_path)
    said = base_run(tmp_path, config, faces)
    assert said[0] == "base.last.pt is of another run: base begins anew"
    assert len(said) == 1 + config.phases[0].epochs


def test_a_slice_does_not_replace_the_shipped_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        ferplus.main(["--data", str(tmp_path), "--limit", "32"])
    assert "--limit needs --out" in capsys.readouterr().err


@pytest.mark.data
# torch's exporter trips over its own deprecations.
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_small_run_learns_and_leaves_a_head_that_reads(
    data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    ferplus.main(
        ["--data", str(data_root), "--out", str(tmp_path), "--epochs", "2", "1", "--limit", "1024",
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
    assert metrics["onnx_bytes"] < 12_000_000
    assert metrics["temperature"] > 0

    valid = load(data_root, "valid").sample(256, seed=0)
    guesses = ExpressionHead(tmp_path / "ferplus.onnx").probabilities(valid.images).argmax(axis=1)
    accuracy = float((guesses == valid.labels).mean())
    assert accuracy == pytest.approx(metrics["valid"]["accuracy"], abs=0.008)
    # Eight classes as evenly as they come: chance is 0.125.
    assert accuracy >= 0.15
