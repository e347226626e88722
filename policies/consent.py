"""Whether the person agreed to what is about to be done."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from affectgraph.perceivers.affect import Modality
from affectgraph.perceivers.turn import Consent
from affectgraph.policies.verdict import Verdict

Sense = Literal["camera", "microphone", "memory"]

_NEEDS: Final[dict[Modality | Literal["memory"], Sense | None]] = {
    "text": None,
    "face": "camera",
    "speech": "microphone",
    "memory": "memory",
}


class ConsentRequest(BaseModel):
    """What is about to be done, and what was agreed to.

    Attributes:
        consent: The person's consent for this turn.
        modality: The modality that is about to be read, or ``memory`` for keeping what was said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    consent: Consent
    modality: Modality | Literal["memory"]


class ConsentPolicy:
    """Allows what was agreed to and blocks the rest; typed words need no further consent."""

    name = "consent"

    def review(self, subject: ConsentRequest) -> Verdict:
        """Allow or block; the reason names the missing consent, such as ``no-consent-camera``."""
        sense = _NEEDS[subject.modality]
        if sense is None or permits(subject.consent, sense):
            return Verdict(action="allow", policy=self.name)
        return Verdict(action="block", policy=self.name, reasons=(f"no-consent-{sense}",))


def permits(consent: Consent, sense: Sense) -> bool:
    """Whether a consent covers a sense, or keeping a memory."""
    match sense:
        case "camera":
            return consent.camera
        case "microphone":
            return consent.microphone
        case "memory":
            return consent.memory
