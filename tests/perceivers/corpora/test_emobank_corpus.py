from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from affectgraph.perceivers.corpora.emobank import load
from affectgraph.perceivers.errors import SetupError

HEAD = "id,split,V,A,D,text\n"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(rows: str) -> Path:
        folder = tmp_path / "emobank"
        folder.mkdir(exist_ok=True)
        (folder / "emobank.csv").write_text(HEAD + rows, encoding="utf-8")
        return tmp_path

    return write


def test_a_split_is_read_without_rows_that_hold_no_words(written: Callable[[str], Path]) -> None:
    data = written('1,train,3,2.5,4,"Yes, ""fine"""\n2,dev,1,1,1,no\n3,train,3,3,3," "\n')
    read = load(data, "train")
    assert read.texts == ('Yes, "fine"',)
    assert read.vad.tolist() == [[3, 2.5, 4]]
    assert load(data / "emobank", "dev").texts == ("no",)


def test_a_slice_is_no_larger_than_asked(written: Callable[[str], Path]) -> None:
    data = written("".join(f"{at},train,3,3,3,t{at}\n" for at in range(20)))
    assert len(load(data, "train", limit=6).texts) == 6


@pytest.mark.parametrize("bad", ["2,train,x,3,3,t", "2,train,3,3,6,t", "2,train,3,3"])
def test_a_bad_row_is_named_by_its_line(bad: str, written: Callable[[str], Path]) -> None:
    with pytest.raises(SetupError, match=r"emobank\.csv:3: want split"):
        load(written(f"1,train,3,3,3,t\n{bad}\n"), "train")


def test_a_split_without_rows_is_said(written: Callable[[str], Path]) -> None:
    with pytest.raises(SetupError, match="no rows of the split 'test'"):
        load(written("1,train,3,3,3,t\n"), "test")


@pytest.mark.data
def test_the_published_counts_are_read(data_root: Path) -> None:
    assert len(load(data_root, "train").texts) == 8_062
    assert len(load(data_root, "test").texts) == 1_000
