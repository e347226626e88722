"""A language model backend with a script, at the pace of a small model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast

from affectgraph.orchestrator.testing.faults import SLOWER, Fault, WrongType
from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.contracts import JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision, LabelField


class ScriptedBackend:
    """Chooses by given weights and says what it was told to say, word by word.

    It honours what a backend must: only offered labels are chosen, priors of a joint generation
    are multiplied in, and closing a stream is noticed.

    Args:
        says: The response.
        weights: Probability per label, of any stage; labels that are not named weigh ``other``.
        other: Weight of every other label.
        seconds_per_word: Pace of the response.
        seconds_per_choice: Time for a label.
        constrains: Whether it says that it can hold a joint generation to its form.
        weighs: Whether it multiplies its probabilities with a field's prior; else it chooses the
            likeliest label that is not barred, for certain, as a grammar has it.
        fault: What goes wrong. A failure is a ``BackendError``, the only error that a backend
            raises.
        after: How many words are said before it fails, hangs or gives a wrong type; -1 for
            before anything.

    Attributes:
        prompts: Messages of every call, oldest first.
        forms: Forms of every joint generation, oldest first.
        streams: Generations that were begun.
        closed: Generations that ended or were stopped.
        warmed: How often it was warmed up.
    """

    provider = "script"
    model = "script"
    name = "script"

    def __init__(
        self,
        says: str = "That sounds hard. What is on your mind most?",
        *,
        weights: Mapping[str, float] | None = None,
        other: float = 0.01,
        seconds_per_word: float = 0.002,
        seconds_per_choice: float = 0.005,
        constrains: bool = True,
        weighs: bool = True,
        fault: Fault | None = None,
        after: int = -1,
    ) -> None:
        self.prompts: list[tuple[Message, ...]] = []
        self.forms: list[JointForm] = []
        self.constrains, self.weighs = constrains, weighs
        self.streams = 0
        self.closed = 0
        self.warmed = 0
        self._says, self._weights, self._other = says, dict(weights or {}), other
        slower = SLOWER if fault == "slow" else 1.0
        self._per_word, self._per_choice = seconds_per_word * slower, seconds_per_choice * slower
        self._fault, self._after = fault, after

    async def warm_up(self) -> None:
        """Nothing to load."""
        self.warmed += 1

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """The given weights over the offered labels."""
        self.prompts.append(tuple(messages))
        await self._maybe_fault(-1)
        await asyncio.sleep(self._per_choice)
        if self._fault == "wrong type":
            return cast("Distribution", WrongType())
        return self._over(labels, labels.labels)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """The words of the response, at most ``sampling.max_tokens``."""
        self.prompts.append(tuple(messages))
        self.streams += 1
        try:
            await self._maybe_fault(-1)
            async for word in self._words(sampling):
                yield word
        finally:
            self.closed += 1

    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """The decisions under their priors, then the words."""
        self.prompts.append(tuple(messages))
        self.forms.append(form)
        self.streams += 1
        try:
            await self._maybe_fault(-1)
            for field in form.fields:
                await asyncio.sleep(self._per_choice)
                yield self._decide(field)
            async for word in self._words(sampling):
                yield word
        finally:
            self.closed += 1

    def _decide(self, field: LabelField) -> Decision:
        belief = self._over(field.labels, field.allowed)
        if not self.weighs:
            belief = Distribution.certain(field.labels, belief.top)
        elif field.prior is not None:
            weighed = {label: p * field.prior[label] for label, p in belief.as_dict().items()}
            belief = Distribution.over(field.labels, weighed)
        return Decision(stage=field.stage, distribution=belief, label=belief.top, source=self.name)

    def _over(self, labels: LabelSet, offered: Sequence[str]) -> Distribution:
        return Distribution.over(
            labels, {label: self._weights.get(label, self._other) for label in offered}
        )

    async def _words(self, sampling: Sampling) -> AsyncIterator[str]:
        for said, word in enumerate(self._says.split(" ")[: sampling.max_tokens]):
            await self._maybe_fault(said)
            await asyncio.sleep(self._per_word)
            if said == max(0, self._after) and self._fault == "wrong type":
                yield cast("str", WrongType())
            yield word if said == 0 else f" {word}"

    async def _maybe_fault(self, said: int) -> None:
        if said != self._after:
            return
        if self._fault == "hangs":
            await asyncio.Event().wait()
        if self._fault == "fails":
            raise BackendError(self.name, "made to fail")
