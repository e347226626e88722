"""What of a conversation stays with its thread at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from affectgraph.reasoners.context import Exchange, latest_recap
from affectgraph.reasoners.telling import RISK_LEVEL

AT_RISK: Final = 100
"""So many exchanges at risk stay with a thread beside its latest. A checkpoint is written each
turn, so there must be an end; a prompt has room for fewer."""


def trimmed(history: Sequence[Exchange], keep: int) -> tuple[Exchange, ...]:
    """The latest exchanges, and of those before them what a prompt may still have to tell.

    That is what the newest recap names, and what was at risk, up to 100 exchanges; of more the
    gravest and then the latest. Only the newest recap is kept, and none of its predecessors.

    Args:
        history: Exchanges, oldest first.
        keep: How many of the latest stay in any case, 1 at least.
    """
    at = latest_recap(history)
    recap = None if at is None else history[at].recap
    names = set(recap.kept) if recap is not None else set()
    old = len(history) - keep
    risky = [i for i in range(old) if history[i].risk_level >= RISK_LEVEL]
    risky.sort(key=lambda i: (-history[i].risk_level, -i))
    staying = set(risky[:AT_RISK])
    kept = []
    for i, exchange in enumerate(history):
        if i >= old or i in staying or exchange.key in names:
            stale = exchange.recap is not None and i != at
            kept.append(exchange.model_copy(update={"recap": None}) if stale else exchange)
    return tuple(kept)
