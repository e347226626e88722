"""A language model behind an OpenAI-compatible server."""

from __future__ import annotations

import json
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelUse
from affectgraph.reasoners.backends.faults import OutOfFormError, RefusedError, StreamCutError
from affectgraph.reasoners.backends.replicas import Replicas
from affectgraph.reasoners.backends.requests import Requests, Structured
from affectgraph.reasoners.backends.servers import Patience, Servers
from affectgraph.reasoners.backends.usage import OnUsage, Usage, tell
from affectgraph.reasoners.contracts import JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision


@dataclass
class _End:
    """Why a stream ended, once it has."""

    reason: str | None = None


class OpenAIBackend:
    """Asks a server; constrains its output as far as the server can be told to.

    With ``structured="vllm"`` labels are constrained by vLLM's ``structured_outputs``, an
    unfinished assistant message is continued in place, and the joint form is one request whose
    form a regular expression holds (``VllmServer`` does more with the same server). With
    ``json_schema`` labels are constrained by a JSON schema, and the joint form is a JSON object
    whatever its codec. With ``none`` both rest on the instruction, and an answer out of form is a
    ``BackendError``.

    A prior of the joint form cannot weight a server's own probabilities: labels of weight 0 are
    barred, the rest of the prior reaches the model only through the prompt.

    Args:
        base_url: Address with the version, such as ``http://127.0.0.1:8000/v1``; or several, of
            servers of the same model. A conversation stays with its server while that is well.
        model: Name that the server serves: the model's, or that of an adapter (LoRA) of it.
        api_key: By default ``$OPENAI_API_KEY``; servers without keys take any.
        timeout: Seconds to the answer, and at most between two pieces.
        connect: Seconds to make the connection.
        structured: How output is constrained.
        waits: Seconds before each further round over the servers. Only what failed in passing is
            tried again, and nothing once a piece has come.
        longest_wait: Seconds at most that a server's ``Retry-After`` is obeyed.
        cool_down: Seconds that one of several servers is left alone after it has failed.
        extra: Further fields of every request, such as ``chat_template_kwargs``.
        on_usage: Told the tokens of every call.
    """

    def __init__(
        self,
        base_url: str | Sequence[str],
        model: str,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        connect: float = 5.0,
        structured: Structured = "vllm",
        waits: Sequence[float] = (0.2, 0.8),
        longest_wait: float = 10.0,
        cool_down: float = 5.0,
        extra: Mapping[str, object] | None = None,
        on_usage: OnUsage | None = None,
    ) -> None:
        self.model = model
        self.provider = "vllm" if structured == "vllm" else "openai"
        self._requests = Requests(model, structured, dict(extra or {}))
        self._on_usage = on_usage
        addresses = (base_url,) if isinstance(base_url, str) else tuple(base_url)
        self._servers = Servers(
            self.name,
            Replicas(addresses, cool_down=cool_down),
            api_key=api_key,
            patience=Patience(
                answer=timeout, connect=connect, waits=tuple(waits), longest=longest_wait
            ),
        )

    @property
    def name(self) -> str:
        """Provider and model."""
        return f"{self.provider}/{self.model}"

    @property
    def constrains(self) -> bool:
        """Whether the server can hold a joint generation to a grammar or a schema."""
        return self._requests.structured != "none"

    @property
    def weighs(self) -> bool:
        """False: a grammar or a schema bars labels, and tells no probabilities."""
        return False

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The served model; its server does not say the licence."""
        return (ModelUse(self.model),)

    async def warm_up(self) -> None:
        """Check that a server answers and serves the model.

        Raises:
            BackendError: If none does; permanent if it does not serve the model.
        """
        listed = await self._servers.call(_served)
        if listed and self.model not in listed:
            raise RefusedError(self.name, f"the server serves {', '.join(listed)}", permanent=True)

    async def close(self) -> None:
        """Close the connections."""
        await self._servers.close()

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """Choose a label by constrained generation.

        Where the server returns log-probabilities the distribution is that of the first token,
        over the labels that it could begin among the twenty likeliest; labels that begin alike
        are told apart by the choice alone. Else all mass is on the choice.
        """
        request = self._requests.choice(messages, labels)

        async def ask(client: Any) -> tuple[dict[str, float], Any]:
            answer = await client.chat.completions.create(**request)
            choice = answer.choices[0]
            chosen = self._label_of(choice.message.content or "", labels)
            return _first_token_weights(choice.logprobs, labels, chosen), answer.usage

        weights, usage = await self._servers.call(ask, messages)
        self._tell(usage)
        return Distribution.over(labels, weights)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Stream text; closing the iterator ends the request, and with it the generation."""
        opened = False
        pieces = self._pieces(self._requests.stream(messages, sampling), messages)
        async with aclosing(pieces):
            async for piece in pieces:
                text = piece if opened else piece.lstrip()
                opened = opened or bool(text)
                if text:
                    yield text

    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """One request for the labels and the response; see the class for its constraint."""
        request, codec = self._requests.joint(messages, form, sampling)
        parser = codec.parser(self.name, form.fields)
        end = _End()
        pieces = self._pieces(request, messages, end)
        async with aclosing(pieces):
            async for piece in pieces:
                with self._in_form():
                    found = parser.feed(piece)
                for item in found:
                    yield item
                if parser.done and not self.constrains:
                    return  # what is held ends by itself, and then tells its usage
        with self._in_form():
            parser.close(cut=end.reason == "length")

    async def _pieces(
        self, request: dict[str, Any], messages: Sequence[Message], end: _End | None = None
    ) -> AsyncGenerator[str, None]:
        """Text of a streamed request, with tries before its first piece."""
        end, usage = end or _End(), None
        chunks = self._servers.stream(
            lambda client: client.chat.completions.create(**request), messages
        )
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    usage = chunk.usage or usage
                    for choice in chunk.choices or ():
                        end.reason = end.reason or choice.finish_reason
                        if choice.delta.content:
                            yield choice.delta.content
        finally:
            self._tell(usage)
        if end.reason is None:
            raise StreamCutError(self.name, "the stream broke off")

    @contextmanager
    def _in_form(self) -> Iterator[None]:
        """What a codec cannot read is an answer out of form."""
        try:
            yield
        except BackendError as error:
            fault = str(error).partition(": ")[2]
            raise OutOfFormError(self.name, fault) from error

    def _label_of(self, text: str, labels: LabelSet) -> str:
        if self._requests.structured == "json_schema":
            try:
                text = str(json.loads(text)["label"])
            except (ValueError, KeyError, TypeError):
                raise OutOfFormError(self.name, "the label is not in the schema's form") from None
        said = text.strip().strip(".\"'").casefold()
        for label in labels.labels:
            if label.casefold() == said:
                return label
        raise OutOfFormError(self.name, f"the answer is no label of {labels.name}")

    def _tell(self, usage: Any) -> None:
        if usage is not None:
            tell(Usage.told_by(usage), self._on_usage)


async def _served(client: Any) -> list[str]:
    from openai import NotFoundError

    try:
        return [model.id async for model in client.models.list()]
    except NotFoundError:
        return []  # some servers list nothing; the first request will tell


def _first_token_weights(logprobs: Any, labels: LabelSet, chosen: str) -> dict[str, float]:
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
