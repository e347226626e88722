"""vLLM's own server: labels weighed in one pass, adapters by name, several replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, Final, Literal, Self, TypeVar

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.backends.openai import OpenAIBackend
from affectgraph.reasoners.backends.requests import Requests, continues
from affectgraph.reasoners.backends.trie import (
    Answers,
    Path,
    constrained,
    continuations,
    followers,
)
from affectgraph.reasoners.backends.usage import OnUsage
from affectgraph.reasoners.codecs.continued import spoken_by
from affectgraph.reasoners.codecs.contracts import gap, stop_of
from affectgraph.reasoners.contracts import JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision, Plan

_AT_ONCE: Final = 128
"""Tokens at most that vLLM tells the log-probabilities of (``MAX_LOGPROB_TOKEN_IDS``)."""

_REMEMBERED: Final = 4096

K = TypeVar("K")
V = TypeVar("V")


class VllmServer(OpenAIBackend):
    """A vLLM server, 0.11 or later, or several of one model.

    A label is not generated but read off: one request for one token tells the log-probabilities
    of all the tokens that labels begin with, and where several begin alike a second one those of
    what follows. So :meth:`choose` gives the exact distribution of constrained decoding, for the
    price of reading the prompt.

    The joint form is one request under a regular expression, in which every token of a label costs
    a step. With ``joint="labels"`` labels are read off in it too, each by a request of its own
    whose prompt is cached but for its end: the first word comes sooner, and a prior weighs the
    model's own probabilities.

    Args:
        base_url: Address with the version, such as ``http://127.0.0.1:8000/v1``; or several.
        model: Name that the server serves: the model's or that of an adapter (LoRA).
        api_key: By default ``$OPENAI_API_KEY``; servers without keys take any.
        timeout: Seconds to the answer, and at most between two pieces.
        connect: Seconds to make the connection.
        waits: Seconds before each further round over the servers.
        longest_wait: Seconds at most that a server's ``Retry-After`` is obeyed.
        cool_down: Seconds that one of several servers is left alone after it has failed.
        extra: Further fields of every chat request, such as ``chat_template_kwargs``.
        joint: ``grammar`` for one request, ``labels`` for one a label and one for the words.
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
        waits: Sequence[float] = (0.2, 0.8),
        longest_wait: float = 10.0,
        cool_down: float = 5.0,
        extra: Mapping[str, object] | None = None,
        joint: Literal["grammar", "labels"] = "grammar",
        on_usage: OnUsage | None = None,
    ) -> None:
        super().__init__(
            base_url,
            model,
            api_key=api_key,
            timeout=timeout,
            connect=connect,
            structured="vllm",
            waits=waits,
            longest_wait=longest_wait,
            cool_down=cool_down,
            extra=extra,
            on_usage=on_usage,
        )
        self._joint = joint
        self._tokens: dict[str, list[int]] = {}
        self._counts: dict[bytes, int] = {}
        self._salt = token_bytes(16)

    def using(self, model: str) -> Self:
        """The same servers under another name that they serve, such as that of an adapter.

        The connections are shared; a stage of its own may be given such a backend.
        """
        other = copy(self)
        other.model = model
        other._requests = Requests(model, "vllm", self._requests.extra)
        return other

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """The exact distribution of constrained decoding over labels."""
        begun = messages[-1].content if continues(messages) else ""
        space, stop = (gap(begun), stop_of(begun)) if begun else ("", "\n")
        # Ended, so that no label begins another.
        texts = [f"{space}{label}{stop}" for label in labels.labels]
        sequences = [await self._tokenized(text) for text in texts]
        asked = followers(sequences, forced=False)
        answers: dict[Path, Mapping[int, float]] = {}
        if () in asked:
            answers[()] = await self._next(messages, asked.pop(()))
        if asked:
            chat = {
                "messages": self._requests.printed(messages),
                "add_generation_prompt": not begun,
                "continue_final_message": bool(begun),
            }
            prompt = await self._tokenize(chat)
            answers |= await self._ahead(prompt, asked, messages)
        probs = constrained(sequences, answers)
        return Distribution.over(labels, dict(zip(labels.labels, probs, strict=True)))

    @property
    def weighs(self) -> bool:
        """Whether labels are read off with their probabilities in the joint form, too."""
        return self._joint == "labels"

    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """Decide the labels and speak; see the class for the two ways."""
        one = self._joint == "grammar" or continues(messages)
        source = (
            super().stream_joint(messages, form, sampling)
            if one
            else self._label_by_label(messages, form, sampling)
        )
        async with aclosing(source) as items:  # type: ignore[type-var]
            async for item in items:
                yield item

    async def _label_by_label(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        codec, plan = form.codec, Plan()
        for field in form.fields:
            lead = Message(role="assistant", content=codec.lead(plan, field.stage))
            allowed = field.labels.model_copy(update={"labels": field.allowed})
            told = await self.choose([*messages, lead], allowed)
            weights = {
                label: told[label] * (1.0 if field.prior is None else field.prior[label])
                for label in field.allowed
            }
            belief = Distribution.over(field.labels, weights)
            decision = Decision(
                stage=field.stage, distribution=belief, label=belief.top, source=self.name
            )
            plan = plan.deciding(decision)
            yield decision
        lead = Message(role="assistant", content=codec.lead(plan, "response"))
        async with aclosing(self.stream([*messages, lead], sampling)) as pieces:  # type: ignore[type-var]
            async for words in spoken_by(pieces, codec):
                yield words

    async def score(self, prompt: str, texts: Sequence[str]) -> list[float]:
        """Log-probability (natural) of each continuation of a plain text, in one pass.

        A continuation starts with its space, and none may begin another.
        """
        sequences = [await self._tokenized(text) for text in texts]
        ids = await self._tokenize({"prompt": prompt, "add_special_tokens": False})
        answers = await self._ahead(ids, followers(sequences, forced=True))
        return continuations(sequences, answers)

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's tokenizer, which costs no model call."""
        return [await self._counted(text) for text in texts]

    async def _next(
        self, messages: Sequence[Message], tokens: Sequence[int]
    ) -> Mapping[int, float]:
        """Log-probabilities of tokens right after a chat prompt."""
        found: dict[int, float] = {}
        for some in _parts(tokens):
            extra = {
                **self._requests.extra,
                **self._requests.continuing(messages),
                "logprob_token_ids": list(some),
                "return_tokens_as_token_ids": True,
            }
            request = {
                "model": self.model,
                "messages": self._requests.printed(messages),
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": True,
                "top_logprobs": len(some),
                "extra_body": extra,
            }

            async def ask(
                client: Any, request: dict[str, Any] = request, some: Sequence[int] = some
            ) -> tuple[dict[int, float], Any]:
                answer = await client.chat.completions.create(**request)
                told = answer.choices[0].logprobs.content[0].top_logprobs
                known = {_token(entry.token): entry.logprob for entry in told}
                return {token: known[token] for token in some}, answer.usage

            weights, usage = await self._servers.call(ask, messages)
            self._tell(usage)
            found |= weights
        return found

    async def _ahead(
        self,
        prompt: Sequence[int],
        asked: Mapping[Path, Sequence[int]],
        messages: Sequence[Message] = (),
    ) -> Answers:
        """Log-probabilities of tokens after each path that continues a prompt, in one request."""
        found: dict[Path, dict[int, float]] = {path: {} for path in asked}
        for part in _batches(asked):
            tokens = sorted({token for some in part.values() for token in some})
            request = {
                "model": self.model,
                "prompt": [[*prompt, *path] for path in part],
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": len(tokens),
                "extra_body": {"logprob_token_ids": tokens, "return_tokens_as_token_ids": True},
            }

            async def ask(
                client: Any,
                request: dict[str, Any] = request,
                part: Mapping[Path, Sequence[int]] = part,
            ) -> tuple[dict[Path, dict[int, float]], Any]:
                answer = await client.completions.create(**request)
                told = sorted(answer.choices, key=lambda choice: choice.index)
                rows = [choice.logprobs.top_logprobs[0] for choice in told]
                known = [{_token(token): p for token, p in row.items()} for row in rows]
                return {
                    path: {token: row[token] for token in some}
                    for (path, some), row in zip(part.items(), known, strict=True)
                }, answer.usage

            answers, usage = await self._servers.call(ask, messages)
            self._tell(usage)
            for path, weights in answers.items():
                found[path] |= weights
        return found

    async def _tokenized(self, text: str) -> list[int]:
        """Tokens of a label; always the same, so asked for once."""
        found = self._tokens.get(text)
        if found is None:
            found = await self._tokenize({"prompt": text, "add_special_tokens": False})
            _remember(self._tokens, text, found)
        return found

    async def _counted(self, text: str) -> int:
        """Tokens of what somebody said, which every later turn asks for again."""
        # Under a digest: people's words are not kept here.
        key = blake2b(text.encode(errors="surrogatepass"), key=self._salt).digest()
        found = self._counts.get(key)
        if found is None:
            body = {"prompt": text, "add_special_tokens": False}
            found = len(await self._tokenize(body))
            _remember(self._counts, key, found)
        return found

    async def _tokenize(self, body: Mapping[str, object]) -> list[int]:
        async def ask(client: Any) -> list[int]:
            # It stands beside the versioned routes, not under them.
            address = str(client.base_url).rstrip("/").removesuffix("/v1")
            answer = await client.post(
                f"{address}/tokenize", cast_to=object, body={"model": self.model, **body}
            )
            return [int(token) for token in answer["tokens"]]

        return await self._servers.call(ask, light=True)


def _remember(known: dict[K, V], key: K, value: V) -> None:
    """Keep what is known, and of that the latest."""
    while len(known) >= _REMEMBERED:
        del known[next(iter(known))]
    known[key] = value


def _token(told: str) -> int:
    """``token_id:17`` -> 17."""
    return int(told.removeprefix("token_id:"))


def _parts(tokens: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(tokens), _AT_ONCE):
        yield tokens[start : start + _AT_ONCE]


def _batches(asked: Mapping[Path, Sequence[int]]) -> Iterator[dict[Path, Sequence[int]]]:
    """Questions that go into one request: their tokens together are no more than it takes."""
    batch, tokens = dict[Path, Sequence[int]](), set[int]()
    for path, some in asked.items():
        for part in _parts(some):
            if batch and (path in batch or len(tokens | set(part)) > _AT_ONCE):
                yield batch
                batch, tokens = {}, set()
            batch[path] = part
            tokens |= set(part)
    if batch:
        yield batch
