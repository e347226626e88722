"""What the fusion tasks print: of something learned by hand, and of slices of the corpora."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from affectgraph.orchestrator.evaluation import Bench, Bootstrap, Subjects, Task
from affectgraph.orchestrator.evaluation.fusion_tasks import (
    at_random,
    facts,
    floor_rows,
    fused_rows,
)
from affectgraph.orchestrator.evaluation.tasks.meld import Meld
from affectgraph.orchestrator.evaluation.tasks.mosi import Mosi
from affectgraph.perceivers.fusion.pool import Pool
from affectgraph.perceivers.training.fusion_context import Settings
from affectgraph.perceivers.training.fusion_fit import Calibrator
from affectgraph.perceivers.training.fusion_learn import Learned

SURE = 0.9


def learned() -> Learned:
    """Words that are always right; a face that is right on two rows and absent on the others.

    Where the face is absent, what its model makes of nothing is wrong, and surer than the words.
    """
    truth = np.array([0, 1, 0, 1])
    right, wrong = np.eye(2)[truth], np.eye(2)[1 - truth]
    there = {"text": np.ones(4, np.bool_), "face": np.array([True, True, False, False])}
    seen = there["face"][:, None]
    probs = {
        "text": SURE * right + (1 - SURE) * wrong,
        "face": np.where(seen, right, wrong),
    }
    calm = Calibrator(np.ones(2), np.zeros(2))
    return Learned(
        truth=truth,
        sequence=np.array([0, 0, 1, 1]),
        shares=np.array([0.75, 0.25]),
        raw=probs,
        probs=probs,
        there=there,
        calibrators=dict.fromkeys(probs, calm),
        pool=Pool({"face+text": {"text": 0.5, "face": 2.0}}),
        held_raw=probs,
        held=probs,
        held_there=there,
        held_truth=truth,
        settings=dict.fromkeys(probs, Settings()),
    )


def test_a_modality_that_a_row_lacks_has_no_say_in_it(make_bench: Callable[..., Bench]) -> None:
    rows = {row.name: row.metrics["accuracy"].value for row in fused_rows(make_bench(), learned())}
    assert rows["text"] == rows["text + face"] == rows["all, every weight 1"] == 1
    assert rows["all, face missing, the weights of all kept"] == 1
    # Two rows by the face; the others by the classes' frequencies, which are right on one.
    assert rows["face"] == rows["all, text missing, the weights of all kept"] == 0.75


def test_floors_come_from_what_was_learned_from(make_bench: Callable[..., Bench]) -> None:
    rows = {row.name: row for row in floor_rows(make_bench(), learned())}
    assert {row.kind for row in rows.values()} == {"baseline"}
    assert rows["majority"].metrics["accuracy"].value == 0.5
    # Class 0 stands before the first row of each dialogue; the second rows differ from the first.
    persistence = rows["the label of the utterance before (gold history)"]
    assert persistence.metrics["accuracy"].value == 0.5


def test_one_missing_at_random_leaves_what_is_there() -> None:
    made = learned()
    lost = np.random.default_rng(3).integers(2, size=4)
    told = at_random(made, 3)
    for row, gone in enumerate(lost.tolist()):
        left = ["face", "text"][gone] if made.there["face"][row] or gone else None
        expected = made.probs[left][row].argmax() if left else told[row].argmax()
        assert told[row].argmax() == expected
    assert told.sum(axis=1) == pytest.approx(1)


def test_facts_count_the_rows_of_each_modality() -> None:
    told = facts(learned())
    assert (told["rows with text"], told["rows with face"]) == (4, 2)
    assert told["weight of face in face+text"] == 2.0
    assert told["calibration of text"] == "temperature"


@pytest.fixture
def shipped(data_root: Path, tmp_path: Path) -> Bench:
    return Bench(Subjects.of(), data_root, run=tmp_path, limit=60, bootstrap=Bootstrap(draws=10))


@pytest.mark.data
@pytest.mark.parametrize("asked", [Meld(), Mosi()], ids=lambda asked: asked.name)
async def test_a_slice_of_the_corpus_gives_every_table(asked: Task, shipped: Bench) -> None:
    result = await asked.run(shipped)
    assert len(result.tables) == {"meld": 3, "mosi": 4}[asked.name]
    for table in result.tables:
        names = [row.name for row in table.rows]
        if "what the fusion adds" not in table.title:
            assert names[:2] == ["majority", "random"]
        for row in table.rows:
            assert all(np.isfinite(each.value) for each in row.metrics.values()), row.name
            if row.kind != "published":
                assert row.n == len(result.kept[0].truth)
    assert {type(figure).__name__ for figure in result.figures} == {
        "Confusion",
        "Reliability",
        "Bars",
    }
