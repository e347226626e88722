"""What a check is given and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.words import stems
from affectgraph.reasoners.tables import Mood, moods


@dataclass(frozen=True)
class Finding:
    """Something wrong with a sentence.

    Attributes:
        check: Name of the check, by which it is switched off.
        code: What it found, for spans and counts; holds no content.
    """

    check: str
    code: str


@dataclass(frozen=True)
class Situation:
    """What a sentence of a reply is checked against.

    Attributes:
        context: What the reasoner knows of the turn.
        plan: What was decided.
    """

    context: ReasoningContext
    plan: Plan = field(default_factory=Plan)

    @cached_property
    def told(self) -> frozenset[str]:
        """Stems of what the person said, now and before, and of what was recalled."""
        context = self.context
        parts = [context.utterance]
        parts += [exchange.said for exchange in context.history]
        parts += [found.record.text for found in context.recollections]
        return stems(" ".join(parts))

    @cached_property
    def replied(self) -> tuple[str, ...]:
        """The agent's last replies, oldest first."""
        return tuple(exchange.replied for exchange in self.context.history[-6:])

    @property
    def first(self) -> bool:
        """Whether this is the first turn."""
        return not self.context.history

    @cached_property
    def feels(self) -> dict[Mood, float]:
        """Shares of the moods in what is believed of the person; empty if nothing is."""
        decided = self.plan.user_emotion
        belief: Distribution | None = None
        if decided is not None and decided.distribution.label_set == MESC_7.name:
            belief = decided.distribution
        elif self.context.affect is not None:
            belief = self.context.affect.distribution.to(MESC_7)
        return {} if belief is None else moods(belief)


class Check(Protocol):
    """Looks for one kind of fault in a sentence. Quick and pure."""

    @property
    def name(self) -> str:
        """By which it is switched off."""
        ...

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """What is wrong with a sentence.

        Args:
            sentence: A whole sentence of a reply.
            before: The sentences of the reply that stand before it; empty for the first.
            situation: What it answers.
        """
        ...
