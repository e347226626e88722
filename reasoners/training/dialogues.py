"""What a reasoner is trained on: conversations as the agent would have held them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan

SOURCE: Final = "corpus"


@dataclass(frozen=True)
class Dialogue:
    """One conversation, turn by turn.

    Attributes:
        name: Corpus, split and number.
        exchanges: What was said, decided and replied, oldest first; a last one without a reply
            is left out, as nothing is learned from it.
        learned: Whether the labels and the reply of each exchange count in the loss. What does
            not count stands in the history all the same.

    Raises:
        ValueError: If the two differ in length.
    """

    name: str
    exchanges: tuple[Exchange, ...]
    learned: tuple[bool, ...]

    def __post_init__(self) -> None:
        if len(self.exchanges) != len(self.learned):
            raise ValueError(
                f"{self.name}: {len(self.exchanges)} exchanges, {len(self.learned)} flags"
            )


def planned(emotion: str, strategy: str, tone: str, strategies: LabelSet) -> Plan:
    """A plan with the three labels of a corpus, each certain.

    Args:
        emotion: The person's, one of MESC-7.
        strategy: The reply's, one of ``strategies``.
        tone: The system's emotion, one of MESC-7.
        strategies: The taxonomy.
    """
    return Plan(
        user_emotion=_certain("user_emotion", MESC_7, emotion),
        strategy=_certain("strategy", strategies, strategy),
        system_emotion=_certain("system_emotion", MESC_7, tone),
    )


def _certain(stage: LabelStageName, labels: LabelSet, label: str) -> Decision:
    belief = Distribution.certain(labels, label)
    return Decision(stage=stage, distribution=belief, label=label, source=SOURCE)
