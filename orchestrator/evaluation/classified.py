"""Rows of one class each, and the probabilities that a system gives them: tables and figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats, Groups
from affectgraph.orchestrator.evaluation.metrics import (
    ECE,
    Metric,
    class_f1,
    confusion,
    measure,
    reliability,
)
from affectgraph.orchestrator.evaluation.result import Bars, Figure, Kept, Row


@dataclass(frozen=True)
class Classified:
    """What a system says of rows that have one class each.

    Attributes:
        title: Of the table and the figures.
        labels: Names of the classes.
        truth: Class of each row, shape (n,).
        probs: What the system says, shape (n, k).
        metrics: Of most probable classes.
        groups: Whose each row is, shape (n,), where rows of one are drawn together.
    """

    title: str
    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    probs: Floats
    metrics: tuple[Metric, ...]
    groups: Groups | None = None

    @property
    def told(self) -> NDArray[np.int64]:
        """The most probable class of each row, shape (n,)."""
        return np.asarray(self.probs.argmax(axis=1), dtype=np.int64)

    def floor(self, bench: Bench, name: str, guess: NDArray[np.int64]) -> Row:
        """A floor's row."""
        figures = measure(self.metrics, self.truth, guess, bench.bootstrap, self.groups)
        return Row(name, "baseline", figures, len(self.truth))

    def ours(self, bench: Bench, note: str = "") -> Row:
        """The system's row, with its calibration error."""
        figures = measure(self.metrics, self.truth, self.told, bench.bootstrap, self.groups)
        error = measure([ECE], self.truth, self.probs, bench.bootstrap, self.groups)
        return Row(bench.subjects.name, "ours", {**figures, **error}, len(self.truth), note)

    def figures(self) -> tuple[Figure, ...]:
        """Confusion, reliability diagram, F1 of each class."""
        scores = class_f1(self.truth, self.told, len(self.labels))
        return (
            confusion(self.title, self.labels, self.truth, self.told),
            reliability(self.title, self.probs, self.truth),
            Bars(self.title, self.labels, {"F1": scores}),
        )

    def kept(self) -> tuple[Kept, ...]:
        """For a later comparison: classes by accuracy, probabilities by calibration error."""
        return (
            Kept(self.title, "accuracy", self.truth, self.told, self.groups),
            Kept(f"{self.title}, calibration", "ece", self.truth, self.probs, self.groups),
        )
