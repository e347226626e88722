"""vLLM in this process: no server, the same batching, and priors that weigh the model's own say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import AffectGraphError, BackendError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.reasoners.backends.requests import continues
from affectgraph.reasoners.backends.trie import Path as TokenPath
from affectgraph.reasoners.backends.trie import constrained, continuations, followers
from affectgraph.reasoners.backends.usage import OnUsage, Usage, tell
from affectgraph.reasoners.backends.vllm_core import VllmCore
from affectgraph.reasoners.codecs.continued import spoken_by
from affectgraph.reasoners.codecs.contracts import gap, stop_of
from affectgraph.reasoners.contracts import JointForm, Message, Sampling
from affectgraph.reasoners.plan import Decision, Plan, StageName


class VllmEngine:
    """A model in vLLM's engine, in this process.

    Labels are read off in one pass each, as ``VllmServer`` does; the joint form decides every
    label so, under its prior, and then streams the response: with the engine at hand a label
    costs one step instead of one a token, and no grammar is needed to hold the form. A machine
    that only serves is better run as a server: the engine holds this process's interpreter lock
    between its steps.

    Args:
        store: Where the pulled models lie.
        model: Name of a pulled model.
        folder: A folder with a model of one's own, in place of a pulled one.
        adapter: A folder with a LoRA adapter (needs the option ``enable_lora``).
        options: Further arguments of vLLM's ``EngineArgs``, such as ``dtype``, ``max_model_len``,
            ``kv_cache_memory_bytes``, ``enforce_eager``.
        core: A running engine to share; it is not closed with the backend.
        on_usage: Told the tokens of every call.
    """

    provider = "vllm"
    constrains = True
    weighs = True

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        model: str = "smollm2-135m",
        folder: Path | None = None,
        adapter: Path | None = None,
        options: Mapping[str, object] | None = None,
        core: VllmCore | None = None,
        on_usage: OnUsage | None = None,
    ) -> None:
        own = core.folder if core else folder
        self.model = own.name if own else model
        self._pinned = own is None
        self._store, self._folder, self._adapter = store or ModelStore(), own, adapter
        self._options, self._on_usage = dict(options or {}), on_usage
        self._core, self._shared = core, core is not None
        self._pool = BlockingPool(size=1)

    @property
    def name(self) -> str:
        """``vllm/`` and the model."""
        return f"{self.provider}/{self.model}"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The model; of a folder of one's own nobody says the licence."""
        return (ModelUse.pinned(self.model) if self._pinned else ModelUse(self.model),)

    async def warm_up(self) -> None:
        """Load the model; a second call does nothing.

        Raises:
            SetupError: If the model is not pulled, vLLM is not installed or cannot load it.
        """
        await self._pool.run(self._load)

    async def close(self) -> None:
        """Free the model, unless the engine is shared."""
        core = self._core
        if core is not None and not self._shared:
            self._core = None
            await self._pool.run(core.stop)

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """The exact distribution of constrained decoding over labels."""
        begun = messages[-1].content if continues(messages) else ""
        space, stop = (gap(begun), stop_of(begun)) if begun else ("", "\n")
        texts = [f"{space}{label}{stop}" for label in labels.labels]
        prompt, *sequences = await self._tokens(lambda t: [_chat(t, messages), *_plain(t, texts)])
        probs = await self._probs(prompt, sequences)
        return Distribution.over(labels, dict(zip(labels.labels, probs, strict=True)))

    async def score(self, prompt: str, texts: Sequence[str]) -> list[float]:
        """Log-probability (natural) of each continuation of a plain text, in one pass.

        A continuation starts with its space, and none may begin another.
        """
        ids, *sequences = await self._tokens(lambda t: _plain(t, [prompt, *texts]))
        asked = followers(sequences, forced=True)
        return continuations(sequences, await self._ahead(ids, asked))

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text by the model's tokenizer."""
        return [len(ids) for ids in await self._tokens(lambda t: _plain(t, texts))]

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Stream text; closing the iterator stops the generation."""
        (prompt,) = await self._tokens(lambda t: [_chat(t, messages)])
        opened = False
        async with aclosing(self._words(prompt, sampling)) as pieces:
            async for piece in pieces:
                text = piece if opened else piece.lstrip()
                opened = opened or bool(text)
                if text:
                    yield text

    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """Decide each field under its prior, then stream the response."""
        codec, plan = form.codec, Plan()
        stages: list[StageName] = [*(field.stage for field in form.fields), "response"]
        first = codec.lead(plan, stages[0])
        prompt, lead = await self._tokens(lambda t: [_chat(t, messages), *_plain(t, [first])])
        prompt = [*prompt, *lead]
        for field, after_it in zip(form.fields, stages[1:], strict=True):
            begun = len(codec.lead(plan, field.stage))
            plans = [plan.deciding(field.certain(label, self.name)) for label in field.allowed]
            # What follows a label ends it, so that no label begins another.
            texts = [codec.lead(then, after_it)[begun:] for then in plans]
            sequences = await self._tokens(lambda t, texts=texts: _plain(t, texts))  # type: ignore[misc]
            probs = await self._probs(prompt, sequences)
            weights = dict(zip(field.allowed, probs, strict=True))
            if field.prior is not None:
                weights = {label: p * field.prior[label] for label, p in weights.items()}
            belief = Distribution.over(field.labels, weights)
            decision = Decision(
                stage=field.stage, distribution=belief, label=belief.top, source=self.name
            )
            plan = plan.deciding(decision)
            prompt = [*prompt, *sequences[field.allowed.index(decision.label)]]
            yield decision
        async with aclosing(self._words(prompt, sampling)) as pieces:
            async for words in spoken_by(pieces, codec):
                yield words

    async def _probs(self, prompt: list[int], sequences: list[list[int]]) -> list[float]:
        answers = await self._ahead(prompt, followers(sequences, forced=False))
        return constrained(sequences, answers)

    async def _ahead(
        self, prompt: Sequence[int], asked: Mapping[TokenPath, Sequence[int]]
    ) -> dict[TokenPath, dict[int, float]]:
        """Log-probabilities of tokens after each path that continues a prompt."""
        from vllm import SamplingParams

        async def after(path: TokenPath, tokens: Sequence[int]) -> dict[int, float]:
            parameters = SamplingParams(
                max_tokens=1, temperature=0, logprobs=len(tokens), logprob_token_ids=list(tokens)
            )
            (output,) = [o async for o in self._generated([*prompt, *path], parameters)]
            told = output.outputs[0].logprobs[0]
            return {token: float(told[token].logprob) for token in tokens}

        # At once: they go into one batch.
        found = await asyncio.gather(*(after(*question) for question in asked.items()))
        return dict(zip(asked, found, strict=True))

    async def _words(self, prompt: list[int], sampling: Sampling) -> AsyncGenerator[str, None]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        parameters = SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            seed=sampling.seed,
            output_kind=RequestOutputKind.DELTA,
        )
        async with aclosing(self._generated(prompt, parameters)) as outputs:
            async for output in outputs:
                if output.outputs[0].text:
                    yield output.outputs[0].text

    async def _generated(self, prompt: Sequence[int], parameters: Any) -> AsyncGenerator[Any, None]:
        core, said, cached = await self._loaded(), 0, 0
        adapter = None if self._adapter is None else core.adapter(self._adapter)
        try:
            async with aclosing(core.generate(prompt, parameters, adapter)) as outputs:
                async for output in outputs:
                    said += len(output.outputs[0].token_ids)
                    cached = output.num_cached_tokens or 0
                    yield output
        except Exception as error:
            raise self._mapped(error) from error
        finally:
            if said:  # a stream that is left early has cost what it said
                tell(Usage(len(prompt), said, cached), self._on_usage)

    async def _tokens(self, cut: Callable[[Any], list[list[int]]]) -> list[list[int]]:
        """Tokenize on the engine's thread."""
        core = await self._loaded()
        try:
            return await core.ask(lambda engine: cut(engine.get_tokenizer()))
        except Exception as error:
            raise self._mapped(error) from error

    async def _loaded(self) -> VllmCore:
        try:
            return await self._pool.run(self._load)
        except Exception as error:
            raise self._mapped(error) from error

    def _load(self) -> VllmCore:
        if self._core is None:
            core = VllmCore(self._folder or self._store.path(self.model), self._options)
            core.start()
            self._core = core
        else:
            self._core.start()
        return self._core

    def _mapped(self, error: Exception) -> BackendError:
        if isinstance(error, BackendError):
            return error
        if isinstance(error, AffectGraphError):
            return BackendError(self.name, str(error), permanent=True)
        # The text of a foreign error may hold the prompt, so only its type is told.
        kinds = {kind.__name__ for kind in type(error).__mro__}
        permanent = bool(kinds & {"ValueError", "VLLMClientError"})
        return BackendError(self.name, type(error).__name__, permanent=permanent)


def _chat(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    told = [message.model_dump() for message in messages]
    begun = continues(messages)
    text: str = tokenizer.apply_chat_template(
        told, tokenize=False, add_generation_prompt=not begun, continue_final_message=begun
    )
    return list(tokenizer.encode(text, add_special_tokens=False))


def _plain(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    return [list(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
