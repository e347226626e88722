"""Any chat model of LangChain's as a backend."""

from __future__ import annotations

import importlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import BackendError, SetupError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelUse
from affectgraph.reasoners.backends.faults import OutOfFormError, fault_of, kind_of
from affectgraph.reasoners.backends.requests import (
    LABEL_TOKENS,
    Requests,
    label_schema,
    with_form,
)
from affectgraph.reasoners.backends.usage import OnUsage, Usage, tell
from affectgraph.reasoners.codecs import JsonObject
from affectgraph.reasoners.contracts import JointForm, LabelField, Message, Sampling
from affectgraph.reasoners.plan import Decision

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_SAMPLING: Final = {
    "max_tokens": "max_tokens", "temperature": "temperature", "top_p": "top_p", "seed": "seed",
}  # fmt: skip


class LangChainBackend:
    """Asks a chat model of LangChain's.

    A model that supports ``with_structured_output`` is held by it: labels are one field of a
    schema, and the joint form is an object whose fields stream as they are filled. Without it
    labels rest on the instruction, and :attr:`constrains` is false, so that the joint form is
    made of single questions.

    LangChain sends what it is given to LangSmith if ``LANGSMITH_TRACING`` is set: leave that off
    where people talk of themselves.

    Args:
        model: The model; or where its class is, such as ``langchain_openai:ChatOpenAI``, of a
            package whose name begins with ``langchain``. It is then made with ``options``.
        options: Arguments of that class.
        structured: Whether structured output is used; by default if the model supports it.
        sampling: Our names of sampling options -> the model's; what is not named is not passed.
            A response is cut at ``max_tokens`` words in any case.
        on_usage: Told the tokens of every call that says them.

    Raises:
        SetupError: If the class is named in another package or form.
    """

    provider = "langchain"
    weighs = False

    def __init__(
        self,
        model: BaseChatModel | str,
        *,
        options: Mapping[str, object] | None = None,
        structured: bool | None = None,
        sampling: Mapping[str, str] | None = None,
        on_usage: OnUsage | None = None,
    ) -> None:
        self._where = model if isinstance(model, str) else ""
        if self._where and not re.fullmatch(r"langchain[\w.]*:\w+", self._where):
            raise SetupError(
                f"LangChain model {model!r}: name a class of a langchain package, such as"
                " langchain_openai:ChatOpenAI"
            )
        self._model: Any = None if self._where else model
        self._options = dict(options or {})
        self._structured = structured
        self._sampling = dict(_SAMPLING if sampling is None else sampling)
        self._on_usage = on_usage
        self._pool = BlockingPool(size=1)

    @property
    def model(self) -> str:
        """Name of the model, as far as it says one."""
        source = self._options if self._model is None else vars(self._model)
        for key in ("model_name", "model", "model_id"):
            if isinstance(source.get(key), str):
                return str(source[key])
        return self._where.partition(":")[2] or type(self._model).__name__

    @property
    def name(self) -> str:
        """``langchain/`` and the model."""
        return f"{self.provider}/{self.model}"

    @property
    def constrains(self) -> bool:
        """Whether the model's structured output is used.

        Of a named class that is not loaded yet only ``structured`` can tell.
        """
        if self._structured is not None or self._model is None:
            return bool(self._structured)
        return _structures(self._model)

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The model; nobody says the licence."""
        return (ModelUse(self.model),)

    async def warm_up(self) -> None:
        """Import the model's class, if it was named.

        Raises:
            SetupError: If there is no such class.
        """
        if self._model is None:
            await self._pool.run(self._made)

    async def choose(self, messages: Sequence[Message], labels: LabelSet) -> Distribution:
        """Choose a label; all mass is on it, as LangChain tells no probabilities."""
        model = await self._ready()
        prompt = _printed(messages)
        ask = f"Answer with exactly one of: {'; '.join(labels.labels)}."
        prompt.append({"role": "user", "content": ask})
        try:
            if self.constrains:
                held = model.with_structured_output(_label(labels), include_raw=True)
                told = await held.ainvoke(prompt)
                self._tell(told["raw"])
                said = str((told["parsed"] or {}).get("label", ""))
            else:
                answer = await model.ainvoke(prompt, **self._sampled(Sampling(max_tokens=24)))
                self._tell(answer)
                said = _text(answer)
        except Exception as error:
            raise self._mapped(error) from error
        return Distribution.certain(labels, self._label_of(said, labels))

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncIterator[str]:
        """Stream text; closing the iterator closes the model's stream."""
        model = await self._ready()
        chunks = model.astream(_printed(messages), **self._sampled(sampling))
        words, opened = 0, False
        async with aclosing(self._chunks(chunks)) as pieces:
            async for piece in pieces:
                text = piece if opened else piece.lstrip()
                opened = opened or bool(text)
                kept, words = _within(text, words, sampling.max_tokens)
                if kept:
                    yield kept
                if words > sampling.max_tokens:
                    return

    async def stream_joint(
        self, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncIterator[Decision | str]:
        """One request whose fields are told as they are filled.

        Held by a schema the form is a JSON object, whatever the codec; else it rests on the
        codec's instruction.
        """
        model = await self._ready()
        if not self.constrains:
            source = self._free(model, messages, form, sampling)
        else:
            source = self._held(model, messages, form, sampling)
        words = 0
        async with aclosing(source) as items:
            async for item in items:
                if isinstance(item, Decision):
                    yield item
                    continue
                kept, words = _within(item, words, sampling.max_tokens)
                if kept:
                    yield kept
                if words > sampling.max_tokens:
                    return

    async def _free(
        self, model: Any, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncGenerator[Decision | str, None]:
        parser = form.codec.parser(self.name, form.fields)
        told = [*messages[:-1], with_form(messages[-1], form.codec, form.fields)]
        chunks = model.astream(_printed(told), **self._sampled(sampling, form))
        async with aclosing(self._chunks(chunks)) as pieces:
            async for piece in pieces:
                for item in parser.feed(piece):
                    yield item
                if parser.done:
                    return
        # Whether a limit ended it, every provider says in another way.
        parser.close(cut=True)

    async def _held(
        self, model: Any, messages: Sequence[Message], form: JointForm, sampling: Sampling
    ) -> AsyncGenerator[Decision | str, None]:
        codec = JsonObject(form.codec.order)
        schema = codec.schema(form.fields)
        held = model.with_structured_output({"title": "turn", "description": "A turn.", **schema})
        told = [*messages[:-1], with_form(messages[-1], codec, form.fields)]
        filling = _Filling(self.name, form.fields)
        # The first step of what holds the model is the model, which takes these.
        filled = held.astream(_printed(told), **self._sampled(sampling, form))
        async with aclosing(self._partials(filled, filling)) as partials:
            async for partial in partials:
                for item in filling.take(partial):
                    yield item
        for item in filling.close():
            yield item

    async def _chunks(self, chunks: Any) -> AsyncGenerator[str, None]:
        whole = None
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    whole = chunk if whole is None else whole + chunk
                    text = _text(chunk)
                    if text:
                        yield text
        except Exception as error:
            raise self._mapped(error) from error
        self._tell(whole)

    async def _partials(
        self, partials: Any, filling: _Filling
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        try:
            async with aclosing(partials):
                async for partial in partials:
                    if isinstance(partial, Mapping):
                        yield partial
        except Exception as error:
            # The words before the limit stand, as they do where nothing holds the model.
            if filling.speaking and type(error).__name__ == "LengthFinishReasonError":
                return
            raise self._mapped(error) from error

    def _sampled(self, sampling: Sampling, form: JointForm | None = None) -> dict[str, Any]:
        """Sampling by the model's names, with room for the labels and marks of a form."""
        given = sampling.model_dump(exclude_none=True)
        if form is not None:
            given["max_tokens"] += LABEL_TOKENS * (len(form.fields) + 1)
        return {theirs: given[ours] for ours, theirs in self._sampling.items() if ours in given}

    def _label_of(self, said: str, labels: LabelSet) -> str:
        plain = said.strip().strip(".\"'").casefold()
        for label in labels.labels:
            if label.casefold() == plain:
                return label
        named = [
            label for label in labels.labels
            if re.search(rf"(?<!\w){re.escape(label.casefold())}(?!\w)", plain)
        ]  # fmt: skip
        if len(named) == 1:
            return named[0]
        raise OutOfFormError(self.name, f"the answer is no label of {labels.name}")

    def _tell(self, message: Any) -> None:
        told = getattr(message, "usage_metadata", None)
        if not told:
            return
        cached = (told.get("input_token_details") or {}).get("cache_read") or 0
        tell(Usage(told["input_tokens"], told["output_tokens"], cached), self._on_usage)

    async def _ready(self) -> Any:
        if self._model is None:
            try:
                await self.warm_up()
            except SetupError as error:
                raise BackendError(self.name, str(error), permanent=True) from error
        return self._model

    def _made(self) -> None:
        if self._model is not None:
            return
        module, _, name = self._where.partition(":")
        try:
            made = getattr(importlib.import_module(module), name)(**self._options)
        except ModuleNotFoundError as error:
            package = module.partition(".")[0].replace("_", "-")
            raise SetupError(f"{self._where} is not here: pip install {package}") from error
        except Exception as error:  # noqa: BLE001 - told by its kind: whatever a class raises
            # Its text may quote the options, and these may hold a key; so may its traceback.
            raise SetupError(f"{self._where} cannot be made: {kind_of(error)}") from None
        from langchain_core.language_models import BaseChatModel

        if not isinstance(made, BaseChatModel):
            raise SetupError(f"{self._where} is no chat model of LangChain's")
        self._model = made

    def _mapped(self, error: Exception) -> BackendError:
        """The one error that a backend may raise; texts of others may quote the prompt."""
        if isinstance(error, BackendError):
            return error
        cause: BaseException | None = error
        while cause is not None:
            # LangChain's errors may be their client's by inheritance, or have it as their cause.
            kinds = {kind.__module__.partition(".")[0] for kind in type(cause).__mro__}
            if isinstance(cause, Exception) and kinds & {"openai", "httpx", "httpx2"}:
                return fault_of(self.name, cause, "its server", 0.0)
            cause = cause.__cause__
        # What LangChain's own errors say, else what kind of error it is.
        wrong = isinstance(error, ValueError | TypeError | NotImplementedError)
        permanent = not getattr(error, "is_retryable", not wrong)
        return BackendError(self.name, type(error).__name__, permanent=permanent)


class _Filling:
    """Reads an object that is filled field by field.

    Args:
        source: Name for errors and decisions.
        fields: What must be decided, in order.
    """

    def __init__(self, source: str, fields: Sequence[LabelField]) -> None:
        self._source, self._open = source, list(fields)
        self._latest: Mapping[str, Any] = {}
        self._said = ""

    def take(self, partial: Mapping[str, Any]) -> Iterator[Decision | str]:
        """What is known now; a label is once the field after it has begun."""
        self._latest = partial
        while self._open and self._begun_after(partial):
            yield self._decision(self._open.pop(0))
        if not self._open:
            yield from self._words()

    @property
    def speaking(self) -> bool:
        """Whether words are known."""
        return bool(self._said.strip())

    def close(self) -> Iterator[Decision | str]:
        """What is known at the end.

        Raises:
            OutOfFormError: If a label or the response is missing.
        """
        while self._open:
            yield self._decision(self._open.pop(0))
        yield from self._words()
        if not self.speaking:
            raise OutOfFormError(self._source, "the object has no response")

    def _begun_after(self, partial: Mapping[str, Any]) -> bool:
        after = self._open[1].stage if len(self._open) > 1 else "response"
        return after in partial and self._open[0].stage in partial

    def _decision(self, field: LabelField) -> Decision:
        label = self._latest.get(field.stage)
        if label not in field.allowed:
            raise OutOfFormError(self._source, f"the object names no allowed {field.stage}")
        return field.certain(str(label), self._source)

    def _words(self) -> Iterator[str]:
        said = str(self._latest.get("response") or "").lstrip()
        if said.startswith(self._said) and len(said) > len(self._said):
            yield said[len(self._said) :]
            self._said = said


def _structures(model: Any) -> bool:
    from langchain_core.language_models import BaseChatModel

    kind = type(model)
    return (
        kind.with_structured_output is not BaseChatModel.with_structured_output
        or kind.bind_tools is not BaseChatModel.bind_tools
    )


def _label(labels: LabelSet) -> dict[str, Any]:
    schema: dict[str, Any] = label_schema(labels)["json_schema"]["schema"]
    return {"title": "label", "description": "The label.", **schema}


def _printed(messages: Sequence[Message]) -> list[dict[str, str]]:
    """An unfinished message is told and what comes next asked for: models cannot go on with it."""
    return Requests("", "none").printed(messages)


def _text(message: Any) -> str:
    """The words of a message whose content may be blocks."""
    content = message.content
    if isinstance(content, str):
        return content
    blocks = [block if isinstance(block, str) else block.get("text", "") for block in content]
    return "".join(blocks)


def _within(text: str, words: int, most: int) -> tuple[str, int]:
    """As much of a piece as keeps a response within so many words, and how many it has then."""
    kept = ""
    for part in re.findall(r"\s+|\S+", text):
        words += part[0].isspace() or not (kept or words)
        if words > most:
            break
        kept += part
    return kept, words
