from __future__ import annotations

from pathlib import Path

import pytest

from affectgraph.perceivers.corpora.tweeteval import load
from affectgraph.perceivers.errors import SetupError


def write(folder: Path, texts: str, labels: str) -> None:
    (folder / "val_text.txt").write_text(texts, encoding="utf-8")
    (folder / "val_labels.txt").write_text(labels)


def test_a_line_is_a_post_whatever_else_it_holds(tmp_path: Path) -> None:
    write(tmp_path, "@user  so mad \nwell\u2028hm \n", "0\n3\n")
    posts = load(tmp_path, "val")
    assert posts.texts == ("@user  so mad", "well\u2028hm")
    assert posts.labels.tolist() == [0, 3]


def test_a_slice_is_spread_over_the_labels(tmp_path: Path) -> None:
    write(tmp_path, "post\n" * 6, "0\n0\n0\n0\n1\n2\n")
    assert load(tmp_path, "val", limit=3).labels.tolist() == [0, 1, 2]


def test_a_label_that_is_none_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a\nb\n", "0\n4\n")
    with pytest.raises(SetupError, match=r"val_labels\.txt:2: want a label number, 0 to 3"):
        load(tmp_path, "val")


def test_files_of_other_lengths_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "a\nb\n", "0\n")
    with pytest.raises(SetupError, match="1 labels for 2 posts"):
        load(tmp_path, "val")


@pytest.mark.data
def test_the_splits_have_their_published_sizes(data_root: Path) -> None:
    if not (data_root / "tweeteval-emotion").is_dir():
        pytest.skip("TweetEval is absent")
    assert [len(load(data_root, split)) for split in ("train", "val", "test")] == [3257, 374, 1421]
