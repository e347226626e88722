"""Which stretches of a text are loud."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_MARKS: Final = re.compile(r"!+")
_LOUD_MARK: Final = 0.2
"""What each exclamation mark adds to the loudness, in parts of a text that is shouted whole."""


class Loudness(NamedTuple):
    """How loud a text is written.

    Attributes:
        words: How many words it has.
        share: Loudness in [0, 1]: the share of words that are shouted, and something a mark.
        spans: The shouted words and runs of marks: first character, one past the last.
    """

    words: int
    share: float
    spans: tuple[tuple[int, int], ...]


def loudness(text: str, shortest: int = 3) -> Loudness:
    """Measure a text.

    Args:
        text: The text.
        shortest: Letters from which on a word in capitals is shouted: "I" and "OK" are not.
    """
    words = list(_WORD.finditer(text))
    shouted = [word.span() for word in words if shouts(word.group(), shortest)]
    runs = [run.span() for run in _MARKS.finditer(text)]
    marks = sum(end - start for start, end in runs)
    share = len(shouted) / len(words) if words else 0.0
    return Loudness(
        words=len(words),
        share=min(1.0, share + _LOUD_MARK * marks),
        spans=tuple(sorted((*shouted, *runs))),
    )


def shouts(word: str, shortest: int) -> bool:
    """Whether a word is written in capitals; scripts without capitals never shout."""
    return len(word) >= shortest and word.isupper()
