"""What of a conversation stays with its thread at all."""

from __future__ import annotations

from collections.abc import Sequence

from affectgraph.reasoners.context import Exchange, latest_recap
from affectgraph.reasoners.history.stepping import RISK_LEVEL


def trimmed(history: Sequence[Exchange], keep: int) -> tuple[Exchange, ...]:
    """The latest exchanges, and of those before them what a prompt may still have to tell.

    That is what the newest recap names, and what was at risk: of the latter at most ``keep`` more,
    the gravest and then the latest. Only the newest recap is kept, and none of its predecessors.

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
    staying = set(risky[:keep])
    kept = []
    for i, exchange in enumerate(history):
        if i >= old or i in staying or exchange.key in names:
            stale = exchange.recap is not None and i != at
            kept.append(exchange.model_copy(update={"recap": None}) if stale else exchange)
    return tuple(kept)
