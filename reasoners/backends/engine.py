"""The language model in process, as blocking calls that belong on a thread. Imports torch."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from torch import Tensor

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.backends.decoder import Cache, Decoder
from affectgraph.reasoners.backends.decoding import (
    Sampler,
    constrained_probs,
    continuation_logprobs,
)
from affectgraph.reasoners.backends.llama import Llama, is_plain_llama
from affectgraph.reasoners.backends.usage import Usage
from affectgraph.reasoners.codecs.continued import spoken
from affectgraph.reasoners.codecs.contracts import Codec, gap, stop_of
from affectgraph.reasoners.contracts import JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision, LabelField, Plan, StageName

_CHUNK = 256
_CACHES = 6


class PromptTooLongError(ValueError):
    """The prompt and the response do not fit the model's positions."""


class Stopped(Exception):  # noqa: N818 - not an error: the consumer has left
    """The consumer has left; raised between two steps of the model."""


class LocalEngine:
    """A causal language model with a ChatML vocabulary.

    The keys and values of the last prompts are kept: a prompt that begins like one of them pays
    only for what is new, which is why every stage's prompt extends the one before. Not safe for
    two threads at a time.

    Args:
        folder: Holds ``model.safetensors``, ``config.json`` and ``tokenizer.json``.
        threads: Threads of torch, for the whole process; by default all cores, at most 8.
        name: What its decisions name as their source.
        library: Run a plain Llama through transformers too, as every other architecture is.

    Attributes:
        usage: Of the last call.

    Raises:
        SetupError: If the folder holds no such checkpoint.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int | None = None,
        name: str = "local",
        library: bool = False,
    ) -> None:
        self._name = name
        torch.set_num_threads(threads or min(8, os.cpu_count() or 1))
        self._model: Decoder[Any] = _decoder(folder, library=library)
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # Text that spells a control token stays text: nobody can open a turn by typing one.
        self._tokenizer.encode_special_tokens = True
        self._start = self._special("<|im_start|>")
        self._end = self._special("<|im_end|>")
        self._stops = {self._end, *_ends(folder)}
        # The latest prompts' caches, the most recent last. Openings differ with the mood, and
        # each is dear to read and cheap to keep (14 MB for 300 tokens of SmolLM2).
        self._caches: list[Cache] = []
        self._cache: Cache = self._model.new_cache()
        self.usage = Usage()

    def choose(self, messages: Sequence[Message], labels: LabelSet, stop: Event) -> Distribution:
        """Distribution over labels under constrained decoding (see ``constrained_probs``)."""
        ids, begun = self._prompt(messages)
        after = self._prefill(ids, stop, room=32)
        sequences = [self._label(label, begun) for label in labels.labels]
        probs = constrained_probs(self._model, self._cache, after, sequences)
        return Distribution.over(labels, dict(zip(labels.labels, probs, strict=True)))

    def score(self, prompt: str, continuations: Sequence[str], stop: Event) -> list[float]:
        """Log-probability of each continuation of a plain text (no chat form)."""
        # A cache of its own: short prompts should not push the long openings out.
        cache, self._cache = self._cache, self._model.new_cache()
        try:
            ids = self._encode(prompt)
            self._check_room(ids, room=32)
            self.usage = Usage(prompt_tokens=len(ids))
            after = self._extend(ids, stop)
            sequences = [self._encode(text) for text in continuations]
            return continuation_logprobs(self._model, self._cache, after, sequences)
        finally:
            self._cache = cache

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(self._encode(text)) for text in texts]

    def stream(
        self, messages: Sequence[Message], sampling: Sampling, ngram: int, stop: Event
    ) -> Iterator[str]:
        """Text in pieces, each whole UTF-8."""
        ids, _ = self._prompt(messages)
        after = self._prefill(ids, stop, room=sampling.max_tokens)
        yield from self._speak(after, sampling, ngram, self._replies(messages), stop)

    def stream_joint(
        self,
        messages: Sequence[Message],
        form: JointForm,
        sampling: Sampling,
        ngram: int,
        stop: Event,
    ) -> Iterator[Decision | str]:
        """Decide each field in order, then speak; everything goes through one cache.

        The form's fixed texts are not generated but given, each together with the label before.
        """
        ids, _ = self._prompt(messages)
        after = self._prefill(ids, stop, room=sampling.max_tokens + 32 * (len(form.fields) + 1))
        usage, codec, plan = self.usage, form.codec, Plan()
        stages: list[StageName] = [*(field.stage for field in form.fields), "response"]
        due = self._encode(codec.lead(plan, stages[0]))
        for field, after_it in zip(form.fields, stages[1:], strict=True):
            after = self._extend(due, stop) if due else after
            decision, due = self._decide(field, codec, plan, after_it, after)
            plan = plan.deciding(decision)
            yield decision
        after = self._extend(due, stop) if due else after
        self.usage = usage
        pieces = self._speak(after, sampling, ngram, self._replies(messages), stop)
        with closing(pieces):
            yield from spoken(pieces, codec)

    def _decide(
        self, field: LabelField, codec: Codec, plan: Plan, after_it: StageName, after: Tensor
    ) -> tuple[Decision, list[int]]:
        """Decide a field; give the tokens of its label and of what the form has after it too."""
        labels, begun = field.allowed, len(codec.lead(plan, field.stage))
        plans = [plan.deciding(field.certain(label, self._name)) for label in labels]
        # What follows a label ends it, so that no label begins another.
        sequences = [self._encode(codec.lead(then, after_it)[begun:]) for then in plans]
        probs = constrained_probs(self._model, self._cache, after, sequences)
        weights = dict(zip(labels, probs, strict=True))
        if field.prior is not None:
            weights = {label: p * field.prior[label] for label, p in weights.items()}
        distribution = Distribution.over(field.labels, weights)
        decision = Decision(
            stage=field.stage,
            distribution=distribution,
            label=distribution.top,
            source=self._name,
        )
        return decision, sequences[labels.index(decision.label)]

    def _speak(
        self,
        after: Tensor,
        sampling: Sampling,
        ngram: int,
        avoid: Sequence[Sequence[int]],
        stop: Event,
    ) -> Generator[str, None, None]:
        sampler = Sampler(sampling, ngram=ngram, avoid=avoid)
        pieces = DecodeStream(skip_special_tokens=True)
        said, opened = 0, False
        try:
            for said in range(1, sampling.max_tokens + 1):
                token = sampler.next(after)
                if token in self._stops:
                    return
                piece = pieces.step(self._tokenizer, token)
                if piece and not opened:
                    piece = piece.lstrip()
                    opened = bool(piece)
                if piece:
                    yield piece
                if said < sampling.max_tokens:
                    after = self._extend([token], stop)
        finally:
            told = self.usage
            self.usage = Usage(told.prompt_tokens, said, told.cached_tokens)

    def _prefill(self, ids: list[int], stop: Event, *, room: int) -> Tensor:
        self._check_room(ids, room=room)
        self._cache, kept = self._best_cache(ids)
        self.usage = Usage(prompt_tokens=len(ids), cached_tokens=kept)
        return self._extend(ids[kept:], stop)

    def _check_room(self, ids: list[int], *, room: int) -> None:
        positions = self._model.positions
        if len(ids) + room > positions:
            raise PromptTooLongError(
                f"{len(ids)} tokens of prompt and {room} to come, {positions} positions"
            )

    def _best_cache(self, ids: list[int]) -> tuple[Cache, int]:
        """A cache that holds the longest beginning of a prompt, and the length of that.

        The cache that shares most is cut back and used, unless what it would lose is more than
        what is shared: then a copy of the shared part is, so that neither prompt pays twice.
        """

        def shared(cache: Cache) -> int:
            pairs = zip(cache.ids, ids[:-1], strict=False)  # the last must run to give logits
            return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

        best = max(reversed(self._caches), key=shared, default=None)
        kept = 0 if best is None else shared(best)
        if best is None or len(best) - kept > kept:
            cache = self._model.new_cache() if best is None else best.copy(kept)
        else:
            self._caches.remove(best)
            best.truncate(kept)
            cache = best
        self._caches = [*self._caches, cache][-_CACHES:]
        return cache, kept

    def _extend(self, ids: list[int], stop: Event) -> Tensor:
        for start in range(0, len(ids), _CHUNK):
            if stop.is_set():
                raise Stopped
            after = self._model.extend(self._cache, ids[start : start + _CHUNK])
        return after

    def _prompt(self, messages: Sequence[Message]) -> tuple[list[int], str | None]:
        """Tokens of a chat, and its last message if that is to be continued."""
        continues = bool(messages) and messages[-1].role == "assistant"
        ids = [i for m in (messages[:-1] if continues else messages) for i in self._message(m)]
        ids += [self._start, *self._encode("assistant\n")]
        if not continues:
            return ids, None
        return ids + self._encode(messages[-1].content), messages[-1].content

    def _message(self, message: Message) -> list[int]:
        text = self._encode(f"{message.role}\n{message.content}")
        return [self._start, *text, self._end, *self._encode("\n")]

    def _label(self, label: str, begun: str | None) -> list[int]:
        # Ended, so that no label begins another.
        if begun is None:
            return [*self._encode(label), self._end]
        return self._encode(f"{gap(begun)}{label}{stop_of(begun)}")

    def _replies(self, messages: Sequence[Message]) -> list[list[int]]:
        """What the model said before, so that it does not say it again."""
        return [self._encode(f" {m.words}") for m in messages[:-1] if m.words]

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text).ids)

    def _special(self, token: str) -> int:
        found = self._tokenizer.token_to_id(token)
        if found is None:
            raise SetupError(f"the language model's vocabulary has no {token}: ChatML is needed")
        return int(found)


def _ends(folder: Path) -> tuple[int, ...]:
    """End tokens that a checkpoint names."""
    file = folder / "generation_config.json"
    named = json.loads(file.read_text()).get("eos_token_id") if file.is_file() else None
    if named is None:
        return ()
    return tuple(named) if isinstance(named, list) else (int(named),)


def _decoder(folder: Path, *, library: bool) -> Decoder[Any]:
    """The quick decoder for a plain Llama, transformers for everything else."""
    if not library and is_plain_llama(folder):
        return Llama.load(folder)
    from affectgraph.reasoners.backends.transformers_decoder import TransformersModel

    return TransformersModel.load(folder)
