from __future__ import annotations

import numpy as np

from affectgraph.orchestrator.evaluation import floors


def test_majority_is_the_most_frequent_training_class() -> None:
    assert floors.majority(np.array([2, 1, 2, 0]), 3).tolist() == [2, 2, 2]


def test_random_draws_by_training_shares() -> None:
    train = np.array([0, 0, 0, 1])
    drawn = floors.random(train, 4000, seed=1)
    assert abs((drawn == 0).mean() - 0.75) < 0.03
    assert (drawn == floors.random(train, 4000, seed=1)).all()
    assert set(drawn.tolist()) == {0, 1}


def test_persistence_repeats_the_label_before_in_the_same_dialogue() -> None:
    labels = np.array([3, 4, 5, 6, 7])
    dialogue = np.array([1, 1, 2, 1, 2])
    assert floors.persistence(labels, dialogue, first=0).tolist() == [0, 3, 0, 4, 5]
