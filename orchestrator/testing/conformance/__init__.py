"""Conformance suites: what each contract wants, as tests that an outside package runs.

One line in a test module gives a class that pytest collects::

    from affectgraph.orchestrator.testing import conformance

    TestCapitals = conformance.perceiver(Capitals)  # a class, or a function that makes one

Each check makes a fresh part and an event loop of its own. A check that fails says in one sentence
what the contract wants. pytest is all that is needed, with any plugin or none; with ``blockbuster``
installed, calls that block the event loop are found by name.
"""

from affectgraph.orchestrator.testing.conformance.backend import backend
from affectgraph.orchestrator.testing.conformance.basics import NonconformityError
from affectgraph.orchestrator.testing.conformance.disclosure import disclosure
from affectgraph.orchestrator.testing.conformance.embedder import embedder
from affectgraph.orchestrator.testing.conformance.fusion import fusion
from affectgraph.orchestrator.testing.conformance.history import history
from affectgraph.orchestrator.testing.conformance.joint_reasoner import joint_reasoner
from affectgraph.orchestrator.testing.conformance.label_head import label_head
from affectgraph.orchestrator.testing.conformance.label_stage import label_stage
from affectgraph.orchestrator.testing.conformance.memory import memory
from affectgraph.orchestrator.testing.conformance.node import node
from affectgraph.orchestrator.testing.conformance.perceiver import perceiver
from affectgraph.orchestrator.testing.conformance.policy import consent, output_policy, policy
from affectgraph.orchestrator.testing.conformance.responder import responder
from affectgraph.orchestrator.testing.conformance.response_stage import response_stage
from affectgraph.orchestrator.testing.conformance.text_reader import text_reader
from affectgraph.orchestrator.testing.conformance.triage import triage

__all__ = [
    "NonconformityError",
    "backend",
    "consent",
    "disclosure",
    "embedder",
    "fusion",
    "history",
    "joint_reasoner",
    "label_head",
    "label_stage",
    "memory",
    "node",
    "output_policy",
    "perceiver",
    "policy",
    "responder",
    "response_stage",
    "text_reader",
    "triage",
]
