"""Keeps a streamed response short and whole."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

_END = re.compile(r"[.!?…]+[\"'”\u2019)]*(?=\s)")
# A point after these is no end of a sentence.
_SHORT = re.compile(r"\b(?:e\.g|i\.e|etc|vs|mr|mrs|ms|dr|prof|st)\.$", re.IGNORECASE)


@dataclass(frozen=True)
class Brevity:
    """How long a response may be.

    Attributes:
        sentences: Sentences at most.
        words: Words at most; a sentence that would pass them is not begun to be delivered,
            unless it is the first.
    """

    sentences: int = 3
    words: int = 60

    async def trim(self, pieces: AsyncIterator[str]) -> AsyncIterator[str]:
        """Stream whole sentences only, up to the limits; then stop the model.

        A sentence comes with the space that follows it, so that whoever reads on knows at once
        that it is at its end. A response ends at a line break too. A last sentence that the model
        did not end is left out, unless nothing else was said.
        """
        held, sentences, words = "", 0, 0
        try:
            async for piece in pieces:
                held = (held + piece).lstrip()
                line, broken, _ = held.partition("\n")
                while (sentence := _first_sentence(line)) is not None:
                    length = len(sentence.split())
                    if sentences and words + length > self.words:
                        return
                    line = line[len(sentence) :].lstrip()
                    sentences, words = sentences + 1, words + length
                    if sentences == self.sentences or words >= self.words:
                        yield sentence
                        return
                    yield f"{sentence} "
                held = line
                if broken:
                    break
                if sentences == 0 and len(held.split()) > self.words:
                    break
        finally:
            await close(pieces)
        rest = held.strip()
        whole = rest[-1:] in tuple(".!?…\"'”\u2019)")
        if rest and sentences == 0:
            yield " ".join(rest.split()[: self.words])
        elif rest and whole and words + len(rest.split()) <= self.words:
            yield held.rstrip()


def _first_sentence(text: str) -> str | None:
    """The first sentence that is surely at its end, with its mark and not the space after it."""
    for end in _END.finditer(text):
        if not _SHORT.search(text[: end.end()]):
            return text[: end.end()]
    return None


async def close(source: AsyncIterator[object]) -> None:
    """Close an iterator that can be closed, as every generator can; this stops a model."""
    closing = getattr(source, "aclose", None)
    if closing is not None:
        await closing()
