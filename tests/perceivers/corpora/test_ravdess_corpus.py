from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.corpora.ravdess import fold_of, load
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import RAVDESS_8


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Names of 384 recordings without sound; RAVDESS's own folder name."""
    folder = tmp_path / "ravdess"
    folder.mkdir()
    for actor in range(1, 25):
        for emotion in range(1, 9):
            for statement in (1, 2):
                strong = 1 if emotion == 1 else statement
                name = f"03-01-{emotion:02d}-{strong:02d}-{statement:02d}-01-{actor:02d}.flac"
                (folder / name).touch()
    return tmp_path


def test_folds_hold_out_six_actors_of_both_sexes() -> None:
    actors = np.arange(1, 25)
    folds = fold_of(actors)
    assert Counter(folds.tolist()) == dict.fromkeys(range(4), 6)
    for fold in range(4):
        assert (actors[folds == fold] % 2).sum() == 3


def test_names_tell_everything(corpus: Path) -> None:
    read = load(corpus)
    assert len(read.files) == 384
    assert read.files == load(corpus / "ravdess").files == tuple(sorted(read.files))
    at = [file.name for file in read.files].index("03-01-05-02-02-01-12.flac")
    assert RAVDESS_8.labels[read.label[at]] == "angry"
    assert read.actor[at] == 12
    assert read.woman[at]
    assert read.fold[at] == 1


def test_a_limit_draws_evenly_and_by_the_seed(corpus: Path) -> None:
    few = load(corpus, limit=64, seed=3)
    assert few.files == load(corpus, limit=64, seed=3).files
    assert few.files != load(corpus, limit=64, seed=4).files
    cells = Counter(zip(few.label.tolist(), few.fold.tolist(), strict=True))
    assert len(cells) == 32
    assert set(cells.values()) == {2}


@pytest.mark.parametrize(
    "name", ["03-01-09-01-01-01-01.flac", "03-01-01-01-01-01-25.flac", "03-01-x.flac"]
)
def test_a_name_that_is_not_ravdess_is_told(corpus: Path, name: str) -> None:
    (corpus / "ravdess" / name).touch()
    with pytest.raises(SetupError, match=f"{name}: not a name of RAVDESS"):
        load(corpus)


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ravdess").mkdir()
    with pytest.raises(SetupError, match="no RAVDESS recordings"):
        load(tmp_path)


@pytest.mark.data
def test_the_published_counts_are_read(data_root: Path) -> None:
    read = load(data_root)
    assert len(read.files) == 1_440
    assert np.bincount(read.label).tolist() == [96, *[192] * 7]
    assert np.bincount(read.actor)[1:].tolist() == [60] * 24
