"""FER+: its filter, its splits, and what is said of a bad file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.corpora.ferplus import FILE, load, soft_labels
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import FERPLUS_8

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


def write(folder: Path, **changes: Any) -> Path:
    """A corpus of 30 pictures, ten a split; each is wholly neutral, happy or sad."""
    dice = np.random.default_rng(0)
    votes = np.zeros((30, 10), np.int64)
    votes[np.arange(30), np.arange(30) % 3 * np.array([1])] = 10
    arrays: dict[str, Any] = {
        "images": dice.integers(0, 256, (30, 48, 48), dtype=np.uint8),
        "votes": votes,
        "split": np.repeat(np.arange(3), 10),
        "splits": np.array(["train", "valid", "test"]),
        "classes": np.array(CLASSES),
    }
    folder.mkdir(exist_ok=True)
    arrays.update(changes)
    np.savez(folder / FILE, **{key: value for key, value in arrays.items() if value is not None})
    return folder


def test_a_split_is_read_from_the_folder_or_the_one_above(tmp_path: Path) -> None:
    write(tmp_path / "ferplus")
    inside, above = load(tmp_path / "ferplus", "valid"), load(tmp_path, "valid")
    assert len(inside) == len(above) == 10
    assert np.array_equal(inside.images, above.images)
    assert set(inside.labels.tolist()) == {0, 1, 2}


def test_a_slice_follows_its_seed_and_holds_every_class(tmp_path: Path) -> None:
    write(tmp_path / "ferplus")
    one, same, other = (load(tmp_path, "train", limit=3, seed=s) for s in (0, 0, 4))
    assert len(one) == 3
    assert sorted(one.labels.tolist()) == [0, 1, 2]
    assert np.array_equal(one.images, same.images)
    assert not np.array_equal(one.images, other.images)


def test_absent_data_are_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=FILE):
        load(tmp_path, "train")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"classes": np.array(["joy"] * 10)}, "classes are joy"),
        ({"votes": None}, "cannot be read"),
        ({"images": np.array([{}])}, "cannot be read"),
        ({"splits": np.array(["a", "b", "c"])}, "cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_fault(
    tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    with pytest.raises(SetupError, match=f"{FILE}.*{fault}"):
        load(write(tmp_path / "ferplus", **changes), "train")


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "ferplus") / FILE
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(SetupError, match="cannot be read"):
        load(tmp_path, "test")


@pytest.mark.data
def test_the_published_counts(data_root: Path) -> None:
    assert len(load(data_root, "valid")) == 3199
