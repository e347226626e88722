"""What a perceiver and a fusion are.

A node author writes a small class with a frozen config and one async method over domain objects.
It knows nothing of the graph: the orchestrator adds time limits, spans and degraded results.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from affectgraph.perceivers.affect import Affect, Modality, Reading
from affectgraph.perceivers.turn import Turn


@runtime_checkable
class Perceiver(Protocol):
    """Reads one modality of a turn.

    One that holds what must be let go of has an ``async close()`` besides; the agent calls it.
    """

    @property
    def modality(self) -> Modality:
        """The modality that every reading of this perceiver carries."""
        ...

    async def warm_up(self) -> None:
        """Load models; called once, before the first turn, off the hot path."""
        ...

    async def perceive(self, turn: Turn) -> Reading:
        """Read the turn, or abstain with a reason; never guess on bad input."""
        ...


@runtime_checkable
class TextReader(Protocol):
    """A text perceiver that also reads words that were not typed, such as a transcript."""

    async def read(self, text: str, captured_at: datetime) -> Reading:
        """Read a text; the reading's ``covers`` is its length."""
        ...


@runtime_checkable
class Fusion(Protocol):
    """Makes one affect of a turn's readings."""

    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:
        """Fuse what was read; ``None`` when nothing was."""
        ...
