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
from affectgraph.reasoners.history.at_risk import AtRisk
from affectgraph.reasoners.history.contracts import HistoryTools
from affectgraph.reasoners.telling import RISK_LEVEL

CEILING: Final = 4000
"""Half the positions of the smallest model that we ship: the system text, what was recalled, this
turn's message and the reply have the other half."""

_CLIPS: Final = (800, 400, 200, 100, 50)


@dataclass(frozen=True)
class Step:
    """What is told from now on, as places in the history.

    Attributes:
        kept: Told word by word.
        dropped: Told until now, or never yet told, and from now on not; none of them at risk.
        clip: Characters at most of one message of those that are clipped.
        clipped: How many of those kept are clipped, from the oldest on.
        moved: Whether something was dropped.
        tokens_before: Of all exchanges so far.
        tokens_after: Of what is kept, without any summary.
        before: The summary that stood in the last prompt.
        lines: Sentences said at risk that stand for exchanges that the context has no room for,
            where the step changed anything.
        summary: What else the summary before said.
        apart: How many exchanges at risk are told by such sentences only.
        budget: Tokens at most, if nothing was at risk.
    """

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    clip: int
    clipped: int
    moved: bool
    tokens_before: int
    tokens_after: int
    before: str
    lines: tuple[str, ...]
    summary: str
    apart: int
    budget: int


