"""What a task is, and what it is given to work with."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from affectgraph.orchestrator.evaluation.bootstrap import Bootstrap
from affectgraph.orchestrator.evaluation.predictions import Chunked
from affectgraph.orchestrator.evaluation.result import Result
from affectgraph.orchestrator.evaluation.subjects import Subjects
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.models import ModelStore

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Told of what is done: what, how much of it, of how much."""


def default_data() -> Path:
    """The folder of research data: ``$AFFECTGRAPH_DATA``, else ``data`` where one stands."""
    return Path(os.environ.get("AFFECTGRAPH_DATA") or "data")


def default_run() -> Path:
    """Where predictions are kept: ``affectgraph/evaluation`` in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "affectgraph" / "evaluation"


def _silent(what: str, done: int, total: int) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Bench:
    """What every task is given.

    Attributes:
        subjects: The parts that are evaluated, built from a spec; nothing is loaded yet.
        data: The folder that holds the corpora under their usual names, or one corpus's own.
        store: Where the pulled models lie.
        run: Folder of predictions, so that a run that was stopped goes on.
        limit: Rows of each split at most, drawn evenly over the classes; 0 for all.
        seed: Of draws of rows and of random floors.
        bootstrap: How intervals are drawn.
        resume: Whether predictions of an earlier run count.
        progress: Told of what is done.
        model: Folder of a language model's checkpoint that tasks with responses ask by itself.
        agent: Whether those tasks ask the spec's reasoner.
        bertscore: Folder of BERTScore's encoder; ``None`` leaves that figure out.
    """

    subjects: Subjects
    data: Path = field(default_factory=default_data)
    store: ModelStore = field(default_factory=ModelStore)
    run: Path = field(default_factory=default_run)
    limit: int = 0
    seed: int = 0
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    resume: bool = True
    progress: Progress = _silent
    model: Path | None = None
    agent: bool = False
    bertscore: Path | None = None

    async def aside(self, call: Callable[[], T]) -> T:
        """Run blocking work (reading a corpus, drawing a bootstrap) off the event loop."""
        return await BlockingPool(size=1).run(call)

    def kept(self, name: str, *versions: str) -> Chunked:
        """Predictions that are computed chunk by chunk, and kept.

        Args:
            name: The task and what is predicted, such as ``goemotions-test``.
            versions: Everything else that the predictions depend on: see
                :func:`~affectgraph.orchestrator.evaluation.subjects.version`.
        """
        return Chunked(
            self.run,
            name,
            versions,
            resume=self.resume,
            report=lambda d, t: self.progress(name, d, t),
        )


@runtime_checkable
class Task(Protocol):
    """One evaluation: a corpus, a protocol, and the rows to stand beside.

    Attributes:
        name: On the command line.
        about: What it measures, one line.
    """

    name: str
    about: str

    async def run(self, bench: Bench) -> Result:
        """Evaluate the bench's subjects.

        Raises:
            SetupError: If the corpus, a model or an extra is absent.
        """
        ...
