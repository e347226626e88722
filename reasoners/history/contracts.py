"""What a compressor of a history is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import Backend

Count = Callable[[Sequence[str]], Awaitable[list[int]]]
"""Tokens of each text."""


@dataclass(frozen=True)
class HistoryTools:
    """What a reasoner lends to its compressor.

    Attributes:
        printed: Text of an exchange as the prompt tells it, at so many characters a message at
            most (0 for no further limit). A message at risk (level 2 and above) is told whole.
        count: Tokens of each text.
        backend: The language model; ``None`` where there is none.
        room: Exchanges at most that the thread keeps; ``None`` for no such limit.
    """

    printed: Callable[[Exchange, int], str]
    count: Count
    backend: Backend | None = None
    room: int | None = None


class CompressedHistory(BaseModel):
    """What the next prompts tell of a conversation.

    Attributes:
        kept: Exchanges that are told word by word, oldest first.
        summary: What the others said, one sentence a line; empty where nothing was summarised.
        clip: Characters at most of one message of those that are clipped.
        clipped: How many of those kept, from the oldest on, are told clipped, as they may not be
            left out and pass the budget: their replies, and the messages that are not at risk.
            The others are told as they were in their turn.
        moved: Whether something was left out that the last prompt told, so that the next one
            begins otherwise.
        tokens_before: Of all exchanges of the thread so far.
        tokens_after: Of what is told of them, the summary among it.
        source: What wrote the summary: ``sentences`` chosen from what was said, the ``model``, or
            empty for nobody in this step.
        over: Tokens by which what is told passes the budget, as messages at risk are told whole.
        apart: Exchanges at risk that the model's context has no room for: only sentences of them
            are told, in the summary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept: tuple[Exchange, ...]
    summary: str = ""
    clip: int = Field(default=0, ge=0)
    clipped: int = Field(default=0, ge=0)
    moved: bool = False
    tokens_before: int = Field(ge=0)
    tokens_after: int = Field(ge=0)
    source: str = ""
    over: int = Field(default=0, ge=0)
    apart: int = Field(default=0, ge=0)

    @property
    def ratio(self) -> float:
        """Tokens told over tokens said: 1 where nothing was saved."""
        return self.tokens_after / self.tokens_before if self.tokens_before else 1.0


@runtime_checkable
class HistoryCompressor(Protocol):
    """Chooses what is told of a conversation, after a reply and before the next turn.

    It is asked once an exchange. What it chose the time before stands in the newest
    :class:`~affectgraph.reasoners.context.Recap` of the history; it must stay with that as long
    as it can, because a prompt whose beginning changes is read anew from there.
    """

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """Choose what is told.

        Args:
            history: Exchanges of the thread, oldest first, the newest just over.
            tools: What the reasoner lends.
        """
        ...


@runtime_checkable
class NoteTaker(Protocol):
    """A reasoner whose next prompt needs to know how this turn's was written."""

    async def note(
        self,
        context: ReasoningContext,
        exchange: Exchange,
        *,
        room: int | None = None,
        asked: bool = True,
    ) -> Exchange:
        """The exchange with what was told in it and a recap; called once, after the reply.

        Args:
            context: What the turn was answered from.
            exchange: The exchange that came of it.
            room: Exchanges at most that the thread keeps.
            asked: Whether a language model was asked in the turn.
        """
        ...
