"""The suites over the parts that ship: the real ones, and the fakes."""

from __future__ import annotations

from affectgraph.memory.chroma import ChromaMemory
from affectgraph.orchestrator.testing import conformance
from affectgraph.orchestrator.testing.backend import ScriptedBackend
from affectgraph.orchestrator.testing.fakes import (
    FakeFusion,
    FakePerceiver,
    FakeTextPerceiver,
    HashEmbedder,
    ListMemory,
)
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
)
from affectgraph.perceivers.fusion import LateFusion
from affectgraph.perceivers.text import MiniLMEncoder, TextEmotion
from affectgraph.policies.consent import ConsentPolicy
from affectgraph.policies.crisis import CrisisResponder
from affectgraph.policies.disclosure import DisclosurePolicy
from affectgraph.policies.output import PhrasePolicy
from affectgraph.policies.triage import RiskTriage
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.stages import SmesStaged

TestLateFusion = conformance.fusion(LateFusion)
TestFakeFusion = conformance.fusion(FakeFusion)

TestFakeText = conformance.perceiver(FakeTextPerceiver)
TestFakeFace = conformance.perceiver(lambda: FakePerceiver("face", "joy"))
TestFakeSpeech = conformance.perceiver(lambda: FakePerceiver("speech", transcript="I am tired"))
TestFakeReader = conformance.text_reader(FakeTextPerceiver)

TestTextEmotion = conformance.perceiver(lambda: TextEmotion(MiniLMEncoder()))
TestTextReader = conformance.text_reader(lambda: TextEmotion(MiniLMEncoder()))
TestMiniLM = conformance.embedder(MiniLMEncoder)

TestHashEmbedder = conformance.embedder(HashEmbedder)

TestListMemory = conformance.memory(ListMemory)
TestChromaMemory = conformance.memory(lambda folder: ChromaMemory(folder, HashEmbedder()))

TestScriptedBackend = conformance.backend(
    ScriptedBackend, broken=lambda: ScriptedBackend(fault="fails")
)
TestScriptedReasoner = conformance.joint_reasoner(ScriptedReasoner)
TestSmesJoint = conformance.joint_reasoner(SmesJoint)
TestScriptedHead = conformance.label_head(ScriptedHead)
TestScriptedStage = conformance.label_stage(lambda: ScriptedStage("user_emotion", "sadness"))
TestUserEmotion = conformance.label_stage(lambda backend: SmesStaged.over(backend).stages[0])
TestStrategy = conformance.label_stage(lambda backend: SmesStaged.over(backend).stages[1])
TestSystemEmotion = conformance.label_stage(lambda backend: SmesStaged.over(backend).stages[2])
TestScriptedResponse = conformance.response_stage(ScriptedResponse)
TestBackendResponse = conformance.response_stage(lambda backend: SmesStaged.over(backend).response)

TestConsentPolicy = conformance.consent(ConsentPolicy)
TestFakeConsent = conformance.consent(FakeConsent)
TestHumanClaims = conformance.output_policy(
    lambda: PhrasePolicy("human-claims"), stops=["When I was a child I felt the same. "]
)
TestScope = conformance.output_policy(lambda: PhrasePolicy("scope"))
TestFakeOutput = conformance.output_policy(
    lambda: FakeOutput(["child"], replacement="I hear you. "), stops=["As a child I felt it. "]
)
TestDisclosurePolicy = conformance.disclosure(DisclosurePolicy)
TestFakeDisclosure = conformance.disclosure(FakeDisclosure)
TestRiskTriage = conformance.triage(RiskTriage)
TestFakeTriage = conformance.triage(FakeTriage)
TestCrisisResponder = conformance.responder(lambda: CrisisResponder("US"))
TestFakeResponder = conformance.responder(FakeResponder)
