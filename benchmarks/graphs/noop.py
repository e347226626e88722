"""Parts that do nothing, so that what is measured is the machine around them.

Each gives back what it was made with; the reasoner yields to the event loop once a token, as one
that waits for a model does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from affectgraph.memory.record import Cue, MemoryRecord, Recollection
from affectgraph.orchestrator import Parts, Safety
from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.labels import EKMAN_7, MESC_7
from affectgraph.perceivers.turn import Turn
from affectgraph.policies.consent import ConsentRequest
from affectgraph.policies.crisis import CrisisReply
from affectgraph.policies.verdict import RiskAssessment, Verdict
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Decision
from affectgraph.reasoners.taxonomy import MESC_10

THEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
AFFECT: Final = Affect.read(Distribution.certain(EKMAN_7, "sadness"), THEN)
ABSENT: Final = {
    "face": Reading.abstain("face", "absent", "no image in this turn"),
    "speech": Reading.abstain("speech", "absent", "no audio in this turn"),
}
CALM: Final = RiskAssessment(level=0)
SENTENCE: Final = (*(4 * ("con", "tra", "dic", "tion ")), "un", "der", "sto", "od. ")
"""One sentence of a reply: five words in twenty tokens, as many as a spoken sentence has."""

_ALLOWED: Final = Verdict(action="allow", policy="noop")
_DECISIONS: Final = (
    Decision(
        stage="user_emotion",
        distribution=Distribution.certain(MESC_7, "sadness"),
        label="sadness",
        source="noop",
    ),
    Decision(
        stage="strategy",
        distribution=Distribution.certain(MESC_10, "Open questions"),
        label="Open questions",
        source="noop",
    ),
    Decision(
        stage="system_emotion",
        distribution=Distribution.certain(MESC_7, "neutral"),
        label="neutral",
        source="noop",
    ),
)


class NoPerceiver:
    """Reads the same in every turn."""

    def __init__(self, modality: Modality) -> None:
        self.modality: Modality = modality
        self._reading = Reading(modality=modality, affect=AFFECT, model="noop")

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def perceive(self, turn: Turn) -> Reading:  # noqa: ARG002 - the contract's
        """The same reading."""
        return self._reading


class NoFusion:
    """Fuses to the same affect."""

    async def fuse(self, readings: Sequence[Reading]) -> Affect | None:  # noqa: ARG002
        """The same affect."""
        return AFFECT


class NoMemory:
    """Recalls nothing and forgets at once."""

    async def warm_up(self) -> None:
        """Nothing to open."""

    async def recall(self, cue: Cue) -> Sequence[Recollection]:  # noqa: ARG002
        """Nothing."""
        return ()

    async def remember(self, record: MemoryRecord) -> None:
        """Nothing."""

    async def export(self, user: str) -> Sequence[MemoryRecord]:  # noqa: ARG002
        """Nothing."""
        return ()

    async def erase(self, user: str) -> int:  # noqa: ARG002
        """Nothing."""
        return 0

    async def close(self) -> None:
        """Nothing to close."""


class NoReasoner:
    """Decides the same and says the same.

    Args:
        sentences: Length of the reply.
    """

    def __init__(self, sentences: int) -> None:
        self._pieces = SENTENCE * sentences

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def close(self) -> None:
        """Nothing to close."""

    async def reason(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """Three decisions, then the tokens."""
        for decision in _DECISIONS:
            yield decision
        for piece in self.says(context):
            await asyncio.sleep(0)
            yield piece

    def says(self, context: ReasoningContext) -> Sequence[str]:  # noqa: ARG002
        """The tokens of the reply."""
        return self._pieces


class EchoingReasoner(NoReasoner):
    """Says what was said now and what was said before: so crossed threads show in the reply."""

    def __init__(self) -> None:
        super().__init__(0)

    def says(self, context: ReasoningContext) -> Sequence[str]:
        """The words of the turn, then those of the history it was given."""
        return (context.utterance, " ", *(f"{past.said} " for past in context.history))


class NoPolicies:
    """Allows everything and has nothing to tell: consent, disclosure, triage and responder."""

    name = "noop"

    def review(self, subject: ConsentRequest) -> Verdict:  # noqa: ARG002
        """Allow."""
        return _ALLOWED

    def notices(
        self,
        at: datetime,  # noqa: ARG002
        last: datetime | None,  # noqa: ARG002
        utterance: str,  # noqa: ARG002
        senses: tuple[str, ...],  # noqa: ARG002
        *,
        noticed: Collection[str] = (),  # noqa: ARG002
    ) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def warm_up(self) -> None:
        """Nothing to load."""

    quick_below = 1_000

    def assess(self, text: str) -> RiskAssessment:  # noqa: ARG002
        """No risk."""
        return CALM

    def respond(self, assessment: RiskAssessment, shown: Collection[str] = ()) -> CrisisReply:  # noqa: ARG002
        """Never asked: there is no risk."""
        return CrisisReply(text="", resources=())

    def augment(
        self,
        assessment: RiskAssessment,  # noqa: ARG002
        shown: Collection[str] = (),  # noqa: ARG002
    ) -> CrisisReply | None:
        """Nothing."""
        return None


def noop_parts(reasoner: NoReasoner) -> Parts:
    """An agent of three perceivers, memory and all policies, none of which does anything."""
    policies = NoPolicies()
    return Parts(
        perceivers=(NoPerceiver("text"), NoPerceiver("face"), NoPerceiver("speech")),
        reasoner=reasoner,
        fusion=NoFusion(),
        memory=NoMemory(),
        safety=Safety(
            consent=policies, disclosure=policies, triage=policies, crisis=policies, output=()
        ),
    )
