"""How much of a conversation the next prompt tells, and what becomes of the rest."""

from affectgraph.reasoners.history.contracts import (
    CompressedHistory,
    HistoryCompressor,
    HistoryTools,
    NoteTaker,
)
from affectgraph.reasoners.history.full import FullHistory
from affectgraph.reasoners.history.notes import Notes, fitting_history
from affectgraph.reasoners.history.summary import SummaryHistory
from affectgraph.reasoners.history.trimming import trimmed
from affectgraph.reasoners.history.window import WindowHistory

__all__ = [
    "CompressedHistory",
    "FullHistory",
    "HistoryCompressor",
    "HistoryTools",
    "NoteTaker",
    "Notes",
    "SummaryHistory",
    "WindowHistory",
    "fitting_history",
    "trimmed",
]
