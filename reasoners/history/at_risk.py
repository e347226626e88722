"""What was said at risk: told whole, and where the model's context ends in whole sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.history.contracts import Count, HistoryTools
from affectgraph.reasoners.telling import pieces

_WORD_BY_WORD: Final = 0.75


@dataclass(frozen=True)
class AtRisk:
    """The exchanges of a history that may not be left out, and what they take at the least.

    Attributes:
        least: Tokens by place: the message whole and the reply at its shortest.
        apart: Places of those that are not told word by word, oldest first.
        lines: Of a summary, the sentences that stand for those.
        spoken: Tokens of those lines.
    """

    least: dict[int, int]
    apart: tuple[int, ...] = ()
    lines: tuple[str, ...] = ()
    spoken: int = 0

    @property
    def floor(self) -> int:
        """Tokens at the least of all that is told of them."""
        return sum(self.least.values()) + self.spoken

    @classmethod
    async def told(
        cls, history: Sequence[Exchange], told: Sequence[int], risky: Sequence[int], summary: str,
        tools: HistoryTools, shortest: int,
    ) -> AtRisk:  # fmt: skip
        """What is told of them now.

        Args:
            history: Exchanges of the thread, oldest first.
            told: Places that are told word by word.
            risky: Places at risk, oldest first.
            summary: The summary that stands in the prompt.
            tools: What the reasoner lends.
            shortest: Characters of a reply at its shortest.
        """
        names = set(told)
        word_by_word = [i for i in risky if i in names]
        texts = [tools.printed(history[i], shortest) for i in word_by_word]
        sizes = await tools.count(texts) if texts else []
        apart = tuple(i for i in risky if i not in names)
        known = {line for i in apart for line in pieces(history[i].said)} if summary else set()
        lines = tuple(line for line in summary.splitlines() if line in known)
        spoken = sum(await tools.count(lines)) if lines else 0
        return cls(dict(zip(word_by_word, sizes, strict=True)), apart, lines, spoken)

    async def within(self, limit: int, history: Sequence[Exchange], count: Count) -> AtRisk:
        """The newest whole as long as they fit, then sentences of the others as far as these do.

        Args:
            limit: Tokens at most.
            history: As before.
            count: Counts tokens.
        """
        least: dict[int, int] = {}
        # Where not all fit, a part is for the sentences; crumbs would say nothing.
        room = limit if self.floor <= limit else _WORD_BY_WORD * limit
        for i, size in sorted(self.least.items(), reverse=True):
            if sum(least.values()) + size > room:
                break
            least[i] = size
        apart = tuple(sorted({*self.apart, *self.least} - set(least)))
        left, chosen = limit - sum(least.values()), list[list[str]]()
        for i in reversed(apart):
            said = dict.fromkeys(pieces(history[i].said))
            lines = [line for line in said if not any(line in taken for taken in chosen)]
            taken = []
            for line, size in zip(lines, await count(lines) if lines else [], strict=True):
                if size <= left:
                    taken.append(line)
                    left -= size
            if lines and not taken:
                break
            chosen.append(taken)
        spoken = limit - sum(least.values()) - left
        told = tuple(line for lines in reversed(chosen) for line in lines)
        return AtRisk(dict(sorted(least.items())), apart, told, spoken)
