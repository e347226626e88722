"""Which exchanges are told: all until a limit is passed, then back to about half of it.

A window that moved by one exchange a turn would change the beginning of every prompt. This one
moves seldom and far, so that most prompts begin as the last one did (hysteresis).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from affectgraph.perceivers.errors import BuildError
from affectgraph.reasoners.context import Exchange, Recap, latest_recap
from affectgraph.reasoners.history.contracts import HistoryTools

RISK_LEVEL: Final = 2
"""From here on (a wish to be dead) what was said is never left out."""

_CLIPS: Final = (800, 400, 200, 100, 50)


@dataclass(frozen=True)
class Step:
    """What is told from now on, as places in the history.

    Attributes:
        kept: Told word by word.
        dropped: Told until now, or never yet told, and from now on not.
        clip: Characters at most of one message of those that are clipped.
        clipped: How many of those kept are clipped, from the oldest on.
        moved: Whether something was dropped.
        tokens_before: Of all exchanges so far.
        tokens_after: Of what is kept.
        summary: What the last recap had as its summary.
    """

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    clip: int
    clipped: int
    moved: bool
    tokens_before: int
    tokens_after: int
    summary: str


@dataclass(frozen=True)
class Steps:
    """When the window moves, and how far.

    Attributes:
        budget: Tokens at most of what is told, a summary among it. Only exchanges that may not be
            left out can pass it; they are clipped then, to 50 characters a message at the
            shortest.
        exchanges: Exchanges at most in the window; ``None`` for no such limit.
        share: Of each limit, what is left when the window has moved.
        spare: So many of the latest exchanges are never left out.
        risk_level: Nor those of this level of risk and above.
        reserve: Tokens of the budget that a summary may take once something is left out.

    Raises:
        BuildError: If a limit is not above 0, or the share not between 0 and 1.
    """

    budget: int
    exchanges: int | None = None
    share: float = 0.5
    spare: int = 2
    risk_level: int = RISK_LEVEL
    reserve: int = 0

    def __post_init__(self) -> None:
        if self._plain < 1 or self.spare < 1 or (self.exchanges is not None and self.exchanges < 1):
            raise BuildError("history: budget, window and exchanges to spare are 1 at least")
        if not 0 < self.share < 1:
            raise BuildError(f"history: the share left is between 0 and 1, not {self.share}")

    @property
    def _plain(self) -> int:
        """Tokens at most of what is told word by word, once something is left out."""
        return self.budget - self.reserve

    async def take(self, history: Sequence[Exchange], tools: HistoryTools) -> Step:
        """Decide what is told, given what was told before."""
        at = latest_recap(history)
        recap = Recap() if at is None else history[at].recap or Recap()
        newer = len(history) if at is None else len(history) - 1 - at
        told = self._told(history, recap, newer)
        costs = await _costs(history, tools, 0)
        before = recap.tokens + sum(costs[len(history) - newer :])
        now = await self._now(told, history, costs, recap, tools)
        lost = len(recap.kept) > len(told) - newer
        spoken = sum(await tools.count([recap.summary])) if recap.summary else 0
        if not lost and not self._over(told, history, sum(now) + spoken, tools.room):
            return Step(
                tuple(told), (), recap.clip, recap.clipped, False, before, sum(now), recap.summary
            )
        goal = max(self.spare, int(self.share * len(told))) if lost else len(history)
        kept = self._shortened(told, history, costs, tools.room, goal)
        clip, after = await self._clipped(kept, history, costs, tools)
        clipped = len(kept) if clip else 0
        dropped = tuple(i for i in told if i not in set(kept))
        moved = lost or bool(dropped) or (clip, clipped) != (recap.clip, recap.clipped)
        return Step(tuple(kept), dropped, clip, clipped, moved, before, after, recap.summary)

    async def _now(
        self, told: Sequence[int], history: Sequence[Exchange], costs: Sequence[int],
        recap: Recap, tools: HistoryTools,
    ) -> list[int]:  # fmt: skip
        """Tokens of what is told as long as nothing moves."""
        old = [history[i] for i in told[: recap.clipped]]
        shorter = await _costs(old, tools, recap.clip) if old else []
        return shorter + [costs[i] for i in told[recap.clipped :]]

    def _told(self, history: Sequence[Exchange], recap: Recap, newer: int) -> list[int]:
        names, old = set(recap.kept), len(history) - newer
        return [i for i, exchange in enumerate(history) if i >= old or exchange.key in names]

    def _over(
        self, told: Sequence[int], history: Sequence[Exchange], tokens: int, room: int | None
    ) -> bool:  # fmt: skip
        window = self._window(told, history)
        limits = [limit for limit in (self.exchanges, room) if limit is not None]
        too_many = any(window > limit for limit in limits)
        return too_many or tokens > self.budget

    def _shortened(
        self, told: Sequence[int], history: Sequence[Exchange], costs: Sequence[int],
        room: int | None, goal: int,
    ) -> list[int]:  # fmt: skip
        """Without the oldest that may go, until a share of every limit is kept."""
        limits = [limit for limit in (self.exchanges, room) if limit is not None]
        most = min([goal, *(max(self.spare, int(self.share * limit)) for limit in limits)])
        kept = list(told)
        loose = [i for i in told if not self._protected(i, history)]
        tokens = sum(costs[i] for i in kept)
        for i in loose:
            if tokens <= self.share * self._plain and self._window(kept, history) <= most:
                break
            kept.remove(i)
            tokens -= costs[i]
        return kept

    def _window(self, told: Sequence[int], history: Sequence[Exchange]) -> int:
        """Exchanges from the oldest one on that is not told for its risk alone."""
        first = next((i for i in told if not self._risky(history[i])), None)
        return 0 if first is None else sum(i >= first for i in told)

    def _protected(self, i: int, history: Sequence[Exchange]) -> bool:
        return i >= len(history) - self.spare or self._risky(history[i])

    def _risky(self, exchange: Exchange) -> bool:
        return exchange.risk_level >= self.risk_level

    async def _clipped(
        self, kept: Sequence[int], history: Sequence[Exchange], costs: Sequence[int],
        tools: HistoryTools,
    ) -> tuple[int, int]:  # fmt: skip
        """The widest clip that leaves some of the budget, and the tokens at it."""
        tokens = sum(costs[i] for i in kept)
        if tokens <= self._plain:
            return 0, tokens
        clip, some = 0, (1 + self.share) / 2 * self._plain
        for clip in _CLIPS:
            tokens = sum(await _costs([history[i] for i in kept], tools, clip))
            if tokens <= some:
                break
        return clip, tokens


async def _costs(history: Sequence[Exchange], tools: HistoryTools, clip: int) -> list[int]:
    return await tools.count([tools.printed(exchange, clip) for exchange in history])
