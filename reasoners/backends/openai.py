"""A language model behind an OpenAI-compatible server: vLLM, or anything that speaks the form."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelUse
from affectgraph.reasoners.backends.usage import OnUsage, Usage
from affectgraph.reasoners.codec import (
    HEADERS,
    RESPONSE_HEADER,
    JointParser,
    allowed_labels,
    joint_regex,
)
from affectgraph.reasoners.contracts import LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision

if TYPE_CHECKING:
    from openai import AsyncOpenAI

T = TypeVar("T")
Structured = Literal["vllm", "json_schema", "none"]

_LABEL_TOKENS = 24
_TRANSIENT = frozenset({408, 409, 425, 429})


class OpenAIBackend:
    """Asks a server; constrains its output as far as the server can be told to.

    With ``structured="vllm"`` labels are constrained by vLLM's ``structured_outputs``, an
    unfinished assistant message is continued in place, and the joint form is one request whose
    four lines a regular expression holds. With ``json_schema`` single labels are constrained by a
    JSON schema; with it and with ``none`` the joint form rests on the instruction, and an answer
    out of form is a ``BackendError``.

    A prior of the joint form cannot weight a server's own probabilities: labels of weight 0 are
    barred, the rest of the prior reaches the model only through the prompt.

    Args:
        base_url: Address with the version, such as ``http://127.0.0.1:8000/v1``.
        model: Name that the server serves.
        api_key: By default ``$OPENAI_API_KEY``; servers without keys take any.
        timeout: Seconds to connect, and at most between two pieces.
        structured: How output is constrained.
        waits: Seconds before each further try. Only what failed in passing is tried again, and
            nothing once a piece has come.
        extra: Further fields of every request, such as ``chat_template_kwargs``.
        on_usage: Told the tokens of every call.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        structured: Structured = "vllm",
        waits: Sequence[float] = (0.2, 0.8),
        extra: Mapping[str, object] | None = None,
        on_usage: OnUsage | None = None,
    ) -> None:
        self.model = model
        self.provider = "vllm" if structured == "vllm" else "openai"
        self._base_url, self._key, self._timeout = base_url, api_key, timeout
        self._structured, self._waits = structured, tuple(waits)
        self._extra, self._on_usage = dict(extra or {}), on_usage
        self._client: AsyncOpenAI | None = None
        self._pool = BlockingPool(size=1)

    @property
    def name(self) -> str:
        """Provider and model."""
        return f"{self.provider}/{self.model}"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The served model; its server does not say the licence."""
        return (ModelUse(self.model),)

    async def warm_up(self) -> None:
        """Check that the server answers and serves the model.

        Raises:
            BackendError: If it does not; permanent if it does not serve the model.
        """
        listed = await self._patiently(self._models)
        if listed and self.model not in listed:
            raise BackendError(self.name, f"the server serves {', '.join(listed)}", permanent=True)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """Choose a label by constrained generation.

        Where the server returns log-probabilities the distribution is that of the first token,
        over the labels that it could begin among the twenty likeliest; labels that begin alike
        are told apart by the choice alone. Else all mass is on the choice.
        """
        continues = self._continues(messages)
        answer = await self._patiently(
            lambda: self._complete(self._choice_request(messages, labels, continues=continues))
        )
        choice = answer.choices[0]
        chosen = self._label_of(choice.message.content or "", labels)
        self._tell_usage(answer.usage)
        weights = _first_token_weights(choice.logprobs, labels, chosen)
        return Distribution.over(labels, weights)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Stream text; closing the iterator ends the request, and with it the generation."""
        request = self._stream_request(messages, sampling, self._continuing(messages))
        opened = False
        pieces = self._pieces(request)
        async with aclosing(pieces):
            async for piece in pieces:
                text = piece if opened else piece.lstrip()
                opened = opened or bool(text)
                if text:
                    yield text

    async def stream_joint(
        self, messages: Sequence[Message], fields: Sequence[LabelField], sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """One request for the labels and the response; see the class for its constraint."""
        parser = JointParser(self.name, fields)
        room = sampling.max_tokens + _LABEL_TOKENS * len(fields)
        longer = sampling.model_copy(update={"max_tokens": room})
        if self._structured == "vllm":
            extra = {"structured_outputs": {"regex": joint_regex(fields)}}
        else:
            extra, messages = {}, [*messages[:-1], _with_form(messages[-1], fields)]
        request = self._stream_request(messages, longer, extra)
        pieces = self._pieces(request)
        async with aclosing(pieces):
            async for piece in pieces:
                for item in parser.feed(piece):
                    yield item
        parser.close()

    def _continues(self, messages: Sequence[Message]) -> bool:
        return bool(messages) and messages[-1].role == "assistant"

    def _continuing(self, messages: Sequence[Message]) -> dict[str, Any]:
        if self._structured != "vllm" or not self._continues(messages):
            return {}
        return {"continue_final_message": True, "add_generation_prompt": False}

    def _printed(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        if self._structured != "vllm" and self._continues(messages):
            # Without continuation, the unfinished message is told and what comes next asked for.
            form = Message(
                role="user",
                content="Continue this form with what comes next and repeat none of it:\n"
                + messages[-1].content,
            )
            messages = [*messages[:-1], form]
        return [message.model_dump() for message in messages]

    def _choice_request(
        self, messages: Sequence[Message], labels: LabelSet, *, continues: bool
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "messages": self._printed(messages),
            "max_tokens": _LABEL_TOKENS,
            "temperature": 0,
        }
        extra = {**self._extra, **self._continuing(messages)}
        if self._structured == "vllm":
            lead = " " if continues else ""
            extra["structured_outputs"] = {"choice": [lead + label for label in labels.labels]}
            request |= {"logprobs": True, "top_logprobs": 20}
        else:
            ask = f"Answer with exactly one of: {'; '.join(labels.labels)}."
            request["messages"].append({"role": "user", "content": ask})
        if self._structured == "json_schema":
            request["response_format"] = _label_schema(labels)
        return request | {"extra_body": extra}

    def _stream_request(
        self, messages: Sequence[Message], sampling: Sampling, extra: Mapping[str, Any]
    ) -> dict[str, Any]:
        body = {**self._extra, **extra}
        if self._structured == "vllm":
            body["repetition_penalty"] = sampling.repetition_penalty
        request: dict[str, Any] = {
            "model": self.model,
            "messages": self._printed(messages),
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": body,
        }
        return request if sampling.seed is None else request | {"seed": sampling.seed}

    def _label_of(self, text: str, labels: LabelSet) -> str:
        if self._structured == "json_schema":
            try:
                text = str(json.loads(text)["label"])
            except (ValueError, KeyError, TypeError):
                raise BackendError(self.name, "the label is not in the schema's form") from None
        said = text.strip().strip(".\"'").casefold()
        for label in labels.labels:
            if label.casefold() == said:
                return label
        raise BackendError(self.name, f"the answer is no label of {labels.name}")

    async def _models(self) -> list[str]:
        client = await self._connected()
        from openai import NotFoundError

        try:
            return [model.id async for model in client.models.list()]
        except NotFoundError:
            return []  # some servers list nothing; the first request will tell

    async def _complete(self, request: dict[str, Any]) -> Any:
        client = await self._connected()
        return await client.chat.completions.create(**request)

    async def _pieces(self, request: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Text of a streamed request, with tries before its first piece."""
        chunks = await self._patiently(lambda: self._complete(request))
        finished = False
        try:
            async for chunk in chunks:
                if chunk.usage is not None:
                    self._tell_usage(chunk.usage)
                for choice in chunk.choices:
                    finished = finished or choice.finish_reason is not None
                    if choice.delta.content:
                        yield choice.delta.content
            if not finished:
                raise BackendError(self.name, "the stream broke off")
        except Exception as error:
            raise self._mapped(error) from error
        finally:
            await chunks.close()

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        for wait in (*self._waits, None):
            try:
                return await call()
            except Exception as error:
                mapped = self._mapped(error)
                if wait is None or mapped.permanent:
                    raise mapped from error
                await asyncio.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _mapped(self, error: Exception) -> BackendError:
        """The one error that a backend may raise; texts of servers may quote the prompt."""
        from openai import APIConnectionError, APIStatusError, APITimeoutError

        if isinstance(error, BackendError):
            return error
        if isinstance(error, APITimeoutError):
            return BackendError(self.name, f"no answer within {self._timeout:g} s")
        if isinstance(error, APIConnectionError):
            return BackendError(self.name, f"cannot reach {self._base_url}")
        if isinstance(error, APIStatusError):
            status = error.status_code
            passing = status >= 500 or status in _TRANSIENT
            return BackendError(self.name, f"HTTP {status}", permanent=not passing)
        return BackendError(self.name, type(error).__name__)

    async def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            # On a thread: the import and the certificates it reads would hold the loop.
            self._client = await self._pool.run(self._client_now)
        return self._client

    def _client_now(self) -> AsyncOpenAI:
        if self._client is not None:
            return self._client
        from openai import AsyncOpenAI

        client = AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._key or os.environ.get("OPENAI_API_KEY") or "none",
            timeout=self._timeout,
            max_retries=0,
        )
        # The client imports its resources when they are first named; here, not on the loop.
        _ = client.chat.completions, client.models
        return client

    def _tell_usage(self, usage: Any) -> None:
        if self._on_usage is None or usage is None:
            return
        details = usage.prompt_tokens_details
        self._on_usage(
            Usage(
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=(details.cached_tokens or 0) if details else 0,
            )
        )


def _first_token_weights(
    logprobs: Any,
    labels: LabelSet,
    chosen: str,
) -> dict[str, float]:
    """Weights of labels from the first token's alternatives; all on the choice without them."""
    weights: dict[str, float] = {}
    content = logprobs.content if logprobs is not None else None
    for candidate in content[0].top_logprobs if content else ():
        start = candidate.token.strip()
        begun = [label for label in labels.labels if start and label.startswith(start)]
        owner = chosen if chosen in begun else begun[0] if len(begun) == 1 else None
        if owner is not None:
            weights[owner] = weights.get(owner, 0.0) + math.exp(candidate.logprob)
    # The constraint masks after these probabilities are taken, so the choice may lack a weight.
    if weights.get(chosen, 0.0) < max(weights.values(), default=0.0) or not any(weights.values()):
        return {chosen: 1.0}
    return weights


def _label_schema(labels: LabelSet) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": list(labels.labels)}},
        "required": ["label"],
        "additionalProperties": False,
    }
    return {
        "type": "json_schema",
        "json_schema": {"name": "label", "strict": True, "schema": schema},
    }


def _with_form(message: Message, fields: Sequence[LabelField]) -> Message:
    lines = [f"{HEADERS[f.stage]} one of {', '.join(allowed_labels(f))}" for f in fields]
    form = "\n".join([*lines, f"{RESPONSE_HEADER} your response, on this line"])
    return message.model_copy(
        update={"content": f"{message.content}\n\nAnswer in exactly these lines:\n{form}"}
    )
