"""With a model in process: what the last turns read is not read again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from affectgraph.perceivers.models import ModelStore
from affectgraph.reasoners.backends.local import LocalBackend
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import Sampling
from affectgraph.reasoners.history import FullHistory
from affectgraph.reasoners.history.counting import counter, estimated
from affectgraph.reasoners.joint import SmesJoint
from affectgraph.reasoners.plan import Decision, Plan
from affectgraph.reasoners.prompts import PromptLayout

pytest.importorskip("torch", reason="the extra `local` is not installed")
pytestmark = pytest.mark.local_lm

SAID = ["I failed.", "They all passed.", "I am sad."]
REPLY = 12


async def usage_by_turn(backend: LocalBackend, used: list[Usage]) -> list[Usage]:
    """Of each turn's joint generation."""
    layout = PromptLayout.trained()
    reasoner = SmesJoint(
        backend,
        strategies=layout.strategies,
        layout=layout,
        sampling=Sampling(max_tokens=REPLY),
        history=FullHistory(1000),
    )
    history: tuple[Exchange, ...] = ()
    turns = []
    for number, said in enumerate(SAID):
        context = ReasoningContext(utterance=said, history=history)
        plan, words = Plan(), ""
        async for item in reasoner.reason(context):
            if isinstance(item, Decision):
                plan = plan.deciding(item)
            else:
                words += item
        turns.append(used[-1])
        exchange = Exchange(said=said, replied=words, plan=plan, turn=str(number))
        history = (*history, await reasoner.note(context, exchange))
    return turns


async def test_a_turn_reads_what_is_new_alone(tiny_llama: Path) -> None:
    used: list[Usage] = []
    backend = LocalBackend(folder=tiny_llama, threads=1, on_usage=used.append)
    for before, after in pairwise(await usage_by_turn(backend, used)):
        assert after.cached_tokens >= before.prompt_tokens - 1
    nothing, word = await counter(backend)(["", "sadness"])
    assert nothing == 0
    assert 1 <= word <= len("sadness")


@pytest.mark.models
async def test_a_turn_of_the_real_model_reads_what_is_new_alone(
    model_store: ModelStore, requires_model: Callable[[str], Path]
) -> None:
    requires_model("smollm2-135m")
    used: list[Usage] = []
    backend = LocalBackend(model_store, threads=1, on_usage=used.append)
    for before, after in pairwise(await usage_by_turn(backend, used)):
        # Labels and reply were read as they were written, up to where the reply was cut.
        assert after.cached_tokens >= before.prompt_tokens
        assert after.prompt_tokens - after.cached_tokens < 2 * REPLY + 20
    (exact,) = await counter(backend)(["I failed my exam and nobody knows it yet."])
    assert abs(exact - estimated("I failed my exam and nobody knows it yet.")) < 4
