from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.reasoners.history.lexrank import chosen, lexrank, similarities, tf_idf

LINES = [
    "My brother moved to Lisbon in the spring.",
    "Since my brother moved I have nobody to talk to.",
    "I miss my brother and our talks.",
    "The weather was fine.",
]


def test_the_sentences_that_share_most_with_the_others_weigh_most() -> None:
    weights = lexrank(similarities(tf_idf(LINES)))
    assert min(range(4), key=weights.__getitem__) == 3
    assert sum(weights) == pytest.approx(1.0)


def test_a_word_that_stands_in_every_sentence_tells_nothing() -> None:
    vectors = tf_idf(["well then", "well now", "well"])
    assert not vectors[2].any()
    assert similarities(vectors)[0, 1] == 0


def test_weights_are_those_of_the_stationary_walk() -> None:
    similar = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 1.0]])
    weights = np.array(lexrank(similar))
    others = similar - np.eye(3)
    walk = others / others.sum(axis=1, keepdims=True)
    assert weights == pytest.approx(0.15 / 3 + 0.85 * weights @ walk, abs=1e-5)


@given(st.lists(st.text(max_size=40), max_size=12), st.integers(0, 60))
def test_what_is_chosen_fits_and_keeps_its_order(lines: list[str], room: int) -> None:
    similar = similarities(tf_idf(lines))
    sizes = [len(line) for line in lines]
    weights = lexrank(similar)
    places = chosen(weights, similar, sizes, room)
    assert len(weights) == len(lines)
    assert places == sorted(set(places))
    assert sum(sizes[i] for i in places) <= room
    assert all(similar[i, j] < 0.7 for i in places for j in places if i < j)
