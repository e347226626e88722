"""The way of a response's words to the person: the hold-back gate, and written words in need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from opentelemetry import trace

from affectgraph.orchestrator.events import Held, Replaced, Token, Voiced
from affectgraph.orchestrator.node import Emit
from affectgraph.orchestrator.parts import Parts
from affectgraph.orchestrator.state import Answer
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import NodeError
from affectgraph.policies.gate import Ended, Released, SentenceGate
from affectgraph.policies.verdict import Verdict
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.library import WrittenReplies
from affectgraph.reasoners.replies.origin import ReplyOrigin, Spoken

FALLBACK: Final = (
    "I read what you wrote, but something on my side is keeping me from a proper answer right"
    " now. Would you like to tell me a little more, or try again in a moment?"
)
"""Said when no response could be generated and there are no written replies either."""

WITHHELD: Final = (
    "I started an answer that I should not give. Would you tell me what matters most to you in"
    " this right now?"
)
"""Said in place of the model's words when an output policy stops them midway."""

FAILED: Final = "reasoner-failed"
"""Reason of a written reply that stands for a reasoner which failed, hung or said nothing."""


def library_of(parts: Parts) -> WrittenReplies:
    """The written replies of an agent: its reasoner's own, where that has some."""
    reasoner = parts.reasoner
    own = getattr(reasoner, "library", None) or getattr(
        getattr(reasoner, "response", None), "library", None
    )
    return own if isinstance(own, WrittenReplies) else parts.replies


async def ready(library: WrittenReplies) -> None:
    """Read the written replies, so that they are at hand when something fails.

    Raises:
        SetupError: If they cannot be read.
    """
    if not library.loaded:
        await BlockingPool(size=1).run(library.load)


def in_place(
    library: WrittenReplies, context: ReasoningContext, plan: Plan
) -> tuple[str, ReplyOrigin]:
    """What to say when nothing could be delivered: for what was decided, or for the affect."""
    origin = ReplyOrigin(source="written", reasons=(FAILED,))
    if not library.loaded:
        return FALLBACK, origin
    return library.reply(context, plan).text, origin


def after(
    library: WrittenReplies, context: ReasoningContext, said: str, known: ReplyOrigin | None
) -> tuple[str, ReplyOrigin]:
    """What closes a reply whose reasoner failed amid it, with the space before it."""
    origin = known or ReplyOrigin(source="model")
    update = {"reasons": (*origin.reasons, FAILED), "cut": True, "continued": library.loaded}
    told = origin.model_copy(update=update)
    if not library.loaded:
        return "", told
    closing = library.closing(context, context.plan, said)
    return closing if said[-1].isspace() else f" {closing}", told


async def speak(
    parts: Parts,
    context: ReasoningContext,
    pieces: AsyncIterator[str],
    emit: Emit,
    plan: Callable[[], Plan],
) -> Answer:
    """Stream pieces through the gate to the caller.

    Args:
        parts: The agent's.
        context: What is known of the turn.
        pieces: What the reasoner says.
        emit: Takes the events.
        plan: What is decided by now.

    Raises:
        NodeError: If nothing came of it that could be delivered.
    """
    library = library_of(parts)

    def replacement(verdict: Verdict, delivered: str) -> str:
        del verdict
        if delivered.strip() or not library.loaded:
            return WITHHELD
        return library.reply(context, plan()).text

    gate = SentenceGate(parts.safety.output, replacement=replacement)
    voice = _Voice(emit)
    generated, delivered, spoken = "", "", False
    async for event in gate.hold(voice.heard(pieces), context.utterance):
        if isinstance(event, Released):
            spoken = spoken or bool(event.text.strip())
            emit(Token(text=event.text))
        elif isinstance(event, Ended):
            generated, delivered = event.generated, event.delivered
        else:
            voice.replaced(event.verdict.reasons, first=not spoken)
            emit(Replaced(text=event.text, reasons=event.verdict.reasons))
    if not delivered.strip():
        raise NodeError("response", "nothing that could be delivered was generated")
    return Answer(delivered=delivered, generated=generated, source="reasoner", origin=voice.origin)


def tell(emit: Emit, origin: ReplyOrigin) -> None:
    """Say where a reply comes from: to the caller by an event, and in the node's span."""
    emit(Voiced(origin=origin))
    current = trace.get_current_span()
    current.set_attribute("affectgraph.reply.source", origin.source)
    current.set_attribute("affectgraph.reply.reasons", list(origin.reasons))
    current.set_attribute("affectgraph.reply.cut", origin.cut)


class _Voice:
    """Listens to where the pieces come from, and says it whenever it changes."""

    def __init__(self, emit: Emit) -> None:
        self.origin: ReplyOrigin | None = None
        self._emit = emit

    async def heard(self, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
        """The pieces as they are; from the first on the gate holds words back."""
        held = False
        try:
            async for piece in pieces:
                if isinstance(piece, Spoken):
                    self._tell(piece.origin)
                if not held:
                    held = True
                    self._emit(Held())
                yield piece
        finally:
            close = getattr(pieces, "aclose", None)
            if close is not None:
                await close()

    def replaced(self, reasons: tuple[str, ...], *, first: bool) -> None:
        """A policy stopped the words; with nothing said before, written ones stand for them."""
        known = self.origin or ReplyOrigin(source="model")
        told = tuple(dict.fromkeys((*known.reasons, *reasons)))
        source = "written" if first else known.source
        update = {"source": source, "reasons": told, "cut": not first, "continued": not first}
        self._tell(known.model_copy(update=update))

    def _tell(self, origin: ReplyOrigin) -> None:
        if origin != self.origin:
            self.origin = origin
            tell(self._emit, origin)
