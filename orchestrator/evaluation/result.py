"""What an evaluation comes to: tables, figures, facts.

Plain data without any text of a corpus, so that a result may be printed, kept and sent on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Kind = Literal["ours", "baseline", "published", "ablation"]
Fact = float | str
T = TypeVar("T")

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: The figure over all rows; NaN where it is undefined (a correlation with a constant).
        low: Lower end of the bootstrap interval, 95 % unless the bench says otherwise; ``None``
            where the rows are not to be had, as with published figures.
        high: Upper end.
    """

    value: float
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """``value``, ``low``, ``high``; what is undefined is null."""
        return {"value": finite(self.value), "low": finite(self.low), "high": finite(self.high)}


@dataclass(frozen=True)
class Row:
    """One system in a table.

    Attributes:
        name: The system.
        kind: Whether it is ours, a floor, somebody's published row, or a variant of ours.
        metrics: Metric's name -> its figure.
        n: Rows that the figures rest on; ``None`` where nobody says.
        note: What a reader must know, such as another protocol; a source, for published rows.
    """

    name: str
    kind: Kind
    metrics: Mapping[str, Estimate]
    n: int | None = None
    note: str = ""

    @classmethod
    def published(cls, name: str, note: str = "", **metrics: float) -> Row:
        """A row from the literature, without intervals."""
        return cls(name, "published", {k: Estimate(v) for k, v in metrics.items()}, None, note)


@dataclass(frozen=True)
class Table:
    """Systems side by side on the same rows.

    Attributes:
        title: Corpus, split, label set and unit (message, utterance, turn).
        rows: The systems, floors first.
        note: The protocol: what was chosen on which split.
    """

    title: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every metric of any row, in the order of first mention."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metrics))


@dataclass(frozen=True)
class Confusion:
    """How often each class was told as each; ``counts[true, told]``, shape (k, k)."""

    title: str
    labels: tuple[str, ...]
    counts: NDArray[np.int64]


@dataclass(frozen=True)
class Reliability:
    """Confidence against accuracy, a bin a point.

    Attributes:
        title: What was measured.
        confidence: Mean confidence of each bin, shape (bins,); NaN for an empty one.
        accuracy: Share of right rows of each bin, shape (bins,); NaN for an empty one.
        count: Rows in each bin, shape (bins,).
        error: Expected calibration error, in [0, 1].
    """

    title: str
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    count: NDArray[np.int64]
    error: float


@dataclass(frozen=True)
class Bars:
    """One value a label and series, such as F1 by class.

    Attributes:
        title: What is shown.
        labels: The labels.
        series: Series' name -> a value for each label.
        axis: What the values are.
    """

    title: str
    labels: tuple[str, ...]
    series: Mapping[str, tuple[float, ...]]
    axis: str = "F1"


Figure = Confusion | Reliability | Bars


@dataclass(frozen=True)
class Kept:
    """Per-row truth and predictions, numbers only, for a later paired comparison.

    Attributes:
        name: What they are of; two results are compared where the names agree.
        metric: Name in :data:`affectgraph.orchestrator.evaluation.metrics.METRICS`.
        truth: What the corpus says, one entry a row.
        told: What the system said, one entry a row.
        groups: Whose row it is (dialogue, video, actor), shape (n,), where rows of one belong
            together; they are then drawn together.
    """

    name: str
    metric: str
    truth: NDArray[Any]
    told: NDArray[Any]
    groups: NDArray[Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """Lists of numbers."""
        return {
            "name": self.name,
            "metric": self.metric,
            "truth": self.truth.tolist(),
            "told": self.told.tolist(),
            "groups": None if self.groups is None else self.groups.tolist(),
        }


@dataclass(frozen=True)
class Result:
    """What one task gave.

    Attributes:
        name: The task.
        tables: Its tables.
        figures: What the report draws.
        facts: Named numbers and words beside the tables, such as milliseconds a message.
        kept: Per-row predictions, for ``affectgraph eval compare``.
    """

    name: str
    tables: tuple[Table, ...]
    figures: tuple[Figure, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=lambda: _NONE)
    kept: tuple[Kept, ...] = ()

    def as_json(self, *, rows: bool = False) -> dict[str, Any]:
        """One object: ``metrics`` of our rows and ``baselines`` of all others, by table.

        Args:
            rows: Whether the per-row predictions go along, as ``rows``.
        """
        printed: dict[str, Any] = {
            "name": self.name,
            "metrics": self._rows("ours", "ablation"),
            "baselines": self._rows("baseline", "published"),
            "facts": {key: finite(fact) for key, fact in self.facts.items()},
            "notes": {table.title: table.note for table in self.tables if table.note},
        }
        if rows:
            printed["rows"] = [kept.as_json() for kept in self.kept]
        return printed

    def _rows(self, *kinds: Kind) -> dict[str, dict[str, Any]]:
        return {
            table.title: {row.name: _row(row) for row in table.rows if row.kind in kinds}
            for table in self.tables
        }


def _row(row: Row) -> dict[str, Any]:
    printed: dict[str, Any] = {name: each.as_json() for name, each in row.metrics.items()}
    if row.n is not None:
        printed["n"] = row.n
    if row.kind == "published":
        printed["published"] = True
    if row.note:
        printed["note"] = row.note
    return printed


def finite(value: T | None) -> T | None:
    """A number that JSON has; NaN and infinities become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
