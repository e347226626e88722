"""What the reasoner decides before it speaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import LabelSet

LabelStageName = Literal["user_emotion", "strategy", "system_emotion"]
StageName = Literal["user_emotion", "strategy", "system_emotion", "response"]

SMES_ORDER: Final[tuple[StageName, ...]] = (
    "user_emotion", "strategy", "system_emotion", "response",
)  # fmt: skip
"""The order of SMES (Chu et al., paper 1, section on the SMES framework)."""


class Decision(BaseModel):
    """One decided label with its distribution.

    Attributes:
        stage: Which stage decided.
        distribution: Probabilities over the stage's label set.
        label: The label that was chosen; the most probable one unless a rule barred it.
        source: What decided: a backend's name, ``perception``, a rule's name, or ``fallback``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: LabelStageName
    distribution: Distribution
    label: str
    source: str


class LabelField(BaseModel):
    """One label that a joint generation must choose.

    Attributes:
        stage: The stage that the label belongs to.
        labels: What may be chosen.
        prior: Weight per label that the model's own probabilities are multiplied with, such as
            the perceived affect; ``None`` for no weighting. A label of weight 0 is barred.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: LabelStageName
    labels: LabelSet
    prior: Distribution | None = None

    @property
    def allowed(self) -> tuple[str, ...]:
        """The labels that the prior does not rule out."""
        if self.prior is None:
            return self.labels.labels
        return tuple(label for label in self.labels.labels if self.prior[label] > 0)

    def certain(self, label: str, source: str) -> Decision:
        """The decision for one label, with all mass on it."""
        return Decision(
            stage=self.stage,
            distribution=Distribution.certain(self.labels, label),
            label=label,
            source=source,
        )


class Plan(BaseModel):
    """The decisions of one turn; ``None`` where a stage has not decided (yet)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_emotion: Decision | None = None
    strategy: Decision | None = None
    system_emotion: Decision | None = None

    def deciding(self, decision: Decision) -> Plan:
        """A copy with one more decision."""
        return self.model_copy(update={decision.stage: decision})

    def decided(self, order: Sequence[StageName] = SMES_ORDER) -> tuple[Decision, ...]:
        """What is decided, in an order of stages."""
        found = (getattr(self, stage) for stage in order if stage != "response")
        return tuple(decision for decision in found if decision is not None)


MULTIMOOD_ORDER: Final[tuple[StageName, ...]] = (
    "user_emotion", "system_emotion", "strategy", "response",
)  # fmt: skip
"""The order of MultiMood's prompt (Le et al., paper 2)."""


def check_order(order: tuple[str, ...]) -> tuple[StageName, ...]:
    """Check that an order of stages is a permutation of the four, the response last.

    Raises:
        BuildError: If it is not; the message says what is missing, double or unknown.
    """
    faults = [f"{s!r} is missing" for s in SMES_ORDER if s not in order]
    faults += [f"{s!r} is no stage" for s in dict.fromkeys(order) if s not in SMES_ORDER]
    faults += [f"{s!r} stands twice" for s in dict.fromkeys(order) if order.count(s) > 1]
    if not faults and order[-1] != "response":
        faults.append("'response' must come last: a label decided after it could not shape it")
    if faults:
        raise BuildError(f"order of stages {list(order)}: {'; '.join(faults)}")
    known: dict[str, StageName] = {s: s for s in SMES_ORDER}
    return tuple(known[s] for s in order)
