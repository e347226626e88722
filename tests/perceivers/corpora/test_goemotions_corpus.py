from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.corpora.goemotions import ekman, load
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28

JOY = GOEMOTIONS_28.labels.index("joy")
NEUTRAL = GOEMOTIONS_28.labels.index("neutral")


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(rows: str) -> Path:
        (tmp_path / "train.tsv").write_text(rows, encoding="utf-8")
        return tmp_path

    return write


def test_rows_are_read_with_all_their_labels(written: Callable[[str], Path]) -> None:
    read = load(written("A fine day\t17\tabc\nWell, well\u2028hm\t2,27\tdef\n"), "train")
    assert read.texts == ("A fine day", "Well, well\u2028hm")
    assert [np.flatnonzero(row).tolist() for row in read.labels] == [[JOY], [2, NEUTRAL]]


def test_a_slice_is_spread_over_the_labels(written: Callable[[str], Path]) -> None:
    rows = "".join(f"t{at}\t{27 if at < 90 else 17}\tid\n" for at in range(100))
    read = load(written(rows), "train", limit=10, seed=3)
    assert read.labels.sum(axis=0)[[JOY, NEUTRAL]].tolist() == [5, 5]
    assert read.texts == load(written(rows), "train", limit=10, seed=3).texts


@pytest.mark.parametrize(
    "bad", ["no tabs", "text\tjoy\tid", "text\t28\tid", "text\t-1\tid", "text\t\tid", ""]
)
def test_a_bad_row_is_named_by_its_number(bad: str, written: Callable[[str], Path]) -> None:
    with pytest.raises(SetupError, match=r"train\.tsv:2: want a text"):
        load(written(f"fine\t1\tid\n{bad}\nfine\t1\tid\n"), "train")


def test_an_absent_split_is_named(written: Callable[[str], Path]) -> None:
    with pytest.raises(SetupError, match=r"dev\.tsv"):
        load(written("fine\t1\tid\n"), "dev")


def test_the_grouping_puts_every_label_into_one_of_seven() -> None:
    group = ekman()
    assert group.shape == (28, 7)
    assert group.sum(axis=1).tolist() == [1] * 28
    assert group[JOY].argmax() == EKMAN_7.labels.index("joy")


@pytest.mark.data
def test_the_published_counts_are_read(data_root: Path) -> None:
    counts = {s: len(load(data_root, s).texts) for s in ("train", "dev", "test")}
    assert counts == {"train": 43_410, "dev": 5_426, "test": 5_427}
