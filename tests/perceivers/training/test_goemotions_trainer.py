from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28
from affectgraph.perceivers.text.head import WIDTH, EmotionHead
from affectgraph.perceivers.training.goemotions import (
    Settings,
    baselines,
    calibrate,
    ekman,
    load,
    main,
    scores,
    soft,
    thresholds,
    train,
)

JOY = GOEMOTIONS_28.labels.index("joy")
NEUTRAL = GOEMOTIONS_28.labels.index("neutral")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(rows: str) -> Path:
        file = tmp_path / "train.tsv"
        file.write_text(rows, encoding="utf-8")
        return file

    return write


def test_rows_are_read_with_all_their_labels(written: Callable[[str], Path]) -> None:
    split = load(written("A fine day\t17\tabc\nWell, well\u2028hm\t2,27\tdef\n"))
    assert split.texts == ("A fine day", "Well, well\u2028hm")
    assert [np.flatnonzero(row).tolist() for row in split.labels] == [[JOY], [2, NEUTRAL]]


def test_a_limit_takes_the_first_rows(written: Callable[[str], Path]) -> None:
    assert load(written("a\t1\tx\nb\t2\ty\n"), limit=1).texts == ("a",)


@pytest.mark.parametrize(
    "bad", ["no tabs", "text\tjoy\tid", "text\t28\tid", "text\t-1\tid", "text\t\tid", ""]
)
def test_a_bad_row_is_named_by_its_number(bad: str, written: Callable[[str], Path]) -> None:
    with pytest.raises(SetupError, match=r"train\.tsv:2: want a text"):
        load(written(f"fine\t1\tid\n{bad}\nfine\t1\tid\n"))


def test_an_absent_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"dev\.tsv: cannot be read"):
        load(tmp_path / "dev.tsv")


def test_labels_share_the_mass_of_their_text() -> None:
    assert soft(np.array([[1, 0, 1.0], [0, 1, 0]])).tolist() == [[0.5, 0, 0.5], [0, 1, 0]]


def test_the_grouping_puts_every_label_into_one_of_seven() -> None:
    group = ekman()
    assert group.shape == (28, 7)
    assert group.sum(axis=1).tolist() == [1] * 28
    assert group[JOY].argmax() == EKMAN_7.labels.index("joy")


def test_thresholds_find_a_clean_cut() -> None:
    labels = np.array([[0, 1], [0, 0], [1, 1], [1, 0]])
    probs = np.array([[0.05, 0.6], [0.06, 0.1], [0.5, 0.55], [0.4, 0.3]])
    assert ((probs > thresholds(probs, labels)) == labels).all()


def test_perfect_probabilities_score_one_and_have_no_calibration_error() -> None:
    labels = np.eye(28)
    figures = scores(labels, labels, np.full(28, 0.5), np.full(7, 0.5))
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
    figures = scores(probs, labels, np.full(28, 0.5), np.full(7, 0.5))
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


def synthetic(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Features that give away one of four labels."""
    random = np.random.default_rng(seed)
    labels = np.eye(28)[random.integers(0, 4, rows)]
    seen = random.normal(size=(rows, WIDTH)).astype(np.float32)
    seen += labels @ np.random.default_rng(9).choice([-0.5, 0.5], size=(28, WIDTH))
    return seen, labels


def test_a_head_learns_is_repeatable_and_survives_the_disk(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    seen, labels = synthetic(300, seed=1)
    settings = Settings(hidden=16, epochs=6, batch=64)
    head = calibrate(train(seen, soft(labels), settings, seed=3), seen, labels)
    again = train(seen, soft(labels), settings, seed=3)
    assert np.allclose(head.logits(seen), again.logits(seen), atol=1e-4)
    unseen, truth = synthetic(200, seed=2)
    assert (head.probs(unseen).argmax(1) == truth.argmax(1)).mean() > 0.6
    assert np.allclose(head.probs(unseen).sum(axis=1), 1)

    head.save(tmp_path / "head.npz")
    read = EmotionHead.load(tmp_path / "head.npz")
    assert read.temperature == pytest.approx(head.temperature)
    assert np.allclose(read.probs(unseen), head.probs(unseen), atol=1e-6)


def test_foreign_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelCorruptError):
        EmotionHead.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ModelCorruptError, match=r"text\.npz: not weights"):
        EmotionHead.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", labels=np.array(["joy"]), temperature=np.array(1.0))
    with pytest.raises(ModelCorruptError):
        EmotionHead.load(tmp_path / "other.npz")
    np.savez(tmp_path / "pickled.npz", labels=np.array([{"joy": 1}], dtype=object))
    with pytest.raises(ModelCorruptError):
        EmotionHead.load(tmp_path / "pickled.npz")


@pytest.mark.data
@pytest.mark.models
def test_the_trainer_beats_its_baselines_on_a_slice(
    data_root: Path,
    requires_model: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("torch")
    requires_model("minilm")
    source = str(data_root / "goemotions")
    main(["--data", source, "--out", str(tmp_path), "--limit", "250", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"name", "settings", "rows", "metrics", "baselines"}
    floors, reached = report["baselines"], report["metrics"]["test"]
    assert reached["top_ekman_accuracy"] > floors["majority"]["top_ekman_accuracy"]
    assert reached["macro_f1_28"] > floors["random"]["macro_f1_28"]
    assert (tmp_path / "goemotions.npz").stat().st_size < 2_000_000
    assert EmotionHead.load(tmp_path / "goemotions.npz").temperature > 0
