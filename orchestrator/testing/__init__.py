"""For people who write parts and nodes: fakes of every kind, ``run_node``, conformance suites.

Importing it loads no test framework and no model. The suites are a module of their own:
``from affectgraph.orchestrator.testing import conformance``.
"""

from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.orchestrator.testing.fakes import (
    FakeFusion,
    FakePerceiver,
    FakeTextPerceiver,
    HashEmbedder,
    ListMemory,
)
from affectgraph.orchestrator.testing.faults import Fault, WrongType
from affectgraph.orchestrator.testing.history import FakeHistory
from affectgraph.orchestrator.testing.openai_server import FakeOpenAIServer
from affectgraph.orchestrator.testing.policies import (
    FakeConsent,
    FakeDisclosure,
    FakeOutput,
    FakeResponder,
    FakeTriage,
)
from affectgraph.orchestrator.testing.reasoner import (
    ScriptedHead,
    ScriptedReasoner,
    ScriptedResponse,
    ScriptedStage,
    scripted_staged,
)
from affectgraph.orchestrator.testing.run_node import NodeRun, run_node

__all__ = [
    "FakeConsent",
    "FakeDisclosure",
    "FakeFusion",
    "FakeHistory",
    "FakeOpenAIServer",
    "FakeOutput",
    "FakePerceiver",
    "FakeResponder",
    "FakeTextPerceiver",
    "FakeTriage",
    "Fault",
    "HashEmbedder",
    "ListMemory",
    "NodeRun",
    "ScriptedBackend",
    "ScriptedHead",
    "ScriptedReasoner",
    "ScriptedResponse",
    "ScriptedStage",
    "WrongType",
    "run_node",
    "scripted_staged",
]
