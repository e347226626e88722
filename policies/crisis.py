"""What is said to a person at risk: written by people, with a line to call that is there.

At level 3 and above the reply replaces the reasoner's. It validates, says that it comes from an
AI, asks one direct question, offers a choice, and names a professional line and a trusted person.
At levels 5 and 6 it urges a call now, company, and distance from danger. It never ends the
conversation. At level 2 a question and a line are added to the reasoner's reply.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from affectgraph.perceivers.errors import SetupError
from affectgraph.policies.verdict import RiskAssessment

MAX_AGE: Final = timedelta(days=180)
"""After this long an entry has to be verified again."""

_RESPOND_FROM: Final = 3
_IMMINENT_FROM: Final = 5


class Resource(BaseModel):
    """Somebody to turn to.

    Attributes:
        id: Stable name, to remember what was shown.
        name: What it is called.
        contact: How to reach it.
        hours: When.
        emergency: Emergency number of the region, or words for it.
        source: Official page.
        status: Whether the entry was checked against its source.
        verified_on: When.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    contact: str
    hours: str
    emergency: str
    source: str
    status: Literal["confirmed", "unconfirmed"]
    verified_on: date | None

    def told(self) -> str:
        """As it stands in a sentence."""
        return f"{self.name} ({self.contact}, {self.hours})"


class CrisisReply(BaseModel):
    """A reply at level 3 or above, or what is added to one at level 2.

    Attributes:
        text: What is said; names at least one resource.
        resources: The resources that it names, to be shown as a block as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    resources: tuple[Resource, ...]


class CrisisResponder:
    """Answers people at risk with the lines of one region.

    Args:
        region: ISO 3166 code (``US``, ``gb``, ``US-CA``); an unknown one is answered with a
            directory of lines and "your local emergency number".
    """

    name = "crisis"

    def __init__(self, region: str) -> None:
        self._resources = region_resources(region)
        self._texts = _texts()

    def respond(self, assessment: RiskAssessment, shown: Collection[str] = ()) -> CrisisReply:
        """The reply for an assessment, whatever its level.

        Args:
            assessment: What the triage found.
            shown: Ids of resources already shown in this conversation, repeats included. A line
                that was not shown yet is named first; the wording moves on with their number.
        """
        variants = self._texts["texts"][_situation(assessment)]
        resource = self._next(shown)
        text = variants[len(shown) % len(variants)].format(
            line=resource.told(), emergency=resource.emergency
        )
        return CrisisReply(text=text, resources=(resource,))

    def augment(
        self, assessment: RiskAssessment, shown: Collection[str] = ()
    ) -> CrisisReply | None:
        """What to add to a normal reply at level 2; ``None`` at other levels."""
        if assessment.level != _RESPOND_FROM - 1:
            return None
        axis = next((a for a in assessment.axes if a in ("suicide", "self-harm")), "other")
        variants = self._texts["augment"][axis]
        resource = self._next(shown)
        text = variants[len(shown) % len(variants)].format(
            line=resource.told(), emergency=resource.emergency
        )
        return CrisisReply(text=text, resources=(resource,))

    def _next(self, shown: Collection[str]) -> Resource:
        fresh = (r for r in self._resources if r.id not in shown)
        return next(fresh, self._resources[0])


def _situation(assessment: RiskAssessment) -> str:
    """Which group of texts fits; whatever endangers life at once comes first."""
    axes = assessment.axes
    if assessment.degraded:
        return "unclear"
    if "medical-emergency" in axes and axes[0] == "medical-emergency":
        return "medical"
    if assessment.rules and assessment.rules[0].startswith("third-party"):
        return "third-party"
    if assessment.rules and assessment.rules[0].endswith(":third-party"):
        return "third-party"
    if axes and axes[0] in ("harm-to-others", "abuse"):
        return axes[0]
    if assessment.level >= _IMMINENT_FROM:
        return "imminent"
    return "self-harm" if axes and axes[0] == "self-harm" else "active"


def region_resources(region: str) -> tuple[Resource, ...]:
    """The resources of a region, the first to name first; never empty.

    Args:
        region: ISO 3166 code, with or without a subdivision.
    """
    data = _data("crisis_resources.json")
    code = region.strip().upper().replace("_", "-").split("-")[0]
    entry = data["regions"].get(data["aliases"].get(code, code))
    lines = list(entry["lines"]) if entry else []
    emergency = entry["emergency"] if entry else data["emergency_unknown"]
    if data["everywhere"] not in lines:
        lines.append(data["everywhere"])
    return tuple(_resource(data, line, emergency) for line in lines)


def regions() -> tuple[str, ...]:
    """Codes of the regions that have lines of their own."""
    return tuple(_data("crisis_resources.json")["regions"])


def stale(today: date) -> tuple[str, ...]:
    """Ids of resources that were never verified, or last more than 180 days before ``today``."""
    data = _data("crisis_resources.json")
    found = (_resource(data, line, "") for line in data["resources"])
    return tuple(r.id for r in found if r.verified_on is None or today - r.verified_on > MAX_AGE)


def _resource(data: dict[str, Any], line: str, emergency: str) -> Resource:
    try:
        return Resource.model_validate(
            {"id": line, "emergency": emergency, **data["resources"][line]}
        )
    except (KeyError, ValidationError) as error:
        raise SetupError(f"crisis_resources.json: entry {line!r} is wrong: {error}") from error


def _texts() -> dict[str, Any]:
    return _data("crisis_texts.json")


@cache
def _data(name: str) -> dict[str, Any]:
    text = (files("affectgraph.policies") / "data" / name).read_text("utf-8")
    try:
        data: dict[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise SetupError(f"{name} does not parse: {error}") from error
    return data
