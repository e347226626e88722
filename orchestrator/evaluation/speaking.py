"""Having a reasoner answer a corpus's dialogues, one reply at a time, so that a run may be stopped.

In both protocols the words of the history are the corpus's, since the person's next words answer
those. What differs is whose labels stand there: the corpus's, or what the system itself decided
when it was asked before.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.perceivers.errors import BackendError, SetupError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan

History = Literal["gold", "free"]

HISTORIES: Final[Mapping[History, str]] = {"gold": "gold history", "free": "free-running"}
"""Names of the protocols, in titles."""
PROTOCOLS: Final[Mapping[History, str]] = {
    "gold": "Gold history: the labels of everything said before are given, as papers' code has it."
    " No system in use has them. The persistence rows repeat one.",
    "free": "Free-running: of what was said before, the words and the system's own predictions,"
    " never a gold label. This is what an agent in use has. Papers print no such rows.",
}
"""What they are, in notes."""
_CHUNK: Final = 4
"""Replies, or dialogues, between two savings: each takes seconds."""


@dataclass(frozen=True)
class Asked:
    """One reply that is due.

    Attributes:
        dialogue: Number of its dialogue.
        said: The person's words; empty where the supporter opens the dialogue.
        gold: What the corpus has: its reply (empty where there is none) and its labels.
    """

    dialogue: int
    said: str
    gold: Exchange


@dataclass(frozen=True)
class Spoken:
    """What a system decided and said.

    Attributes:
        told: Stage -> probabilities of its labels, in their set's order.
        sets: Stage -> name of that set.
        labels: Stage -> the label that was decided.
        response: What it said.
        failed: Why it said nothing; empty where it did. Never the words.
    """

    told: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    response: str = ""
    failed: str = ""


class Speaker(Protocol):
    """A system that decides and speaks."""

    @property
    def name(self) -> str:
        """In tables."""
        ...

    @property
    def versions(self) -> tuple[str, ...]:
        """Everything that what it says depends on. Reads files."""
        ...

    async def warm_up(self) -> None:
        """Load what it needs."""
        ...

    def speak(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """First the decisions, then the response in pieces."""
        ...


async def answers(
    bench: Bench,
    what: str,
    speaker: Speaker,
    asked: Sequence[Asked],
    history: History,
    *,
    given: Sequence[LabelStageName] | None = None,
) -> tuple[Spoken, ...]:
    """Have a system answer; what was answered is kept.

    Args:
        bench: The bench.
        what: What is asked, such as ``mesc-test``.
        speaker: The system.
        asked: Replies that are due, those of a dialogue in their order.
        history: Whose labels stand in the history.
        given: Labels of the corpus that are given for the reply itself, and none but these in
            the history; ``None`` where the system decides.

    Returns:
        One for each that is asked, in their order. Where nobody has said anything yet, nothing
        is asked and nothing is told.

    Raises:
        SetupError: If a model is absent, or the system fails at everything.
    """
    await speaker.warm_up()
    versions = (*await bench.aside(lambda: speaker.versions), history, repr(given))
    if given is not None:
        asked = [replace(one, gold=_with(one.gold, given)) for one in asked]
    each = [tuple(run) for _, run in groupby(asked, key=lambda one: one.dialogue)]

    async def predict(chunk: Sequence[tuple[Asked, ...]]) -> dict[str, NDArray[Any]]:
        told = [await _dialogue(speaker, one, history, given is not None) for one in chunk]
        return {"spoken": np.array([json.dumps([_plain(s) for s in one]) for one in told])}

    chunked = replace(bench.kept(f"{what}-{history}", *versions), size=_CHUNK)
    found = await chunked.over(each, predict, known_by=_known)
    spoken = tuple(_spoken(plain) for one in found["spoken"].tolist() for plain in json.loads(one))
    failed = [one.failed for one in spoken if one.failed]
    if failed and len(failed) == sum(bool(one.said) for one in asked):
        raise SetupError(f"{speaker.name} answers nothing: {failed[0]}")
    return spoken


def probabilities(
    spoken: Sequence[Spoken], stage: LabelStageName, labels: LabelSet, prior: Floats
) -> Floats | None:
    """What was told of one label, shape (n, k); the prior where nothing was.

    Returns:
        ``None`` for a system that decides over another label set, or not at all.
    """
    sets = {one.sets[stage] for one in spoken if stage in one.sets}
    if sets != {labels.name}:
        return None
    return np.array([one.told.get(stage, tuple(prior)) for one in spoken], np.float64)


async def _dialogue(
    speaker: Speaker, asked: Sequence[Asked], history: History, given: bool
) -> list[Spoken]:
    """Answer one dialogue's turns in their order."""
    past, told = list[Exchange](), list[Spoken]()
    for one in asked:
        plan = one.gold.plan if given else Plan()
        context = ReasoningContext(utterance=one.said, history=tuple(past), plan=plan)
        spoken, plan = (
            await _answer(speaker.speak(context)) if one.said.strip() else (Spoken(), Plan())
        )
        told.append(spoken)
        past.append(one.gold if history == "gold" else one.gold.model_copy(update={"plan": plan}))
    return told


def _with(gold: Exchange, given: Sequence[LabelStageName]) -> Exchange:
    """An exchange with some of its labels."""
    plan = Plan()
    for decision in gold.plan.decided():
        plan = plan.deciding(decision) if decision.stage in given else plan
    return gold.model_copy(update={"plan": plan})


async def _answer(source: AsyncIterator[Decision | str]) -> tuple[Spoken, Plan]:
    plan, pieces = Plan(), list[str]()
    failed = ""
    try:
        async for item in source:
            if isinstance(item, Decision):
                plan = plan.deciding(item)
            else:
                pieces.append(item)
    except BackendError as error:
        # Its own text is told and kept: it names the backend and the cause, and quotes no words.
        failed = str(error) or type(error).__name__
    decided = {one.stage: one for one in plan.decided()}
    spoken = Spoken(
        {stage: tuple(one.distribution.probs) for stage, one in decided.items()},
        {stage: one.distribution.label_set for stage, one in decided.items()},
        {stage: one.label for stage, one in decided.items()},
        "".join(pieces).strip(),
        failed,
    )
    return spoken, plan


def _known(dialogue: Sequence[Asked]) -> str:
    return json.dumps([[one.dialogue, one.said, one.gold.model_dump_json()] for one in dialogue])


def _plain(spoken: Spoken) -> list[Any]:
    return [
        dict(spoken.told), dict(spoken.sets), dict(spoken.labels), spoken.response, spoken.failed,
    ]  # fmt: skip


def _spoken(plain: Sequence[Any]) -> Spoken:
    told, *rest = plain
    return Spoken({stage: tuple(probs) for stage, probs in told.items()}, *rest)
