"""Phrases over folded words: the small pattern language of the rule files.

Rules are written over words, not characters, so that one phrase covers typing with and without
apostrophes, accents, capitals, look-alike characters and spaces between letters. The language:

========================  ==============================================================
``kill myself``           these words, one after the other (a comma may stand between)
``(want|wish) to``        one of several; an alternative may have several words
``(just)? really?``       may be absent
``~3``                    up to three other words of the same sentence, none of them a negation
``suicid*``               a word that begins so
``<person>``              a named group of the rule file
``$``                     here the sentence ends or pauses
========================  ==============================================================

A phrase compiles to a regular expression in which every repetition is bounded and every repeated
word ends at a space, so matching takes time linear in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from affectgraph.perceivers.errors import SetupError
from affectgraph.policies.folding import Folding, Word

_PAUSE: Final = '(?:[,"] ){0,2}'
_PIECE: Final = re.compile(r"[()|?$]|<[a-z-]+>|~[0-9]|[a-z0-9_]+\*?|\S")
_LITERAL: Final = re.compile(r"[a-z0-9_]+\*?")


@dataclass(frozen=True)
class Line:
    """A folded text: its words joined by single spaces, with their places in the original.

    Attributes:
        text: The words, each followed by a space, after one leading space.
        words: The words in order.
        starts: Where each word starts in ``text``.
    """

    text: str
    words: tuple[Word, ...]
    starts: tuple[int, ...]

    @classmethod
    def of(cls, text: str, folding: Folding) -> Line:
        """Fold a text."""
        words = folding.words(text)
        starts: list[int] = []
        at = 1
        for word in words:
            starts.append(at)
            at += len(word.text) + 1
        return cls(" " + "".join(f"{w.text} " for w in words), words, tuple(starts))

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the original text behind ``text[start:end]``; first, one past last."""
        inside = self.words[bisect_left(self.starts, start) : bisect_left(self.starts, end)]
        spoken = [word for word in inside if word.text not in '.,"'] or list(inside)
        return spoken[0].start, spoken[-1].end

    def sentence(self, at: int) -> tuple[int, int]:
        """The sentence around a place in ``text``, as a stretch of ``text``."""
        first = self.text.rfind(" . ", 0, at + 1)
        last = self.text.find(" . ", max(at - 1, 0))
        return (0 if first < 0 else first + 2), (len(self.text) if last < 0 else last + 1)

    def word_at(self, at: int) -> str:
        """The word that covers a place in ``text``; empty past the end."""
        index = bisect_right(self.starts, at) - 1
        return self.words[index].text if 0 <= index < len(self.words) else ""


class PhraseBook:
    """Compiles phrases that share named groups and a list of negating words.

    Args:
        groups: Named groups, each itself a phrase.
        negators: Words that no gap (``~3``) may skip.

    Raises:
        SetupError: From :meth:`compile`, for a phrase that does not parse.
    """

    def __init__(self, groups: Mapping[str, str], negators: Iterable[str] = ()) -> None:
        self._groups = dict(groups)
        barred = "|".join(sorted(map(re.escape, negators)))
        self._gap = (f"(?!(?:{barred}) )" if barred else "") + "[^ .]{1,40} "
        self._words: set[str] = set()

    @property
    def vocabulary(self) -> frozenset[str]:
        """Every whole word of the phrases compiled so far."""
        return frozenset(self._words)

    def compile(self, phrases: Iterable[str]) -> re.Pattern[str]:
        """One expression that matches wherever any of the phrases does.

        Apply it to :attr:`Line.text`.
        """
        return re.compile("(?<= )(?:" + "|".join(map(self._one, phrases)) + ")")

    def _one(self, phrase: str) -> str:
        pieces = _PIECE.findall(phrase)
        body, rest = self._alternatives(pieces, 0, phrase)
        if rest != len(pieces) or not body:
            raise SetupError(f"phrase {phrase!r}: {pieces[rest:]} is left over")
        return body

    def _alternatives(self, pieces: list[str], at: int, phrase: str) -> tuple[str, int]:
        options: list[str] = []
        while True:
            body, at = self._sequence(pieces, at, phrase)
            options.append(body)
            if at >= len(pieces) or pieces[at] != "|":
                break
            at += 1
        if not all(options):
            raise SetupError(f"phrase {phrase!r}: an alternative is empty")
        return (options[0] if len(options) == 1 else f"(?:{'|'.join(options)})"), at

    def _sequence(self, pieces: list[str], at: int, phrase: str) -> tuple[str, int]:
        items: list[str] = []
        while at < len(pieces) and pieces[at] not in ")|":
            item, at = self._item(pieces, at, phrase)
            if at < len(pieces) and pieces[at] == "?":
                item, at = f"(?:{item})?", at + 1
            items.append(item)
        return "".join(items), at

    def _item(self, pieces: list[str], at: int, phrase: str) -> tuple[str, int]:
        piece = pieces[at]
        if piece == "(":
            body, at = self._alternatives(pieces, at + 1, phrase)
            if at >= len(pieces):
                raise SetupError(f"phrase {phrase!r}: a bracket is not closed")
            return body, at + 1
        if piece[0] == "<":
            if piece[1:-1] not in self._groups:
                raise SetupError(f"phrase {phrase!r}: no group {piece}")
            return self._one(self._groups[piece[1:-1]]), at + 1
        if piece == "$":
            return '(?=[.,"] |$)', at + 1
        if piece[0] == "~":
            return f"(?:{self._gap}){{0,{piece[1:]}}}?", at + 1
        if _LITERAL.fullmatch(piece):
            if piece.endswith("*"):
                return f"{piece[:-1]}[^ ]{{0,40}} {_PAUSE}", at + 1
            self._words.add(piece)
            return f"{piece} {_PAUSE}", at + 1
        raise SetupError(f"phrase {phrase!r}: {piece!r} has no meaning")
