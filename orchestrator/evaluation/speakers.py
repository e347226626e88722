"""Systems that answer: a checkpoint by itself, and the agent's own reasoner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from affectgraph.orchestrator.evaluation.decoding import Decoding, consensus
from affectgraph.orchestrator.evaluation.subjects import Subjects, digest, reasoner_version
from affectgraph.perceivers.affect import Affect
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import InputError, SetupError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Backend, JointForm, Message
from affectgraph.reasoners.plan import Decision, LabelField, LabelStageName
from affectgraph.reasoners.prompts import PromptLayout, Prompts
from affectgraph.reasoners.stages import SmesStaged
from affectgraph.reasoners.taxonomy import STRATEGIES

_AT: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""When the corpora's words are taken to be said; no reader of ours looks."""


class CheckpointSpeaker:
    """A language model by itself: no priors, no perceived affect, nothing barred.

    It is asked in the layout and the codec in which a reasoner is trained.

    Args:
        backend: The model.
        strategies: ``mesc-10`` or ``esconv-8``.
        folder: Its checkpoint, which its predictions depend on.
        name: In tables.
        decoding: How words are chosen.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        strategies: str,
        folder: Path,
        name: str,
        decoding: Decoding,
    ) -> None:
        self._backend, self.name, self._folder = backend, name, folder
        self._layout = PromptLayout.trained(strategies=strategies)
        self._prompts, self.decoding = Prompts(self._layout), decoding
        labels: dict[LabelStageName, LabelSet] = {
            "user_emotion": MESC_7, "strategy": STRATEGIES[strategies], "system_emotion": MESC_7,
        }  # fmt: skip
        fields = tuple(
            LabelField(stage=stage, labels=labels[stage])
            for stage in self._prompts.codec.order
            if stage != "response"
        )
        self._form = JointForm(fields, self._prompts.codec)

    @property
    def versions(self) -> tuple[str, ...]:
        """Weights, sources, layout and sampling."""
        return (
            digest([self._folder]), reasoner_version(), repr(self._layout), repr(self.decoding),
        )  # fmt: skip

    async def warm_up(self) -> None:
        """Load the model."""
        await self._backend.warm_up()

    async def speak(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """The three labels as the model has them, then the response; given labels are taken."""
        if not context.plan.decided():
            messages, several = self._prompts.base(context), self.decoding.samples > 1
            source = self._backend.stream_joint(messages, self._form, self.decoding.sampling)
            async with aclosing(source) as items:  # type: ignore[type-var]
                async for item in items:
                    if isinstance(item, Decision):
                        context = context.model_copy(update={"plan": context.plan.deciding(item)})
                    elif several:
                        break
                    yield item
            if not several:
                return
        async for piece in self._said(self._prompts.response(context)):
            yield piece

    async def _said(self, messages: Sequence[Message]) -> AsyncIterator[str]:
        if self.decoding.samples == 1:
            async for piece in self._backend.stream(messages, self.decoding.sampling):
                yield piece
            return
        drawn = list[str]()
        for number in range(self.decoding.samples):
            stream = self._backend.stream(messages, self.decoding.sample(number))
            drawn.append("".join([piece async for piece in stream]).strip())
        yield await BlockingPool(size=1).run(partial(consensus, drawn))


class AgentSpeaker:
    """The agent's own reasoner, with its priors, its bars and the affect that its reader perceives.

    Args:
        subjects: The agent's parts.

    Raises:
        SetupError: If they hold no reasoner.
    """

    def __init__(self, subjects: Subjects) -> None:
        if subjects.reasoner is None:
            raise SetupError(f"spec {subjects.name!r} has no reasoner: name one to evaluate")
        self._subjects, self._reasoner = subjects, subjects.reasoner

    @property
    def name(self) -> str:
        """The spec's name, and that it is a whole agent's."""
        return f"{self._subjects.name} agent"

    @property
    def versions(self) -> tuple[str, ...]:
        """Of the reasoner and of the text perceiver."""
        return (*self._subjects.version("reasoner"), *self._subjects.version("text"))

    async def warm_up(self) -> None:
        """Load the reasoner and the text perceiver."""
        await self._reasoner.warm_up()
        await self._subjects.text.warm_up()  # type: ignore[attr-defined]

    async def speak(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """What the agent decides and says before its output policies."""
        affect = await self._perceived(context.utterance)
        context = context.model_copy(update={"affect": affect})
        if not isinstance(self._reasoner, SmesStaged):
            async for item in self._reasoner.reason(context):
                yield item
            return
        for stage in self._reasoner.stages:
            decision = await stage.decide(context)
            context = context.model_copy(update={"plan": context.plan.deciding(decision)})
            yield decision
        async for piece in self._reasoner.response.respond(context):
            yield piece

    async def _perceived(self, words: str) -> Affect | None:
        try:
            reading = await self._subjects.text.read(words, _AT)
        except InputError:
            return None  # too long to be a turn: the agent, too, goes on without
        return await self._subjects.fusion.fuse([reading])
