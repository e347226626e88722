"""The shipped reader on slices of the real corpora: it stands above the floors."""

from __future__ import annotations

from pathlib import Path

import pytest

from affectgraph.orchestrator.evaluation import Bench, Bootstrap, Subjects, Task
from affectgraph.orchestrator.evaluation.tasks.goemotions import GoEmotions
from affectgraph.orchestrator.evaluation.tasks.tweeteval import TweetEval


@pytest.fixture
def bench(data_root: Path, tmp_path: Path) -> Bench:
    return Bench(Subjects.of(), data_root, run=tmp_path, limit=60, bootstrap=Bootstrap(draws=50))


@pytest.mark.data
@pytest.mark.parametrize("asked", [GoEmotions(), TweetEval()], ids=lambda asked: asked.name)
async def test_the_shipped_reader_stands_above_the_floors(asked: Task, bench: Bench) -> None:
    result = await asked.run(bench)
    for table in result.tables:
        (ours,) = [row for row in table.rows if row.kind == "ours"]
        floors = [row for row in table.rows if row.kind == "baseline"]
        assert len(floors) >= 2
        best = max(row.metrics["macro_f1"].value for row in floors)
        assert ours.metrics["macro_f1"].value > best, table.title
        assert ours.metrics["macro_f1"].low is not None
