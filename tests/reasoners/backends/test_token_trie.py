from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.reasoners.backends.trie import (
    Path,
    constrained,
    continuations,
    followers,
)

END = 99
LABELS = st.lists(
    st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple),
    min_size=1,
    max_size=8,
    unique=True,
).map(lambda labels: [[*label, END] for label in labels])


def logprob(path: Path, token: int) -> float:
    """A model of one's own: any deterministic function of path and token will do."""
    return -1.0 - ((sum(path) * 31 + len(path) * 7 + token * 13) % 17) / 4


def answers(asked: dict[Path, tuple[int, ...]]) -> dict[Path, dict[int, float]]:
    return {path: {token: logprob(path, token) for token in asked[path]} for path in asked}


@given(LABELS)
def test_constrained_probabilities_are_those_of_masked_steps(sequences: list[list[int]]) -> None:
    found = constrained(sequences, answers(followers(sequences, forced=False)))
    assert sum(found) == pytest.approx(1)
    for sequence, probability in zip(sequences, found, strict=True):
        expected = 1.0
        for depth, token in enumerate(sequence):
            path = tuple(sequence[:depth])
            open_ = {s[depth] for s in sequences if tuple(s[:depth]) == path}
            norm = sum(math.exp(logprob(path, other)) for other in open_)
            expected *= math.exp(logprob(path, token)) / norm
        assert probability == pytest.approx(expected)


@given(LABELS)
def test_continuations_are_plain_sums(sequences: list[list[int]]) -> None:
    found = continuations(sequences, answers(followers(sequences, forced=True)))
    for sequence, total in zip(sequences, found, strict=True):
        steps = [logprob(tuple(sequence[:d]), token) for d, token in enumerate(sequence)]
        assert total == pytest.approx(sum(steps))


@given(LABELS)
def test_only_choices_are_asked_about_and_short_paths_first(sequences: list[list[int]]) -> None:
    asked = followers(sequences, forced=False)
    assert all(len(tokens) > 1 for tokens in asked.values())
    assert all(len(a) <= len(b) for a, b in pairwise(asked))
    assert (len(sequences) > 1) == (len(asked) > 0)
    assert set(asked) <= set(followers(sequences, forced=True))
