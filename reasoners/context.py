"""What the reasoner knows when it decides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from affectgraph.memory.record import Recollection
from affectgraph.perceivers.affect import Affect
from affectgraph.reasoners.plan import Plan


class Recap(BaseModel):
    """How the prompts after an exchange tell what was before them.

    It is decided once, after a reply, and kept with the thread: so the next prompt begins as the
    last one did, in whatever process it is written.

    Attributes:
        kept: Keys of the exchanges that are told word by word, oldest first.
        summary: What the others said, one sentence a line; empty where nothing was summarised.
        clip: Characters at most of one message of those that are clipped.
        clipped: How many of the kept exchanges, from the oldest on, are told clipped; what the
            person said at risk is not.
        opening: Name of the exemplars that the thread began with; empty for none.
        tokens: Of all exchanges of the thread so far, as they were told or would have been.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kept: tuple[str, ...] = ()
    summary: str = ""
    clip: int = Field(default=0, ge=0)
    clipped: int = Field(default=0, ge=0)
    opening: str = ""
    tokens: int = Field(default=0, ge=0)


class Exchange(BaseModel):
    """One past exchange of the conversation.

    Attributes:
        said: What the person said.
        replied: What was delivered to them (not merely generated).
        plan: What had been decided, the agent's own labels.
        risk_level: Risk at that turn, 0 to 6.
        turn: Id of the turn; empty where it is not known.
        interrupted: Whether the reply was cut short by the person.
        told: The person's message as it stood in the prompt of that turn, with what was recalled
            and perceived then; empty where no model was asked, or it is not known.
        recap: How the prompts after this exchange tell the history; ``None`` where nothing was
            decided. Only the newest one counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    said: str
    replied: str
    plan: Plan = Plan()
    risk_level: int = Field(default=0, ge=0, le=6)
    turn: str = ""
    interrupted: bool = False
    told: str = ""
    recap: Recap | None = None

    @property
    def key(self) -> str:
        """Names the exchange within its thread: the turn's id, else a digest of the words."""
        if self.turn:
            return self.turn
        words = f"{self.said}\0{self.replied}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(words, digest_size=8).hexdigest()


class ReasoningContext(BaseModel):
    """Everything that a stage may condition on.

    Attributes:
        utterance: The person's words: typed text and transcript.
        affect: Fused perception; ``None`` if nothing was perceived.
        recollections: Memories that came to mind.
        history: Past exchanges of this thread, oldest first.
        plan: Decisions of the stages before this one.
        risk_level: Risk of this turn, 0 to 6; what is said at risk is told whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    utterance: str
    affect: Affect | None = None
    recollections: tuple[Recollection, ...] = ()
    history: tuple[Exchange, ...] = ()
    plan: Plan = Plan()
    risk_level: int = Field(default=0, ge=0, le=6)


def latest_recap(history: Sequence[Exchange]) -> int | None:
    """Where the newest exchange with a recap stands; ``None`` if there is none."""
    return next((i for i in range(len(history) - 1, -1, -1) if history[i].recap is not None), None)
