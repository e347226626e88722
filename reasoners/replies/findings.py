"""What a check is given and what it finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.words import stems
from affectgraph.reasoners.tables import Mood, mood_of, moods

PLEASANT: Final = 0.4
"""Valence from which what a person says counts as pleasant."""
UNPLEASANT: Final = -0.25
"""Valence up to which it counts as unpleasant."""


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
    def belief(self) -> Distribution | None:
        """What is believed of the person's emotion (MESC-7): as decided, else as perceived."""
        decided = self.plan.user_emotion
        if decided is not None and decided.distribution.label_set == MESC_7.name:
            return decided.distribution
        affect = self.context.affect
        return None if affect is None else affect.distribution.to(MESC_7)

    @cached_property
    def feels(self) -> dict[Mood, float]:
        """Shares of the moods in what is believed of the person; empty if nothing is."""
        return {} if self.belief is None else moods(self.belief)

    @property
    def valence(self) -> float:
        """Of what was perceived, in [-1, 1]; 0 where nothing was."""
        affect = self.context.affect
        return 0.0 if affect is None else affect.vad.valence

    @property
    def borne_out(self) -> bool:
        """Whether the valence bears the likeliest emotion out."""
        if self.belief is None:
            return False
        mood = mood_of(self.belief.top)
        if mood == "even":
            return UNPLEASANT < self.valence < PLEASANT
        return self.valence >= PLEASANT if mood == "glad" else self.valence <= UNPLEASANT

    @property
    def moved(self) -> float:
        """Share of belief that the person is glad, or that they are low or angry."""
        feels = self.feels
        return max(feels.get("glad", 0.0), feels.get("low", 0.0) + feels.get("angry", 0.0))


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
