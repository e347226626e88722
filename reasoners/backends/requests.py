"""The bodies of requests to an OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.codecs import Codec, JsonObject
from affectgraph.reasoners.codecs.contracts import gap
from affectgraph.reasoners.contracts import JointForm, LabelField, Message, Sampling

Structured = Literal["vllm", "json_schema", "none"]
"""How a server is told the form of its output: vLLM's own field, a JSON schema, or not at all."""

LABEL_TOKENS: Final = 24
"""Tokens at most of one label and of what stands before it."""


def continues(messages: Sequence[Message]) -> bool:
    """Whether the last message is the assistant's and unfinished."""
    return bool(messages) and messages[-1].role == "assistant"


@dataclass(frozen=True)
class Requests:
    """Writes requests to one served model.

    Attributes:
        model: Name that the server serves.
        structured: How output is constrained.
        extra: Further fields of every request.
    """

    model: str
    structured: Structured
    extra: Mapping[str, object] = field(default_factory=dict)

    def choice(self, messages: Sequence[Message], labels: LabelSet) -> dict[str, Any]:
        """One label."""
        request: dict[str, Any] = {
            "model": self.model,
            "messages": self.printed(messages),
            "max_tokens": LABEL_TOKENS,
            "temperature": 0,
        }
        extra = {**self.extra, **self.continuing(messages)}
        if self.structured == "vllm":
            lead = gap(messages[-1].content) if continues(messages) else ""
            extra["structured_outputs"] = {"choice": [lead + label for label in labels.labels]}
            request |= {"logprobs": True, "top_logprobs": 20}
        else:
            ask = f"Answer with exactly one of: {'; '.join(labels.labels)}."
            request["messages"].append({"role": "user", "content": ask})
        if self.structured == "json_schema":
            request["response_format"] = label_schema(labels)
        return request | {"extra_body": extra}

    def stream(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        extra: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Words, in pieces."""
        body = {**self.extra, **(self.continuing(messages) if extra is None else extra)}
        options = {"include_usage": True}
        if self.structured == "vllm":
            body["repetition_penalty"] = sampling.repetition_penalty
            # With every piece, so that a stream which is left early has told its cost too.
            options["continuous_usage_stats"] = True
        request: dict[str, Any] = {
            "model": self.model,
            "messages": self.printed(messages),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": options,
            "extra_body": body,
        }
        return request if sampling.seed is None else request | {"seed": sampling.seed}

    def joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> tuple[dict[str, Any], Codec]:
        """Labels and words in one, and the codec that they come in."""
        codec = self.held(form.codec)
        room = sampling.max_tokens + LABEL_TOKENS * len(form.fields)
        longer = sampling.model_copy(update={"max_tokens": room})
        if self.structured == "vllm":
            held = {"structured_outputs": {"regex": codec.grammar(form.fields)}}
            return self.stream(messages, longer, held), codec
        told = [*messages[:-1], with_form(messages[-1], codec, form.fields)]
        request = self.stream(told, longer, {})
        schema = codec.schema(form.fields)
        if self.structured == "json_schema" and schema is not None:
            request["response_format"] = schema_format("turn", schema)
        return request, codec

    def held(self, codec: Codec) -> Codec:
        """The codec that the server can be held to: a schema holds JSON and nothing else."""
        return JsonObject(codec.order) if self.structured == "json_schema" else codec

    def continuing(self, messages: Sequence[Message]) -> dict[str, Any]:
        """The fields that have vLLM go on with an unfinished message."""
        if self.structured != "vllm" or not continues(messages):
            return {}
        return {"continue_final_message": True, "add_generation_prompt": False}

    def printed(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """The messages as a request holds them."""
        if self.structured != "vllm" and continues(messages):
            # Without continuation, the unfinished message is told and what comes next asked for.
            form = Message(
                role="user",
                content="Continue this form with what comes next and repeat none of it:\n"
                + messages[-1].content,
            )
            messages = [*messages[:-1], form]
        return [message.model_dump() for message in messages]


def with_form(message: Message, codec: Codec, fields: Sequence[LabelField]) -> Message:
    """A message with the instruction that describes a form."""
    told = f"{message.content}\n\n{codec.ask(fields)}"
    return message.model_copy(update={"content": told})


def label_schema(labels: LabelSet) -> dict[str, Any]:
    """The ``response_format`` of one label."""
    return schema_format(
        "label",
        {
            "type": "object",
            "properties": {"label": {"type": "string", "enum": list(labels.labels)}},
            "required": ["label"],
            "additionalProperties": False,
        },
    )


def schema_format(name: str, schema: Mapping[str, object]) -> dict[str, Any]:
    """A ``response_format`` that holds output to a JSON schema."""
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "strict": True, "schema": dict(schema)},
    }
