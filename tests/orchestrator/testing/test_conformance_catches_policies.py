"""Policies and nodes, each with one fault, and the check that finds it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, NotRequired

import pytest
from typing_extensions import TypedDict

from affectgraph.orchestrator.node import Node
from affectgraph.orchestrator.testing import (
    FakeConsent,
    FakeDisclosure,
    FakeOutput,
    FakeResponder,
    FakeTriage,
    conformance,
)
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite, OnTheLoop
from affectgraph.orchestrator.testing.conformance.disclosure import DisclosureSuite
from affectgraph.orchestrator.testing.conformance.node import NodeSuite
from affectgraph.orchestrator.testing.conformance.policy import ConsentSuite, OutputPolicySuite
from affectgraph.orchestrator.testing.conformance.responder import ResponderSuite
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.orchestrator.testing.conformance.triage import TriageSuite
from affectgraph.policies.consent import ConsentRequest
from affectgraph.policies.contracts import Sentence
from affectgraph.policies.crisis import CrisisReply
from affectgraph.policies.verdict import RiskAssessment, Verdict

Failing = Callable[[type[Suite[Any, Any, Any]]], set[str]]

ANSWERS = "test_answers_keep_the_contract"
ODD = "test_odd_input_is_answered"
STOPS = ("As a child I felt it. ",)


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """The suites look for blocking calls themselves."""


class Output(FakeOutput):
    """Stops a word, with a fault in the verdict."""

    def __init__(self, spoil: Callable[[Verdict], Verdict] = lambda verdict: verdict) -> None:
        super().__init__(["child"], replacement="I hear you. ")
        self._spoil = spoil

    def review(self, subject: Sentence) -> Verdict:
        verdict = super().review(subject)
        return verdict if verdict.action == "allow" else self._spoil(verdict)


class IsNamedAnew(Output):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self.name = f"output-{type(self).made}"


class RemembersWhatItSaw(Output):
    def review(self, subject: Sentence) -> Verdict:
        verdict = super().review(subject)
        stopped = any("child" in earlier.text for earlier in self.reviewed)
        if stopped and subject.text.startswith("What happened"):
            return Verdict(action="block", policy=self.name, reasons=("seen",))
        return verdict


class StopsEverything(Output):
    def review(self, subject: Sentence) -> Verdict:
        return Verdict(action="block", policy=self.name, reasons=("careful",))


class StopsNothing(Output):
    def review(self, subject: Sentence) -> Verdict:
        return Verdict(action="allow", policy=self.name)


class StumblesOverNothing(Output):
    def review(self, subject: Sentence) -> Verdict:
        subject.text.split()[0]
        return super().review(subject)


class LogsSentences(Output):
    def review(self, subject: Sentence) -> Verdict:
        logging.getLogger("output").info(subject.text)
        return super().review(subject)


def spoiling(**update: Any) -> Callable[[], Output]:
    return lambda: Output(lambda verdict: verdict.model_copy(update=update))


OUTPUTS: list[tuple[Callable[[], Any], set[str]]] = [
    (Output, set()),
    (spoiling(policy="another"), {ANSWERS}),
    (spoiling(reasons=()), {ANSWERS}),
    (spoiling(reasons=("As a child I felt it",)), {ANSWERS}),
    (spoiling(replacement=None), {ANSWERS}),
    (spoiling(action="block"), {ANSWERS}),
    (spoiling(replacement="You are a child. "), {"test_its_replacement_passes_it"}),
    (IsNamedAnew, {"test_it_has_a_name", "test_earlier_subjects_do_not_matter"}),
    (RemembersWhatItSaw, {"test_earlier_subjects_do_not_matter"}),
    (StopsEverything, {"test_plain_sentences_pass"}),
    (StopsNothing, {"test_it_stops_what_it_is_for"}),
    (StumblesOverNothing, {ODD}),
    (LogsSentences, {"test_the_persons_words_are_not_told"}),
]


@pytest.mark.parametrize(("broken", "checks"), OUTPUTS)
def test_a_fault_of_an_output_policy_is_found(
    broken: Callable[[], Any], checks: set[str], failing: Failing
) -> None:
    found = failing(conformance.output_policy(broken, stops=STOPS))
    # A name that changes shows in every comparison of two parts' verdicts.
    assert found - {"test_it_is_deterministic_or_says_that_it_is_not"} == checks


class AllowsTheCamera(FakeConsent):
    def review(self, subject: ConsentRequest) -> Verdict:
        if subject.modality == "face":
            return Verdict(action="allow", policy=self.name)
        return super().review(subject)


def test_a_policy_that_ignores_consent_is_found(failing: Failing) -> None:
    assert failing(conformance.consent(AllowsTheCamera)) == {"test_nothing_is_done_without_consent"}


def test_any_policy_can_be_checked_with_its_own_subjects(failing: Failing) -> None:
    subjects = [Sentence(text=f"quillfeather {n}. ", before="", utterance="") for n in range(2)]
    assert failing(conformance.policy(Output, subjects=subjects)) == set()
    assert failing(conformance.policy(LogsSentences, subjects=subjects)) == {
        "test_the_persons_words_are_not_told"
    }


class Triage(FakeTriage):
    """A triage with a fault where it finds something."""

    def __init__(self, **update: Any) -> None:
        super().__init__(seconds=0.0005)
        self._update = update

    def assess(self, text: str) -> RiskAssessment:
        risk = super().assess(text)
        return risk.model_copy(update=self._update) if risk.level else risk


class MixesThreads(Triage):
    def assess(self, text: str) -> RiskAssessment:
        self.text = text
        super().assess(text)
        return super().assess(self.text)


class LoadsOnlyWhenWarm(Triage):
    def assess(self, text: str) -> RiskAssessment:
        return super().assess(text) if self.warmed else RiskAssessment(level=0)


class Alarms(Triage):
    def assess(self, text: str) -> RiskAssessment:
        return RiskAssessment(level=3)


TRIAGES: list[tuple[Callable[[], Any], set[str]]] = [
    (Triage, set()),
    (lambda: Triage(level=9), {ANSWERS}),
    (lambda: Triage(spans=((0, 500),)), {ANSWERS}),
    (lambda: Triage(rules=("I want to kill myself.",)), {ANSWERS}),
    (
        lambda: Triage(level=2),
        {"test_plain_risk_is_found", "test_it_answers_before_it_is_warmed_up"},
    ),
    (lambda: Triage(degraded=True), {"test_plain_risk_is_found"}),
    (Alarms, {"test_everyday_words_are_no_crisis"}),
    (MixesThreads, {"test_it_is_safe_on_threads"}),
    (LoadsOnlyWhenWarm, {"test_it_answers_before_it_is_warmed_up"}),
]


@pytest.mark.parametrize(("broken", "checks"), TRIAGES)
def test_a_fault_of_a_triage_is_found(
    broken: Callable[[], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.triage(broken)) == checks


class Discloses(FakeDisclosure):
    """Shows what it is told to at each of three occasions."""

    def __init__(self, start: Any = ("I'm an AI.",), sense: Any = ("I see you.",)) -> None:
        super().__init__()
        self._start, self._sense = start, sense

    def notices(
        self,
        at: datetime,
        last: datetime | None,
        utterance: str,
        senses: tuple[str, ...],
        *,
        noticed: Collection[str] = (),
    ) -> tuple[str, ...]:
        shown: tuple[str, ...] = self._start if last is None else ()
        return (*shown, *self._sense) if set(senses) - set(noticed) else shown


DISCLOSURES: list[tuple[Callable[[], Any], set[str]]] = [
    (Discloses, set()),
    (lambda: Discloses(start=()), {"test_the_start_is_disclosed"}),
    (lambda: Discloses(sense=()), {"test_a_sense_that_comes_on_is_disclosed"}),
    (lambda: Discloses(sense=("",)), {ANSWERS}),
]


@pytest.mark.parametrize(("broken", "checks"), DISCLOSURES)
def test_a_fault_of_a_disclosure_policy_is_found(
    broken: Callable[[], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.disclosure(broken)) == checks


class RunsOutOfLines(FakeResponder):
    def respond(self, assessment: RiskAssessment, shown: Collection[str] = ()) -> CrisisReply:
        reply = super().respond(assessment, shown)
        return reply.model_copy(update={"resources": ()}) if shown else reply


class NamesNobody(FakeResponder):
    def __init__(self) -> None:
        super().__init__("I'm an AI. Please talk to somebody.")


class AddsWithoutNaming(FakeResponder):
    def augment(
        self, assessment: RiskAssessment, shown: Collection[str] = ()
    ) -> CrisisReply | None:
        if assessment.level != 2:
            return None
        return CrisisReply(text="Take care.", resources=())


RESPONDERS: list[tuple[Callable[[], Any], set[str]]] = [
    (FakeResponder, set()),
    (RunsOutOfLines, {ODD}),
    (NamesNobody, {ANSWERS, ODD, "test_what_it_adds_keeps_the_contract"}),
    (AddsWithoutNaming, {"test_what_it_adds_keeps_the_contract"}),
    (lambda: FakeResponder(from_level=0), {"test_no_risk_adds_nothing"}),
]


@pytest.mark.parametrize(("broken", "checks"), RESPONDERS)
def test_a_fault_of_a_responder_is_found(
    broken: Callable[[], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.responder(broken)) == checks


class Update(TypedDict):
    summary: str
    length: NotRequired[int]


async def summarise(utterance: str) -> Update:
    return {"summary": utterance.upper()}


async def forgets(utterance: str) -> Update:
    return {"length": len(utterance)}  # type: ignore[typeddict-item]


async def strays(utterance: str) -> Update:
    return {"summary": "", "mood": utterance}  # type: ignore[typeddict-unknown-key]


async def without_keys() -> None:
    return None


async def unannotated(utterance) -> Update:  # type: ignore[no-untyped-def]
    return {"summary": utterance}


def degrade_badly(utterance: str) -> Update:
    raise RuntimeError


DECLARES, LEFT_OUT = "test_it_declares_what_it_reads_and_writes", "test_it_can_be_left_out"
NODES: list[tuple[Node, set[str]]] = [
    (Node("summarise", summarise, degrade={"summary": ""}), set()),
    (Node("summarise", forgets), {ANSWERS}),
    (Node("summarise", strays), {ANSWERS}),
    (Node("summarise", summarise, degrade={"summary": 1}), {LEFT_OUT}),
    (Node("summarise", summarise, degrade={"mood": ""}), {LEFT_OUT}),
    (Node("summarise", summarise, degrade=degrade_badly), {LEFT_OUT}),
]


@pytest.mark.parametrize(("node", "checks"), NODES)
def test_a_fault_of_a_node_is_found(node: Node, checks: set[str], failing: Failing) -> None:
    states = [{"utterance": "quillfeather"}, {"utterance": "hello"}]
    assert failing(conformance.node(lambda: node, states=states)) == checks


@pytest.mark.parametrize("body", [unannotated, without_keys])
def test_a_node_that_declares_nothing_is_found(body: Any) -> None:
    suite = conformance.node(lambda: Node("summarise", body), states=[{}])
    with pytest.raises(conformance.NonconformityError, match="declares"):
        suite().test_it_declares_what_it_reads_and_writes()


def test_every_check_of_its_own_finds_something() -> None:
    tables: list[Any] = [*OUTPUTS, *TRIAGES, *DISCLOSURES, *RESPONDERS, *NODES]
    found = {check for _, checks in tables for check in checks}
    found |= {DECLARES, "test_nothing_is_done_without_consent"}
    suites = (OutputPolicySuite, ConsentSuite, TriageSuite, DisclosureSuite, ResponderSuite)
    own = {name for suite in (*suites, NodeSuite) for name in dir(suite)}
    shared = {*dir(OnTheLoop), *dir(AsyncSuite)}
    assert {name for name in own - shared if name.startswith("test_")} <= found
