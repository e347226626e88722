"""A response whose sentences are checked as they come: resampled once, then written."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import BackendError
from affectgraph.reasoners.brevity import Brevity, close
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.contracts import Sampling
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.checks import Checks, codes
from affectgraph.reasoners.replies.findings import Finding, Situation
from affectgraph.reasoners.replies.library import Written, WrittenReplies
from affectgraph.reasoners.replies.origin import ReplyOrigin, ReplySource, Spoken
from affectgraph.reasoners.replies.words import words

_ASKS: Final = 12
_STANDS: Final = 8
_SPEAKS: Final = 4
"""Words from which a reply without a question stands by itself: where a question was decided on,
where the rest was cut off, and where it is whole."""


@dataclass(frozen=True)
class Replying:
    """How replies are checked, and what is said where they fail.

    Attributes:
        check: Whether the model's sentences are checked at all.
        off: Names of checks that do not look (:data:`~affectgraph.reasoners.replies.checks.\
DEFAULT_CHECKS`).
        resample: Whether a reply whose first sentence fails is generated once more.
        temperature: Of that second try, above 0.
        top_p: Nucleus of the second try, in (0, 1].
        seed: Makes the second try repeatable; it is mixed with the message.
        situations: Whether greetings, thanks, nonsense, a death, and languages that a small model
            does not know are answered by written words at once. By default where the model runs in
            process.
        strict: Whether a question must be an open one or take up something that was said. By
            default where the model runs in process.
        library: A file of written replies of one's own.
    """

    check: bool = True
    off: tuple[str, ...] = ()
    resample: bool = True
    temperature: float = 0.7
    top_p: float = 0.9
    seed: int = 0
    situations: bool | None = None
    strict: bool | None = None
    library: Path | None = None


class Replies:
    """Speaks for a response stage: what the model says, as far as it is worth sending.

    Each sentence is checked when it is whole, so the first is not held for the rest. If the first
    one fails, the reply is generated once more; if that fails too, a written reply is said for
    what was decided. What fails later is cut off, and where the rest would not stand by itself a
    written sentence closes it.

    Args:
        replying: How.
        brevity: How much is said.
        small: Whether the model is a small one; see ``Replying.situations``.

    Raises:
        BuildError: If a check is switched off that does not exist.
    """

    def __init__(
        self,
        replying: Replying | None = None,
        *,
        brevity: Brevity | None = None,
        small: bool = False,
    ) -> None:
        self._how = replying or Replying()
        self._brevity = brevity or Brevity()
        strict = small if self._how.strict is None else self._how.strict
        self._checks = Checks.without(self._how.off, words=self._brevity.words, strict=strict)
        wanted = self._how.situations
        self._situations = self._how.check and (small if wanted is None else wanted)
        self.library = WrittenReplies(self._how.library)
        self._pool = BlockingPool(size=1)

    async def warm_up(self) -> None:
        """Read the library of written replies, once.

        Raises:
            SetupError: If it cannot be read.
        """
        if not self.library.loaded:
            await self._pool.run(self.library.load)

    async def speak(
        self,
        context: ReasoningContext,
        plan: Plan,
        first: Callable[[], AsyncIterator[str]],
        again: Callable[[Sampling], AsyncIterator[str]] | None = None,
        sampling: Sampling | None = None,
    ) -> AsyncIterator[str]:
        """Stream the reply in whole sentences, and where they come from as it becomes known.

        Args:
            context: What is known of the turn.
            plan: What was decided.
            first: Begins the model's reply; not called where written words answer at once.
            again: Begins another with other sampling; ``None`` where there is no second try.
            sampling: Of the first try; the second takes its limits over.

        Raises:
            BackendError: If the first try fails, or the second after words of it were said.
            SetupError: If the library cannot be read.
        """
        if not self._how.check:
            yield Spoken("", ReplyOrigin(source="model"))
            pieces = self._brevity.trim(first())
            try:
                async for piece in pieces:
                    yield piece
            finally:
                await close(pieces)
            return
        await self.warm_up()
        known = self._known(context, plan) if self._situations else None
        if known is not None:
            yield Spoken(known.text, ReplyOrigin(source="written", reasons=(known.reason,)))
            return
        tries = [_Try("model", first())]
        reasons: tuple[str, ...] = ()
        for attempt in tries:
            passed = self._checked(attempt, context, plan)
            try:
                async for sentence in passed:
                    yield Spoken(sentence, ReplyOrigin(source=attempt.source, reasons=reasons))
            finally:
                await close(passed)
            reasons = _joined(reasons, attempt.reasons)
            if attempt.said:
                break
            if again is not None and self._how.resample and len(tries) == 1:
                tries.append(_Try("resampled", again(self._resampling(context, sampling))))
        last = self._ended(tries[-1], reasons, context, plan)
        if last is not None:
            yield last

    def _known(self, context: ReasoningContext, plan: Plan) -> Written | None:
        """Written words for what a small model should not be asked about."""
        return self.library.situation(context) or self.library.grief(context, plan)

    async def _checked(
        self, attempt: _Try, context: ReasoningContext, plan: Plan
    ) -> AsyncIterator[str]:
        """The sentences of a try up to the first that fails."""
        situation = Situation(context, plan)
        spoken = self._brevity.trim(attempt.pieces)
        try:
            async for sentence in spoken:
                # Long threads are many words to compare with: not on the event loop.
                found = await self._pool.run(
                    partial(self._checks.sentence, sentence.strip(), attempt.said, situation)
                )
                if found:
                    attempt.found = found
                    return
                attempt.said += sentence
                yield sentence
        except BackendError:
            # The first try's failure is the caller's to handle; so is one amid spoken words.
            if attempt.source == "model" or attempt.said:
                raise
            attempt.found = (Finding("backend", "resample-failed"),)
        finally:
            await close(spoken)

    def _ended(
        self, last: _Try, reasons: tuple[str, ...], context: ReasoningContext, plan: Plan
    ) -> Spoken | None:
        """What stands in place of what was said, or after it; ``None`` if that was whole."""
        if not last.said:
            written = self.library.reply(context, plan)
            why = (written.reason,) if written.reason else ()
            return Spoken(written.text, ReplyOrigin(source="written", reasons=reasons + why))
        cut, length = bool(last.found), len(words(last.said))
        # A question was decided on: a short word of comfort alone leaves the person standing.
        asks = plan.strategy is not None and self.library.move(context, plan) == "ask"
        least = _ASKS if asks else _STANDS if cut else _SPEAKS
        stands = "?" in last.said or length >= least
        if stands and not cut:
            return None
        if not cut:
            reasons = _joined(reasons, ("too-short",))
        origin = ReplyOrigin(source=last.source, reasons=reasons, cut=cut, continued=not stands)
        if stands:
            return Spoken("", origin)
        closing = self.library.closing(context, plan, last.said)
        return Spoken(closing if last.said[-1].isspace() else f" {closing}", origin)

    def _resampling(self, context: ReasoningContext, sampling: Sampling | None) -> Sampling:
        told = f"{self._how.seed}\n{len(context.history)}\n{context.utterance}"
        update = {
            "temperature": self._how.temperature,
            "top_p": self._how.top_p,
            "seed": zlib.crc32(told.encode()) & 0x7FFFFFFF,
        }
        return (sampling or Sampling()).model_copy(update=update)


class _Try:
    """One generation, and how far it came."""

    def __init__(self, source: ReplySource, pieces: AsyncIterator[str]) -> None:
        self.source, self.pieces = source, pieces
        self.said = ""
        self.found: tuple[Finding, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        if self.said or self.found:
            return codes(self.found)
        return ("empty",)


def _joined(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *others)))
