"""What a support agent is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from affectgraph.memory.contracts import Memory
from affectgraph.orchestrator.handoff import HandOff
from affectgraph.orchestrator.node import Node
from affectgraph.perceivers.affect import Modality
from affectgraph.perceivers.contracts import Fusion, Perceiver
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.fusion import LateFusion
from affectgraph.perceivers.turn import Consent
from affectgraph.policies.consent import ConsentPolicy, ConsentRequest
from affectgraph.policies.contracts import Disclosure, Policy, Responder, Sentence, Triage
from affectgraph.policies.crisis import CrisisResponder
from affectgraph.policies.disclosure import DisclosurePolicy
from affectgraph.policies.output import default_output_policies
from affectgraph.policies.triage import RiskTriage
from affectgraph.reasoners.contracts import JointReasoner
from affectgraph.reasoners.replies.library import WrittenReplies
from affectgraph.reasoners.stages import SmesStaged


@dataclass(frozen=True)
class Limits:
    """Seconds that each kind of node may take before the turn goes on without it.

    Attributes:
        admit: Opening and checking the media.
        text: Reading the words.
        face: Reading the photos and the video, up to two minutes of it.
        speech: Transcribing and reading the voice, up to two minutes of it.
        fuse: Fusing the readings.
        triage: Assessing the risk. It takes milliseconds and ends by itself: the limit is for what
            hangs, and must not cut the assessment short on a machine that is busy.
        recall: Searching the memory.
        decide: One label of the plan.
        respond: The whole response, or the whole joint generation.
        remember: Writing the memory.
        deliver: How long the caller may take to receive what was said, before the turn counts as
            stopped.
    """

    admit: float = 10.0
    text: float = 5.0
    face: float = 20.0
    speech: float = 45.0
    fuse: float = 2.0
    triage: float = 15.0
    recall: float = 5.0
    decide: float = 20.0
    respond: float = 60.0
    remember: float = 10.0
    deliver: float = 300.0


@dataclass(frozen=True)
class Safety:
    """The policies of an agent. All of them are on by default and each can be replaced.

    They read and compile their rule files when they are made, once a process: make them before
    the event loop runs.

    Attributes:
        consent: What may be perceived and kept.
        disclosure: What the person must be told.
        triage: How much risk the words show.
        crisis: Who answers from level 3 on.
        output: What is reviewed in every generated sentence.
    """

    consent: Policy[ConsentRequest] = field(default_factory=ConsentPolicy)
    disclosure: Disclosure = field(default_factory=DisclosurePolicy)
    triage: Triage = field(default_factory=RiskTriage)
    crisis: Responder = field(default_factory=lambda: CrisisResponder(""))
    output: tuple[Policy[Sentence], ...] = field(default_factory=default_output_policies)


@dataclass(frozen=True)
class Parts:
    """The parts that :func:`~affectgraph.orchestrator.graph.support_graph` joins.

    Attributes:
        perceivers: At most one a modality.
        reasoner: Staged (four nodes) or joint (one node).
        fusion: Makes one affect of the readings.
        memory: ``None`` for an agent that keeps nothing.
        safety: The policies.
        limits: Time limits of the nodes.
        keep_exchanges: How many past exchanges stay with the thread.
        hand_off: When a person answers instead; ``None`` for never.
        nodes: Nodes that stand in the place of the graph's own, by name.
        replies: What is said where the reasoner fails, unless it brings written replies itself.

    Raises:
        BuildError: If two perceivers read the same modality, or no exchange is to be kept.
    """

    perceivers: tuple[Perceiver, ...]
    reasoner: SmesStaged | JointReasoner
    fusion: Fusion = field(default_factory=LateFusion)
    memory: Memory | None = None
    safety: Safety = field(default_factory=Safety)
    limits: Limits = field(default_factory=Limits)
    keep_exchanges: int = 20
    hand_off: HandOff | None = None
    nodes: Mapping[str, Node] = field(default_factory=dict)
    replies: WrittenReplies = field(default_factory=WrittenReplies)

    def __post_init__(self) -> None:
        if self.keep_exchanges < 1:
            raise BuildError(
                f"keep_exchanges is {self.keep_exchanges}: at least one must stay, or no turn knows"
                " what it follows"
            )
        double = [m for m, n in Counter(p.modality for p in self.perceivers).items() if n > 1]
        if double:
            raise BuildError(f"two perceivers read the same modality: {', '.join(double)}")

    def allows(self, consent: Consent, what: Modality | Literal["memory"]) -> bool:
        """Whether the consent policy lets a modality be read, or a memory be used and kept."""
        request = ConsentRequest(consent=consent, modality=what)
        return self.safety.consent.review(request).action == "allow"
