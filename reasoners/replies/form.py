"""Checks of how a sentence is made: loops, ends, marks, length, language. Any language but one."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from affectgraph.perceivers.text.language import unreadable
from affectgraph.reasoners.replies.findings import Finding, Situation
from affectgraph.reasoners.replies.words import (
    FUNCTION_WORDS,
    runs,
    sentences,
    stem,
    word_set,
    words,
)

_ENDED: Final = re.compile(r"[.!?…。！？][\"'”’)\]*_]*\s*$")  # noqa: RUF001 - wide marks
_DOUBLED: Final = frozenset({"that", "had", "very", "so", "bye", "ha", "no", "really", "now"})
_DANGLING: Final = word_set(
    "and but or nor because the a an my your our their if than i'm you're we're they're"
    " i've you've very"
)
_ALONE: Final = word_set(
    "hello hi hey thanks congratulations wow yes no sure okay goodbye bye welcome"
    " absolutely of exactly true right understood hmm oh"
)
_MARKS: Final = re.compile(
    r"<\|?/?\w*|\|>|\[/?\w+[^\]]*\]|[{}#|\\^~]|https?:|www\.|\w@\w|__|\*\*|\ufffd"
    r"|^\W{0,3}(user|assistant|system|response|reply|strategy|seeker|supporter|client|human|ai)"
    r"\s*:|\b(user|system)[ _]emotion\b|^\s*\([^)]{3,50}\)\s*[(:]"
    r"|\b(the|this) (user|speaker|client|seeker)\b",
    re.IGNORECASE,
)
_BROKEN: Final = re.compile(
    r"\bi (is|are|has)\b|(?:^|[,;] |\b(?:and|but|that) )(?:you (?:am|has|is)"
    r"|(?:he|she|it) (?:am|are)|(?:they|we) (?:is|was|has|am))\b"
    r"|\b(?:an?) (?:the|an?|my|your|is|are)\b"
    r"|\b(?:the|my|your) (?:the|an?|is|are|am)\b|\b(?:is|are|am) (?:is|are|am)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Loops:
    """Runs of words, sentences, or earlier replies said again.

    Attributes:
        run: Words in a row that stand twice in one reply at most once.
        alike: Share of words that two sentences have in common to count as one.
    """

    name: ClassVar[str] = "loops"
    run: int = 4
    alike: float = 0.8

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Loops within the reply, then repetitions of the agent's last replies."""
        said = words(sentence)
        counted = Counter(runs(words(before), self.run)) + Counter(runs(said, self.run))
        fresh = set(runs(said, self.run))
        if any(n > 1 for some, n in counted.items() if some in fresh):
            return (Finding(self.name, "loop"),)
        if any(a == b == c for a, b, c in zip(said, said[1:], said[2:], strict=False)):
            return (Finding(self.name, "loop"),)
        heavy = Counter(stem(word) for word in said if word not in FUNCTION_WORDS)
        if any(n >= 4 for n in heavy.values()):
            return (Finding(self.name, "loop"),)
        if said[:1] == ["so"] and any(n > 1 for n in heavy.values()):
            return (Finding(self.name, "repeats-itself"),)
        if any(self._same(said, words(other)) for other in sentences(before)):
            return (Finding(self.name, "repeats-itself"),)
        if any(self._same(said, words(s)) for r in situation.replied for s in sentences(r)):
            return (Finding(self.name, "repeats-reply"),)
        return ()

    def _same(self, some: Sequence[str], others: Sequence[str]) -> bool:
        if min(len(some), len(others)) < 4:
            return False
        a, b = {stem(w) for w in some}, {stem(w) for w in others}
        return len(a & b) >= self.alike * len(a | b)


@dataclass(frozen=True)
class Ends:
    """Sentences that are not whole: no mark, a dangling word, an open bracket, a doubled word.

    Attributes:
        longest: Words of one sentence at most.
    """

    name: ClassVar[str] = "ends"
    longest: int = 45

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """The first thing that is wrong with the sentence's form."""
        del before, situation
        code = self._fault(sentence.strip())
        return (Finding(self.name, code),) if code else ()

    def _fault(self, text: str) -> str | None:
        said = words(text)
        if not said or (len(said) == 1 and said[0] not in _ALONE):
            return "fragment"
        if not _ENDED.search(text) or said[-1] in _DANGLING:
            return "unfinished"
        if len(said) > self.longest:
            return "run-on"
        if text.count("(") != text.count(")") or text.count('"') % 2:
            return "unfinished"
        twice = any(a == b and a not in _DOUBLED for a, b in itertools.pairwise(said))
        if twice or _BROKEN.search(text) or text[0] in ",;:.!?)":
            return "broken"
        return None


@dataclass(frozen=True)
class Marks:
    """Control tokens, labels of a prompt, addresses, templates that were not filled."""

    name: ClassVar[str] = "marks"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether there are any."""
        del before, situation
        return (Finding(self.name, "control-marks"),) if _MARKS.search(sentence) else ()


@dataclass(frozen=True)
class Length:
    """Replies of more words than agreed.

    Attributes:
        words: Of a whole reply, at most.
    """

    name: ClassVar[str] = "length"
    words: int = 60

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the reply is too long with this sentence."""
        del situation
        long = len(before.split()) + len(sentence.split()) > self.words
        return (Finding(self.name, "too-long"),) if long else ()


@dataclass(frozen=True)
class Language:
    """Words that are not English, in answer to English ones."""

    name: ClassVar[str] = "language"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence is in another language than the person's."""
        del before
        foreign = unreadable(sentence) == "unsupported-language"
        if foreign and unreadable(situation.context.utterance) is None:
            return (Finding(self.name, "other-language"),)
        return ()
