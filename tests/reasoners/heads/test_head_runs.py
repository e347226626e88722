from __future__ import annotations

import numpy as np
import pytest

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.heads.runs import HeadRun


def run(probs: list[list[float]], truth: list[int], seeds: int = 0) -> HeadRun:
    told = np.array(probs)
    return HeadRun(
        "strategy", "gold", "turn", "a head", "ours", "official",
        told, np.array(truth), np.zeros(len(truth), np.int64), (told[:, :-1],) * seeds,
    )  # fmt: skip


def test_a_run_of_distributions_is_taken() -> None:
    assert run([[0.5, 0.5], [1.0, 0.0]], [0, 1]).truth.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("probs", "truth", "seeds", "fault"),
    [
        ([[0.5, 0.5]], [0, 1], 0, "truth and groups"),
        ([[0.5, 0.4]], [0], 0, "does not sum to 1"),
        ([[0.5, 0.5]], [0], 1, "seeds"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(
    probs: list[list[float]], truth: list[int], seeds: int, fault: str
) -> None:
    with pytest.raises(SetupError, match=fault):
        run(probs, truth, seeds)