@dataclass(frozen=True)
class Steps:
    """When the window moves, and how far.

    Attributes:
        budget: Tokens at most of what is told, a summary among it. Of exchanges that may not be
            left out, the replies and the messages that are not at risk are clipped to it, to 50
            characters at the shortest. Messages at risk are not: where they take so much that
            less than a share of the budget is left for the others, the budget yields.
        exchanges: Exchanges at most in the window; ``None`` for no such limit.
        share: Of each limit, what is left when the window has moved.
        spare: So many of the latest exchanges are never left out.
        risk_level: Nor those of this level of risk and above, 2 at most.
        reserve: Tokens of the budget that a summary may take once something is left out.
        ceiling: Tokens at most even then; by default 4,000, or the budget if that is more.

    Raises:
        BuildError: If a limit is not above 0, the share not between 0 and 1, the level above 2 or
            the ceiling below the budget.
    """

    budget: int
    exchanges: int | None = None
    share: float = 0.5
    spare: int = 2
    risk_level: int = RISK_LEVEL
    reserve: int = 0
    ceiling: int | None = None

    def __post_init__(self) -> None:
        if self._plain < 1 or self.spare < 1 or (self.exchanges is not None and self.exchanges < 1):
            raise BuildError("history: budget, window and exchanges to spare are 1 at least")
        if not 0 < self.share < 1:
            raise BuildError(f"history: the share left is between 0 and 1, not {self.share}")
        if self.risk_level > RISK_LEVEL:
            raise BuildError(
                f"history: what was said at risk, level {RISK_LEVEL} and above, is never left out;"
                f" a risk_level of {self.risk_level} would"
            )
        if self.ceiling is not None and self.ceiling < self.budget:
            raise BuildError(f"history: a ceiling of {self.ceiling} is below the {self.budget}")

    @property
    def _plain(self) -> int:
        """Tokens at most of what is told word by word, once something is left out."""
        return self.budget - self.reserve

    @property
    def _others(self) -> int:
        """Tokens that exchanges not at risk have in any case."""
        return int(self.share * self._plain)

    @property
    def _most(self) -> int:
        """Tokens that never are passed, without the summary's."""
        return (self.ceiling or max(self.budget, CEILING)) - self.reserve

    def _limit(self, at_risk: AtRisk) -> int:
        """The budget, without the summary's part, or what it yields to."""
        return min(max(self._plain, at_risk.floor + self._others), self._most)

    async def take(self, history: Sequence[Exchange], tools: HistoryTools) -> Step:
        """Decide what is told, given what was told before."""
        at = latest_recap(history)
        recap = Recap() if at is None else history[at].recap or Recap()
        newer = len(history) if at is None else len(history) - 1 - at
        told = self._told(history, recap, newer)
        costs = await _costs(history, tools, 0)
        before = recap.tokens + sum(costs[len(history) - newer :])
        risky = [i for i, exchange in enumerate(history) if self._risky(exchange)]
        at_risk = await AtRisk.told(history, told, risky, recap.summary, tools, _CLIPS[-1])
        now = await self._now(told, history, costs, recap, tools)
        lost = len(recap.kept) > len(told) - newer
        spoken = sum(await tools.count([recap.summary])) if recap.summary else 0
        limit = self._limit(at_risk)
        if not lost and not self._over(told, history, sum(now) + spoken, limit, tools.room):
            return Step(
                tuple(told), (), recap.clip, recap.clipped, False, before, sum(now),
                recap.summary, (), recap.summary, len(at_risk.apart), self.budget,
            )  # fmt: skip
        goal = max(self.spare, int(self.share * len(told))) if lost else len(history)
        own = [line for line in recap.summary.splitlines() if line not in set(at_risk.lines)]
        at_risk = await at_risk.within(self._most - self._others, history, tools.count)
        left = [i for i in told if i not in set(at_risk.apart)]
        kept = self._shortened(left, history, costs, tools.room, goal, at_risk)
        clip, after = await self._clipped(kept, history, costs, tools, at_risk)
        clipped = len(kept) if clip else 0
        dropped = tuple(i for i in left if i not in set(kept))
        moved = lost or len(kept) < len(told) or (clip, clipped) != (recap.clip, recap.clipped)
        return Step(
            tuple(kept), dropped, clip, clipped, moved, before, after,
            recap.summary, at_risk.lines, "\n".join(own), len(at_risk.apart), self.budget,
        )  # fmt: skip

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
        self, told: Sequence[int], history: Sequence[Exchange], tokens: int, limit: int,
        room: int | None,
    ) -> bool:  # fmt: skip
        window = self._window(told, history)
        limits = [each for each in (self.exchanges, room) if each is not None]
        too_many = any(window > each for each in limits)
        return too_many or tokens > limit + self.reserve

    def _shortened(
        self, told: Sequence[int], history: Sequence[Exchange], costs: Sequence[int],
        room: int | None, goal: int, at_risk: AtRisk,
    ) -> list[int]:  # fmt: skip
        """Without the oldest that may go, until a share of every limit is kept."""
        limits = [limit for limit in (self.exchanges, room) if limit is not None]
        most = min([goal, *(max(self.spare, int(self.share * limit)) for limit in limits)])
        kept = list(told)
        loose = [i for i in told if not self._protected(i, history)]
        tokens, enough = sum(costs[i] for i in kept), self._part(self.share, at_risk)
        for i in loose:
            if tokens + at_risk.spoken <= enough and self._window(kept, history) <= most:
                break
            kept.remove(i)
            tokens -= costs[i]
        return kept

    def _part(self, share: float, at_risk: AtRisk) -> float:
        """What is at risk, and a share of what that leaves."""
        return at_risk.floor + share * (self._limit(at_risk) - at_risk.floor)

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
        tools: HistoryTools, at_risk: AtRisk,
    ) -> tuple[int, int]:  # fmt: skip
        """The widest clip that leaves some of the limit, and the tokens at it."""
        tokens = sum(costs[i] for i in kept)
        if tokens + at_risk.spoken <= self._limit(at_risk):
            return 0, tokens
        clip, some = 0, self._part((1 + self.share) / 2, at_risk)
        for clip in _CLIPS:
            tokens = sum(await _costs([history[i] for i in kept], tools, clip))
            if tokens + at_risk.spoken <= some:
                break
        return clip, tokens


async def _costs(history: Sequence[Exchange], tools: HistoryTools, clip: int) -> list[int]:
    return await tools.count([tools.printed(exchange, clip) for exchange in history])
