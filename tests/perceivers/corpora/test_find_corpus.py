from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.corpora.find import folder, spread, whole
from affectgraph.perceivers.errors import SetupError


def test_a_corpus_is_found_by_itself_or_under_its_name(tmp_path: Path) -> None:
    own = tmp_path / "words"
    own.mkdir()
    (own / "a.txt").touch()
    assert folder(tmp_path, "words", "a.txt") == own
    assert folder(own, "words", "a.txt") == own


def test_what_was_looked_for_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no folder .*absent.*'words' with --data"):
        folder(tmp_path / "absent", "words")
    with pytest.raises(SetupError, match=r"is not the corpus 'words': it has no a\.txt, b\.txt"):
        folder(tmp_path, "words", "a.txt", "b.txt")


@given(
    classes=st.lists(st.integers(0, 4), min_size=1, max_size=60),
    limit=st.integers(0, 70),
    seed=st.integers(0, 5),
)
def test_a_slice_is_spread_over_the_classes(classes: list[int], limit: int, seed: int) -> None:
    rows = spread(classes, limit, seed).tolist()
    assert rows == sorted(set(rows))
    assert len(rows) == (min(limit, len(classes)) if limit else len(classes))
    taken, there = Counter(classes[row] for row in rows), Counter(classes)
    # No class has two more than one that still has some left.
    for name in there:
        if taken[name] < there[name]:
            assert all(taken[other] <= taken[name] + 1 for other in there)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    limit=st.integers(1, 60),
    seed=st.integers(0, 5),
)
def test_dialogues_stay_whole(sizes: list[int], limit: int, seed: int) -> None:
    groups = [number for number, size in enumerate(sizes) for _ in range(size)]
    rows = whole(groups, limit, seed).tolist()
    taken = Counter(groups[row] for row in rows)
    assert rows == sorted(rows)
    assert all(taken[name] == sizes[name] for name in taken)
    assert len(taken) >= 1
    assert len(rows) <= limit or len(taken) == 1


def test_another_seed_draws_another_slice() -> None:
    classes = [0] * 50
    assert spread(classes, 10, 0).tolist() != spread(classes, 10, 1).tolist()
