from __future__ import annotations

import csv
from pathlib import Path

import pytest

from affectgraph.perceivers.corpora.mosi import WIDTHS, load
from affectgraph.perceivers.errors import SetupError

# Video 7 is told in lexicographic order: _1, _10, _2.
SPOKEN = [
    ("x_1", "FINE", 7, 1),
    ("x_10", "LAST", 7, 0),
    ("x_2", "SECOND", 7, 1),
    ("y_1", "BAD", 8, 0),
]
ORDER = [2, 0, 3, 1]
"""Rows of the features, as rows of the transcripts."""


@pytest.fixture
def mosi(tmp_path: Path) -> Path:
    write(tmp_path / "transcripts.csv", SPOKEN)
    index = [(row, *[0.0] * WIDTHS["text"]) for row in ORDER]
    write(tmp_path / "text_train.csv", index)
    for kind, width in WIDTHS.items():
        rows = [(*[row + 0.5] * width, SPOKEN[row][3]) for row in ORDER]
        write(tmp_path / f"{kind}_train0.csv", rows)
    return tmp_path


def write(file: Path, rows: object) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened, quoting=csv.QUOTE_ALL).writerows(rows)  # type: ignore[arg-type]


def test_utterances_come_in_the_order_in_which_they_were_said(mosi: Path) -> None:
    opinions = load(mosi, "train")
    assert opinions.texts == ("FINE", "SECOND", "LAST", "BAD")
    assert opinions.source.tolist() == [7, 7, 7, 8]
    assert opinions.position.tolist() == [1, 2, 10, 1]
    assert opinions.sentiment.tolist() == [1, 1, 0, 0]
    for kind, width in WIDTHS.items():
        array = getattr(opinions, kind)
        assert array.shape == (4, width)
        assert array[:, 0].tolist() == [0.5, 2.5, 1.5, 3.5]


def test_a_slice_holds_whole_videos(mosi: Path) -> None:
    assert set(load(mosi, "train", limit=3).source.tolist()) in ({7}, {8})


def test_labels_that_differ_between_the_files_are_refused(mosi: Path) -> None:
    write(mosi / "audio_train0.csv", [(*[0.0] * 73, 1) for _ in ORDER])
    with pytest.raises(SetupError, match=r"audio_train0\.csv: labels differ"):
        load(mosi, "train")


def test_another_shape_is_refused(mosi: Path) -> None:
    write(mosi / "video_train0.csv", [(1, 2, 3)] * 4)
    with pytest.raises(SetupError, match=r"video_train0\.csv: want rows of 101 numbers"):
        load(mosi, "train")


def test_a_row_that_is_not_in_the_transcripts_is_named(mosi: Path) -> None:
    write(mosi / "text_train.csv", [(99, *[0.0] * 100)])
    with pytest.raises(SetupError, match=r"row 1 of the index names row 99"):
        load(mosi, "train")


@pytest.mark.data
def test_no_video_is_in_both_splits(data_root: Path) -> None:
    if not (data_root / "mosi").is_dir():
        pytest.skip("MOSI is absent")
    train, test = load(data_root, "train"), load(data_root, "test")
    assert (len(train), len(test)) == (1447, 752)
    assert set(train.source.tolist()).isdisjoint(test.source.tolist())
