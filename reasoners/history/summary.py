"""A running summary of what is not told word by word any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np

from affectgraph.memory.contracts import Embedder
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import AffectGraphError, BackendError, BuildError
from affectgraph.perceivers.text.language import sentences
from affectgraph.reasoners.brevity import close
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.contracts import Backend, Message, Sampling
from affectgraph.reasoners.history.contracts import CompressedHistory, HistoryTools
from affectgraph.reasoners.history.counting import tell_fault
from affectgraph.reasoners.history.full import compressed
from affectgraph.reasoners.history.lexrank import chosen, lexrank, similarities, tf_idf
from affectgraph.reasoners.history.stepping import Step, Steps
from affectgraph.reasoners.telling import DATA_NOTE, RISK_LEVEL, bounded, on_one_line, sound

INSTRUCTION: Final = (
    "You keep the notes of a supportive conversation. Write what the person told of themselves, of"
    " other people, of what happened, how they feel and what helped, as short plain sentences in"
    " the third person. Keep what the earlier notes say unless it was corrected. No advice, no"
    " judgement, nothing that was not said."
)
_SHORT: Final = 3
"""Sentences of fewer words say little by themselves."""
_LINE: Final = 300


class SummaryHistory:
    """Tells the latest exchanges word by word and a summary of the others.

    The summary is written anew only when the window moves, from the last summary and what was
    left out since, so between two moves every prompt begins alike. By default it is made of the
    person's own sentences, chosen by LexRank over the encoder's vectors if there is an encoder,
    else over TF-IDF. ``by: model`` asks the reasoner's language model instead, and takes sentences
    where that fails or is late.

    Args:
        budget: Tokens at most, of the exchanges and the summary together.
        summary: Tokens at most of the summary.
        by: Who writes it: ``sentences`` or ``model``.
        exchanges: Exchanges at most in the window; ``None`` for no limit but the budget.
        share: Of each limit, what is left when the window has moved.
        spare: So many of the latest exchanges are never left out.
        risk_level: Nor those of this level of risk and above, 2 at most. Of level 2 and above the
            person's words are told whole, where need be beyond the budget.
        ceiling: Tokens at most even then; by default 4,000, or the budget if that is more. Older
            messages at risk that pass it are told in single sentences.
        seconds: Time that the model is given.
        encoder: Tells which sentences are alike.

    Raises:
        BuildError: If a number makes no sense.
    """

    def __init__(
        self,
        budget: int = 3000,
        *,
        summary: int = 200,
        by: Literal["sentences", "model"] = "sentences",
        exchanges: int | None = None,
        share: float = 0.5,
        spare: int = 2,
        risk_level: int = RISK_LEVEL,
        ceiling: int | None = None,
        seconds: float = 5.0,
        encoder: Embedder | None = None,
    ) -> None:
        if not 0 < summary < budget:
            raise BuildError(f"history: a summary of {summary} tokens leaves nothing of {budget}")
        self._steps = Steps(budget, exchanges, share, spare, risk_level, summary, ceiling)
        self._room, self._by, self._seconds = summary, by, seconds
        self._encoder = encoder
        self._pool = BlockingPool(size=1)

    async def compress(self, history: Sequence[Exchange], tools: HistoryTools) -> CompressedHistory:
        """Choose what is told, and sum up what is not any more."""
        step = await self._steps.take(history, tools)
        text, source = step.summary, ""
        if step.dropped:
            text, source = await self._summed(step, [history[i] for i in step.dropped], tools)
        return await compressed(step, history, tools, text, source)

    async def _summed(
        self, step: Step, dropped: Sequence[Exchange], tools: HistoryTools
    ) -> tuple[str, str]:
        if self._by == "model" and tools.backend is not None:
            try:
                async with asyncio.timeout(self._seconds):
                    notes = await self._by_model(step.summary, dropped, tools.backend)
            except (BackendError, TimeoutError) as error:
                tell_fault("model", error)
                notes = []
            kept = await self._latest(notes, tools)
            if kept:
                return "\n".join(kept), "model"
        return await self._by_sentences(step.summary, dropped, tools), "sentences"

    async def _by_sentences(
        self, before: str, dropped: Sequence[Exchange], tools: HistoryTools
    ) -> str:
        lines = before.splitlines()
        lines += [line for exchange in dropped for line in _split(exchange.said)]
        lines = list(dict.fromkeys(lines))
        sizes = await tools.count(lines)
        if sum(sizes) <= self._room:
            return "\n".join(lines)
        vectors = await self._vectors(lines)

        def best() -> list[int]:
            similar = similarities(tf_idf(lines) if vectors is None else np.asarray(vectors))
            return chosen(lexrank(similar), similar, sizes, self._room)

        return "\n".join(lines[i] for i in await self._pool.run(best))

    async def _vectors(self, lines: Sequence[str]) -> list[list[float]] | None:
        if self._encoder is None:
            return None
        try:
            return await self._encoder.embed(lines)
        except AffectGraphError as error:
            tell_fault("encoder", error)
            # An encoder that was not pulled must not cost the summary: words do too.
            return None

    async def _by_model(
        self, before: str, dropped: Sequence[Exchange], backend: Backend
    ) -> list[str]:
        said = [f"they said: {bounded(on_one_line(e.said), 2 * _LINE)}" for e in dropped]
        facts = ([f"earlier notes: {on_one_line(before)}"] if before else []) + said
        data = "\n".join(facts)
        asked = f"<data>\n{data}\n</data>\nWrite the notes, {self._room * 3 // 5} words at most."
        messages = [
            Message(role="system", content=f"{INSTRUCTION} {DATA_NOTE}"),
            Message(role="user", content=asked),
        ]
        stream = backend.stream(messages, Sampling(max_tokens=self._room))
        try:
            pieces = [piece async for piece in stream]
        finally:
            await close(stream)
        return _split("".join(pieces))

    async def _latest(self, notes: Sequence[str], tools: HistoryTools) -> list[str]:
        """As many of the notes as fit, from the first on: a model begins with what matters."""
        kept, left = [], self._room
        for line, size in zip(notes, await tools.count(notes) if notes else [], strict=True):
            if size > left:
                break
            kept.append(line)
            left -= size
        return kept


def _split(text: str) -> list[str]:
    """Sentences of some length, each on one line and sound."""
    plain = sound(text)
    lines = [on_one_line(plain[start:end], _LINE) for start, end in sentences(plain)]
    return [line for line in lines if len(line.split()) >= _SHORT]
