"""Folding: the same words out of every way to type them, each with its place in the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import product
from typing import Final, NamedTuple

_LONGEST: Final = 40
_PART: Final = 12
_LAUGHTER: Final = frozenset("😂🤣😆😹😅💀😜")
_LOOKALIKES: Final = str.maketrans(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0455\u04cf\u0501"  # Cyrillic
    "\u03b1\u03b5\u03b9\u03ba\u03bf\u03c1\u03c5",  # Greek
    "aceopxyisldaeikopu",
)
_SIMPLE_QUOTES: Final = "'`\u00b4\u2018\u2019\u02bc\u2032"
_DOUBLE_QUOTES: Final = '"\u201c\u201d\u201e\u00ab\u00bb'
_LEET: Final = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i",
                "|": "l"}  # fmt: skip
_LEET_SHAPE: Final = re.compile(r"[a-z0-9@$!|*]{1,24}")
_CORE: Final = frozenset(
    {"kill", "killing", "myself", "die", "dying", "dead", "suicide", "suicidal", "life"}
    | {"unalive", "harm"}
)
_CHUNK: Final = re.compile(
    r"""(?P<stop>\n[ \t]*\n\s*) | (?P<pause>\n|\.{2,}|…|[,:()—]) | (?P<quote>["])
      | (?P<laugh>\ue000)
      | (?P<word>(?:[@$](?=[^\W_]))?[^\W_](?:['!@$|*]{0,2}[^\W_])*)
      | (?P<end>[.!?;\u3002])""",
    re.VERBOSE,
)


class Word(NamedTuple):
    """A folded word.

    Attributes:
        text: Letters and digits, or ``.`` (a sentence ends), ``,`` (a pause), ``"`` (a quote).
        start: First character in the original text.
        end: One past the last.
    """

    text: str
    start: int
    end: int


class Folding:
    """Folds text to lower-case words without accents, apostrophes or disguise.

    Compatibility characters are replaced (NFKD), marks and invisible characters dropped,
    look-alike Cyrillic and Greek letters read as Latin, three or more equal letters cut down,
    laughter emoji read as ``lol``. Digits and signs that stand for letters (``k!ll``), letters
    with spaces between them and words written as one are undone only where known words result.

    Args:
        vocabulary: The known words.
    """

    def __init__(self, vocabulary: Iterable[str] = ()) -> None:
        self._known = frozenset(vocabulary) | _CORE
        self._parts = frozenset(w for w in self._known if len(w) > 1) | {"i"}

    def words(self, text: str) -> tuple[Word, ...]:
        """Fold a text; time linear in its length."""
        plain, places = _plain(text)
        found: list[Word] = []
        for chunk in _CHUNK.finditer(plain):
            start, end = places[chunk.start()], places[chunk.end() - 1] + 1
            match chunk.lastgroup:
                case "stop" | "end":
                    _mark(found, ".", start, end)
                case "pause":
                    _mark(found, ",", start, end)
                case "quote":
                    found.append(Word('"', start, end))
                case "laugh":
                    found.append(Word("lol", start, end))
                case _:
                    found.extend(self._word(chunk.group(), chunk.start(), places))
        return tuple(self._closed(found))

    def _word(self, raw: str, at: int, places: list[int]) -> list[Word]:
        bare = raw.replace("'", "")
        start, end = places[at], places[at + len(raw) - 1] + 1
        if bare.isalpha():
            return [Word(part, start, end) for part in self._unglued(_shortened(bare))]
        known = self._unmasked(bare)
        if known is not None:
            return [Word(known, start, end)]
        words: list[Word] = []
        for piece in re.finditer(r"[^!@$|*]+|!", raw):
            first, last = places[at + piece.start()], places[at + piece.end() - 1] + 1
            if piece.group() == "!":
                words.append(Word(".", first, last))
            else:
                words.append(Word(_shortened(piece.group().replace("'", "")), first, last))
        return words

    def _unmasked(self, bare: str) -> str | None:
        """The known word behind digits and signs, if there is one."""
        if not _LEET_SHAPE.fullmatch(bare) or not re.search("[a-z]", bare):
            return None
        for one, star in product("il", "iuea"):
            word = "".join(_LEET.get(c, {"1": one, "*": star}.get(c, c)) for c in bare)
            if _shortened(word) in self._known:
                return _shortened(word)
        return None

    def _unglued(self, word: str) -> list[str]:
        """``killmyself`` as two words; any other word as it is, cut at 40 characters."""
        if not 6 <= len(word) <= _LONGEST or word in self._known:
            return [word[:_LONGEST]]
        best: list[list[str] | None] = [[], *[None] * len(word)]
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - _PART), end):
                before, part = best[start], word[start:end]
                if before is None or part not in self._parts:
                    continue
                held = best[end]
                if held is None or len(before) + 1 < len(held):
                    best[end] = [*before, part]
        parts = best[len(word)]
        return parts if parts and len(parts) > 1 and _CORE & set(parts) else [word]

    def _closed(self, words: list[Word]) -> list[Word]:
        """Join letters that were typed with spaces or dots between them."""
        closed: list[Word] = []
        at = 0
        while at < len(words):
            run = _letters(words, at)
            letters = [word for word in words[at:run] if word.text.isalpha()]
            closed.extend(self._joined(letters) or words[at : max(run, at + 1)])
            at = max(run, at + 1)
        return closed

    def _joined(self, letters: list[Word]) -> list[Word]:
        """Known words in a run of single letters, with the letters between them; or nothing."""
        if len(letters) < 3:
            return []
        text = "".join(word.text for word in letters)
        # Cheapest split: a letter that stays alone costs 3, a known word 1.
        costs, backs = [0], [0]
        for end in range(1, len(text) + 1):
            cost, back = costs[end - 1] + 3, end - 1
            for start in range(max(0, end - _PART), end - 1):
                if costs[start] + 1 < cost and text[start:end] in self._parts:
                    cost, back = costs[start] + 1, start
            costs.append(cost)
            backs.append(back)
        parts: list[Word] = []
        end = len(text)
        while end:
            start = backs[end]
            parts.append(Word(text[start:end], letters[start].start, letters[end - 1].end))
            end = start
        found = any(part.text in _CORE or part.text == "kms" for part in parts)
        return parts[::-1] if found else []


def _letters(words: list[Word], at: int) -> int:
    """One past the run of single letters, with marks between them, that starts at ``at``."""
    end = last = at
    while last < len(words):
        text = words[last].text
        if len(text) == 1 and text.isalpha():
            end = last + 1
        elif text not in (".", ",") or end != last:
            break
        last += 1
    return end


def _plain(text: str) -> tuple[str, list[int]]:
    """The text folded character by character, and each one's place in the original."""
    out: list[str] = []
    places: list[int] = []
    for at, char in enumerate(text):
        for folded in _fold(char):
            out.append(folded)
            places.append(at)
    return "".join(out), places


def _fold(char: str) -> str:
    if char < "\x80":
        return char.lower() if char >= " " or char in "\n\t" else ""
    if char in _LAUGHTER:
        return "\ue000"
    if char in _SIMPLE_QUOTES:
        return "'"
    if char in _DOUBLE_QUOTES:
        return '"'
    if unicodedata.category(char) in ("Cf", "Mn", "Me"):
        return ""
    folded = unicodedata.normalize("NFKD", char).casefold().translate(_LOOKALIKES)
    return "".join(c for c in folded if unicodedata.category(c) != "Mn")


def _shortened(word: str) -> str:
    """Three or more equal letters become one, of ``l`` two (``killll``)."""
    return re.sub(r"([a-z])\1{2,}", lambda m: "ll" if m[1] == "l" else m[1], word)[:_LONGEST]


def _mark(words: list[Word], mark: str, start: int, end: int) -> None:
    """Append a mark; several in a row are one, and a full stop beats a comma."""
    if words and words[-1].text in (".", ","):
        mark = "." if "." in (mark, words[-1].text) else ","
        start = words.pop().start
    words.append(Word(mark, start, end))
