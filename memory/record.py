"""What is remembered, and what recall gives back."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from affectgraph.perceivers.affect import Affect


class MemoryRecord(BaseModel):
    """One remembered exchange.

    Attributes:
        id: Content hash; writing the same exchange twice keeps one record.
        user: Whose memory it is.
        thread: The conversation it was said in.
        text: What the person said (typed words and transcript).
        reply: What they were answered, as delivered.
        affect: How they seemed; ``None`` if nothing was perceived.
        strategy: Support strategy of the reply, if one was planned.
        risk_level: Risk at that turn, 0 to 6; records from level 3 on are left out of ordinary
            recall.
        provenance: Who the words come from.
        at: When it was said (time zone aware).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    user: str = Field(min_length=1)
    thread: str = Field(min_length=1)
    text: str = Field(min_length=1)
    reply: str = ""
    affect: Affect | None = None
    strategy: str | None = None
    risk_level: int = Field(default=0, ge=0, le=6)
    provenance: Literal["user-said"] = "user-said"
    at: AwareDatetime


class Cue(BaseModel):
    """What recall starts from.

    Attributes:
        user: Whose memories; no other user's are ever searched.
        text: The words of the present turn.
        affect: How the person seems now; recall by emotion falls back to meaning without it.
        limit: How many recollections at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = Field(min_length=1)
    text: str = Field(min_length=1)
    affect: Affect | None = None
    limit: int = Field(default=3, ge=1, le=50)


class Recollection(BaseModel):
    """A record that came to mind, and why.

    Attributes:
        record: The record.
        distance: What it was ranked by; smaller is nearer. 0 is the same.
        breakdown: The parts of the distance by name (``semantic``, ``emotional``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record: MemoryRecord
    distance: float = Field(ge=0)
    breakdown: dict[str, float]


def record_id(user: str, thread: str, text: str, at: datetime) -> str:
    """Content hash of an exchange: the same exchange has the same id, whoever writes it."""
    digest = hashlib.sha256()
    for part in (user, thread, at.astimezone(UTC).isoformat(), text):
        raw = part.encode()
        # Lengths keep parts apart: ("ab", "c") and ("a", "bc") are two exchanges.
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:32]
