"""Backends, each with one fault, and the check that finds it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from affectgraph.orchestrator.testing import ScriptedBackend, conformance
from affectgraph.orchestrator.testing.conformance.asynchronous import AsyncSuite
from affectgraph.orchestrator.testing.conformance.backend import BackendThatFailsSuite
from affectgraph.orchestrator.testing.conformance.suite import Suite
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.codecs import JsonObject
from affectgraph.reasoners.contracts import JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision

Failing = Callable[[type[Suite[Any, Any, Any]]], set[str]]

ANSWERS = "test_answers_keep_the_contract"
ODD = "test_odd_input_is_answered"


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> None:
    """The suites look for blocking calls themselves."""


class Quick(ScriptedBackend):
    def __init__(self, **options: Any) -> None:
        super().__init__("I hear you.", seconds_per_word=0.001, seconds_per_choice=0.0, **options)


class TalksOn(Quick):
    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        yield "on and on " * 20


class ChoosesFromItsOwnLabels(Quick):
    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        return Distribution.certain(MESC_7, "joy")


class IgnoresPriors(Quick):
    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        bare = tuple(field.model_copy(update={"prior": None}) for field in form.fields)
        async for item in super().stream_joint(messages, JointForm(bare, form.codec), sampling):
            yield item


class DecidesBackwards(Quick):
    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        decided = []
        async for item in super().stream_joint(messages, form, sampling):
            if isinstance(item, Decision):
                decided.append(item)
            else:
                while decided:
                    yield decided.pop()
                yield item


class ShowsTheForm(Quick):
    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        async for item in super().stream_joint(messages, form, sampling):
            if item == "I" and isinstance(form.codec, JsonObject):
                yield '"'
            yield item


class DoesNotSay(Quick):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.constrains = None  # type: ignore[assignment]


class IsRenamed(Quick):
    made = 0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        type(self).made += 1
        self.name = f"script {type(self).made}"


class Breaks(Quick):
    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        raise ConnectionError(str(messages))


class Quotes(Quick):
    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        raise BackendError("quotes", f"cannot answer {messages[-1].content}")


JOINT = "test_the_joint_form_decides_first_and_in_order"
CODEC = "test_the_codec_leaves_no_trace"
FAILURE = "test_a_failure_is_a_backend_error"
BACKENDS: list[tuple[Callable[[], Any], Callable[[], Any], set[str]]] = [
    (Quick, lambda: Quick(fault="fails"), set()),
    (TalksOn, lambda: Quick(fault="fails"), {ANSWERS, ODD}),
    (
        ChoosesFromItsOwnLabels,
        lambda: Quick(fault="fails"),
        {"test_it_chooses_among_the_labels"},
    ),
    (
        IgnoresPriors,
        lambda: Quick(fault="fails"),
        {"test_a_barred_label_is_never_decided"},
    ),
    (DecidesBackwards, lambda: Quick(fault="fails"), {JOINT, CODEC}),
    (ShowsTheForm, lambda: Quick(fault="fails"), {CODEC}),
    (DoesNotSay, lambda: Quick(fault="fails"), {"test_it_says_whether_it_holds_a_form"}),
    (IsRenamed, lambda: Quick(fault="fails"), {"test_it_has_a_name"}),
    (Quick, Quick, {FAILURE}),
    (Quick, lambda: Breaks(fault="fails"), {FAILURE}),
    (Quick, lambda: Quotes(fault="fails"), {FAILURE}),
]


@pytest.mark.parametrize(("make", "broken", "checks"), BACKENDS)
def test_a_fault_of_a_backend_is_found(
    make: Callable[[], Any], broken: Callable[[], Any], checks: set[str], failing: Failing
) -> None:
    assert failing(conformance.backend(make, broken=broken)) == checks


def test_every_check_of_its_own_finds_something() -> None:
    found = {check for *_, checks in BACKENDS for check in checks}
    shared = {name for name in dir(AsyncSuite) if name.startswith("test_")}
    own = {name for name in dir(BackendThatFailsSuite) if name.startswith("test_")}
    assert own - shared - {"test_closing_ends_the_stream"} <= found
