"""What the stages of a reasoner and the language model backends under them are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict, Field

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.codecs.contracts import Codec
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Decision, LabelField, LabelStageName

__all__ = [
    "Backend",
    "JointForm",
    "JointReasoner",
    "LabelField",
    "LabelHead",
    "LabelStage",
    "Message",
    "ResponseStage",
    "Sampling",
]


class Message(BaseModel):
    """One message of a chat prompt.

    Attributes:
        role: Who says it.
        content: What the model is given.
        words: Of a past reply, the words alone, so that a backend can keep from repeating them;
            never sent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str
    words: str | None = Field(default=None, exclude=True)


@dataclass(frozen=True)
class JointForm:
    """What one joint generation decides and how it is written.

    Attributes:
        fields: The labels, in the order in which they are decided.
        codec: How labels and response are written. What a backend streams is the same with every
            codec: decisions, then words.

    Raises:
        BuildError: If the fields do not stand in the codec's order, one stands twice, or a label
            cannot be written.
    """

    fields: tuple[LabelField, ...]
    codec: Codec

    def __post_init__(self) -> None:
        stages = [field.stage for field in self.fields]
        if stages != [stage for stage in self.codec.order if stage in stages]:
            raise BuildError(
                f"joint form: fields {stages} are not in the order of codec {self.codec.name!r}:"
                f" {list(self.codec.order)}"
            )
        for field in self.fields:
            self.codec.check(field.labels)


class Sampling(BaseModel):
    """How a response is generated.

    Attributes:
        max_tokens: Tokens at most.
        temperature: 0 for greedy decoding.
        top_p: Nucleus, in (0, 1].
        repetition_penalty: 1 for none; small models loop without it.
        seed: Makes sampling repeatable where the backend can.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_tokens: int = Field(default=90, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.15, ge=1.0)
    seed: int | None = None


@runtime_checkable
class Backend(Protocol):
    """A language model. Raises ``BackendError`` and nothing else when it cannot answer."""

    @property
    def name(self) -> str:
        """Provider and model, for spans and errors."""
        ...

    @property
    def constrains(self) -> bool:
        """Whether it can hold a joint generation to its form; else the stages ask one by one."""
        ...

    @property
    def weighs(self) -> bool:
        """Whether a joint generation multiplies its probabilities with a field's prior.

        Else it only bars what the prior gives no weight, and its decisions may be certain.
        """
        ...

    async def warm_up(self) -> None:
        """Load the model or check the server; called once, before the first turn."""
        ...

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """Decide among labels by constrained generation."""
        ...

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Generate text, a piece at a time. Closing the iterator stops the model."""
        ...

    def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """In one generation, first decide each field in order, then stream the response."""
        ...


@runtime_checkable
class LabelHead(Protocol):
    """A trained reader of one label: an expert that a stage weighs with others."""

    @property
    def stage(self) -> LabelStageName:
        """Which label it reads."""
        ...

    @property
    def labels(self) -> LabelSet:
        """The whole set that it reads over; the stage bars what may not be chosen."""
        ...

    async def warm_up(self) -> None:
        """Load the weights; called once, before the first turn."""
        ...

    async def read(self, context: ReasoningContext) -> Distribution | None:
        """Probabilities over its labels; ``None`` where it has nothing to go by."""
        ...


@runtime_checkable
class LabelStage(Protocol):
    """Decides one label of the plan."""

    @property
    def stage(self) -> LabelStageName:
        """Which label this stage decides."""
        ...

    async def decide(self, context: ReasoningContext) -> Decision:
        """Decide, conditioned on the context and on earlier decisions in its plan."""
        ...


@runtime_checkable
class ResponseStage(Protocol):
    """Speaks, once the plan is made."""

    def respond(self, context: ReasoningContext) -> AsyncIterator[str]:
        """Stream the response, a piece at a time."""
        ...


@runtime_checkable
class JointReasoner(Protocol):
    """Decides and speaks in one generation."""

    async def warm_up(self) -> None:
        """Load what it needs; called once, before the first turn."""
        ...

    async def close(self) -> None:
        """Let go of what it holds open; it is not used afterwards."""
        ...

    def reason(self, context: ReasoningContext) -> AsyncIterator[Decision | str]:
        """First the decisions, in the configured order, then the response in pieces."""
        ...
