"""Evaluation: tables with intervals, and the rows that they must stand beside."""

from affectgraph.orchestrator.evaluation.bench import Bench, Task
from affectgraph.orchestrator.evaluation.bootstrap import Bootstrap, Statistic
from affectgraph.orchestrator.evaluation.result import (
    Bars,
    Confusion,
    Estimate,
    Figure,
    Kept,
    Reliability,
    Result,
    Row,
    Table,
)
from affectgraph.orchestrator.evaluation.subjects import Subjects

__all__ = [
    "Bars",
    "Bench",
    "Bootstrap",
    "Confusion",
    "Estimate",
    "Figure",
    "Kept",
    "Reliability",
    "Result",
    "Row",
    "Statistic",
    "Subjects",
    "Table",
    "Task",
]
