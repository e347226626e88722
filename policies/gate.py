"""The hold-back gate: a sentence of the reply is released once every output policy passed it."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from affectgraph.policies.contracts import Policy, Sentence
from affectgraph.policies.verdict import Verdict

REPLACEMENT: Final = (
    "Let me say that differently. I'm an AI, and I want to understand this well."
    " What would help you most right now?"
)
_RUN_ON: Final = 300
_TAIL: Final = 100
_CLOSERS: Final = "\"'\u201d\u2019)]*_"
_WIDE: Final = "\u3002\uff01\uff1f"
_STOP: Final = re.compile(rf"[\s{_WIDE}]")
_ABBREVIATIONS: Final = frozenset(
    {"e.g.", "i.e.", "dr.", "mr.", "mrs.", "ms.", "prof.", "st.", "vs.", "approx.", "etc.", "a.m."}
    | {"p.m.", "u.s.", "u.k.", "cf.", "jr.", "sr.", "ph.d.", "incl."}
)


class Released(BaseModel):
    """Text that passed review and may be shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str


class Replaced(BaseModel):
    """Text shown in place of a sentence that did not pass; nothing of the stream follows.

    Attributes:
        text: What is shown instead.
        verdict: Why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    verdict: Verdict


class Ended(BaseModel):
    """The last event, unless the source failed or the consumer left.

    Attributes:
        delivered: Everything released, and the replacement where there was one.
        generated: Everything that the source had produced.
        cause: Why the stream ended.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    delivered: str
    generated: str
    cause: Literal["complete", "replaced", "repeated", "limit"]


class SentenceGate:
    """Holds a stream back sentence by sentence.

    A sentence is released when every policy allows it; a revision takes its place, and an empty
    revision drops it (two drops end the reply). Any other verdict, or a policy that fails, closes
    the source and ends the reply with a replacement. What is released does not depend on how the
    source cuts its pieces.

    Args:
        policies: Reviewed in this order; the first that objects decides.
        replacement: What is shown instead of a refused sentence, or how to make it of the verdict
            and what was delivered before.
        max_words: The reply ends after the sentence that reaches this many words.
    """

    def __init__(
        self,
        policies: Sequence[Policy[Sentence]],
        replacement: str | Callable[[Verdict, str], str] = REPLACEMENT,
        *,
        max_words: int = 80,
    ) -> None:
        self._policies = tuple(policies)
        self._replacement = replacement
        self._max_words = max_words

    async def hold(
        self, stream: AsyncIterator[str], utterance: str
    ) -> AsyncGenerator[Released | Replaced | Ended, None]:
        """Review a stream of pieces and release what passes.

        Errors of the source and cancellation come through, with nothing unreviewed released; the
        source is closed in every case.
        """
        generated, delivered, drops = "", "", 0
        cause: Literal["complete", "repeated", "limit"] = "complete"
        refusal: Verdict | None = None
        async with aclosing(_Closing(stream)) as source, aclosing(_sentences(source)) as sentences:
            async for sentence, window in sentences:
                verdict = self._review(window, delivered, utterance)
                if verdict.action == "allow":
                    text = sentence
                elif verdict.action == "revise" and verdict.replacement is not None:
                    # A revision of the whole window would hold its tail twice: drop it instead.
                    text = verdict.replacement if window == sentence else ""
                else:
                    refusal = verdict
                    break
                if text:
                    delivered += text
                    yield Released(text=text)
                else:
                    drops += 1
                    if drops == 2:
                        cause = "repeated"
                        break
                if len(delivered.split()) >= self._max_words:
                    cause = "limit"
                    break
            generated = source.seen
        if refusal is not None:
            text = self._replace(refusal, delivered)
            delivered += text
            yield Replaced(text=text, verdict=refusal)
            yield Ended(delivered=delivered, generated=generated, cause="replaced")
        else:
            yield Ended(delivered=delivered, generated=generated, cause=cause)

    def _review(self, text: str, before: str, utterance: str) -> Verdict:
        subject = Sentence(text=text, before=before, utterance=utterance)
        for policy in self._policies:
            try:
                verdict = policy.review(subject)
            except Exception:  # noqa: BLE001 - a policy that fails must not let a sentence pass
                return Verdict(action="block", policy=policy.name, reasons=("policy-failed",))
            if verdict.action != "allow":
                return verdict
        return Verdict(action="allow", policy="gate")

    def _replace(self, verdict: Verdict, delivered: str) -> str:
        if verdict.action == "replace" and verdict.replacement is not None:
            text = verdict.replacement
        elif callable(self._replacement):
            text = self._replacement(verdict, delivered)
        else:
            text = self._replacement
        return f" {text}" if delivered and not delivered[-1].isspace() else text


class _Closing:
    """A source that counts what it gave and closes what can be closed."""

    def __init__(self, stream: AsyncIterator[str]) -> None:
        self._stream = stream
        self._pieces: list[str] = []

    @property
    def seen(self) -> str:
        return "".join(self._pieces)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        piece = await anext(self._stream)
        self._pieces.append(piece)
        return piece

    async def aclose(self) -> None:
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


async def _sentences(pieces: AsyncIterator[str]) -> AsyncGenerator[tuple[str, str], None]:
    """Each sentence with the window to review; for all but run-ons the two are the same."""
    cutter = _Cutter()
    async for piece in pieces:
        for found in cutter.feed(piece):
            yield found
    if cutter.rest.strip():
        yield cutter.rest, cutter.rest


class _Cutter:
    """Cuts text at the ends of sentences; where it cuts depends on the text alone."""

    def __init__(self) -> None:
        self.rest = ""

    def feed(self, piece: str) -> Iterator[tuple[str, str]]:
        """Take a piece, give the sentences that are now complete."""
        start = 0
        while start < len(piece):
            # Up to where a sentence may end, or a run-on is cut.
            found = _STOP.search(piece, start)
            room = start + _RUN_ON - len(self.rest)
            stop = min(found.end() if found else len(piece), room)
            self.rest += piece[start:stop]
            start = stop
            if _ends(self.rest):
                yield self.rest, self.rest
                self.rest = ""
            elif len(self.rest) >= _RUN_ON:
                # The whole window is reviewed but its tail is kept, so that nothing can hide
                # where a run-on is cut.
                head = self.rest.rfind(" ", 0, _RUN_ON - _TAIL) + 1 or _RUN_ON - _TAIL
                yield self.rest[:head], self.rest
                self.rest = self.rest[head:]


def _ends(text: str) -> bool:
    """Whether a sentence ends with the last character of ``text``."""
    last = text[-1]
    if last in _WIDE:
        return True
    if not last.isspace() or not text.strip():
        return False
    if last == "\n":
        return True
    body = text[:-1].rstrip(_CLOSERS)
    if body.endswith(("!", "?", "…")):
        return True
    if not body.endswith("."):
        return False
    word = body.rsplit(maxsplit=1)[-1].lower().lstrip("(\"'\u201c\u2018[")
    numbered = word[:-1].isdigit() and body.strip().lower() == word
    initial = len(word) == 2 and word[0].isalpha() and word[0] != "i"
    return word not in _ABBREVIATIONS and not numbered and not initial
