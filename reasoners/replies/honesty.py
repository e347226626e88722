"""Checks that the companion claims no life, no deeds and no knowledge that it has not (English)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from affectgraph.reasoners.replies.findings import Finding, Situation
from affectgraph.reasoners.replies.lexicon import Lexicon, lexicon
from affectgraph.reasoners.replies.words import FUNCTION_WORDS, content, stem, word_set, words

_QUOTED: Final = re.compile(r"[\"“][^\"“”]*[\"”]")
_ADVERBS: Final = word_set(
    "also really just truly so still always only honestly certainly completely totally"
    " fully definitely absolutely too too, genuinely deeply sincerely sure both never"
    " actually simply personally do don't did didn't can can't could couldn't would"
    " wouldn't will won't might may must should"
)
_BE_PAST: Final = word_set("wondering hoping thinking sorry touched moved glad happy only")
_HAVE: Final = word_set("heard read noticed understood no not a an some to listened only one been")
_HAVE_BEEN: Final = word_set("listening reading thinking wondering hoping")
_LIVED: Final = re.compile(
    r"\b(me too|same here|i (can|could) ((totally|really|completely|certainly|definitely) )?relate"
    r"|(happened|happens|works?|worked|helped|helps) (to|for|with)? ?me\b|as someone who|when i was"
    r"|i('m| am) (also|just as) (?!here|listening|glad|happy|an\b)"
    r"|when i (had|went|lost|am|get|feel)|in my (experience|life|case|opinion|own)|like me\b"
    r"|i know (exactly |just )?(how|what) (it|that|this|you)( is|'s| feels?| are|'re)?( like)?"
    r"|i('ve| have) been (there|through|in)|i (feel|felt) the same|(?<!of )my own"
    r"|we (went|had|used to|lost|broke up|got|were (both|all|together)|lived|met)"
    r"|(we|us) (humans?|people|all))\b",
    re.IGNORECASE,
)
_PERSONS: Final = word_set(
    "boss teacher manager doctor colleague coworker supervisor professor landlord customer coach"
    " therapist nurse ex crush neighbour neighbor baby"
)
_SAID: Final = re.compile(
    r"\byou (?:said|mentioned|told me|were saying|wrote)\b([^.!?]*)", re.IGNORECASE
)
_THEIRS: Final = re.compile(r"\b(he|him|his|she|her|hers)\b", re.IGNORECASE)
_HAVING: Final = re.compile(
    r"\b(?:you (?:have|suffer from|are suffering from|might have|may have|probably have|are|seem"
    r" to have|could have)|you're|(?:this|that|it) (?:is|sounds like|looks like|could be|may be"
    r"|might be)|signs of|symptoms of|diagnos\w+)\b((?:\W+\w+){1,4})",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Life:
    """A life that the companion does not have: its own past, people, things and deeds.

    Every "I" must be followed by something that a program in a chat can do or be, and every "my"
    by something that it has; all else is invented.
    """

    name: ClassVar[str] = "life"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence tells of a life, or claims to be what it is not."""
        del before, situation
        known, text = lexicon(), _QUOTED.sub(" ", sentence).replace("’", "'")  # noqa: RUF001
        said = words(text)
        if _LIVED.search(text) or any(_owns(known, said, at) for at in _at(said, "my")):
            return (Finding(self.name, "invented-life"),)
        for at, word in enumerate(said):
            if word in ("i", "i'm", "i've", "i'd", "i'll") and not _plausible(known, said, at):
                return (Finding(self.name, "invented-life"),)
        return ()


@dataclass(frozen=True)
class Being:
    """A claim to be a kind of being or of professional; the companion is a program."""

    name: ClassVar[str] = "being"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether it says "I'm a ..." of anything that it is not."""
        del before, situation
        said = words(_QUOTED.sub(" ", sentence))
        for at, word in enumerate(said):
            after = said[at + 1 : at + 4] if word == "i'm" else said[at + 2 : at + 5]
            if word == "i'm" or said[at : at + 2] == ["i", "am"]:
                if after[:1] == ["not"]:
                    continue
                if after[:1] in (["a"], ["an"]) and not lexicon().kinds & set(after[1:]):
                    return (Finding(self.name, "claims-to-be"),)
                if after[:1] in (["human"], ["real"], ["alive"], ["your"]):
                    return (Finding(self.name, "claims-to-be"),)
        return ()


@dataclass(frozen=True)
class Promises:
    """Promises that a program in a chat cannot keep."""

    name: ClassVar[str] = "promises"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether there is one."""
        del before, situation
        plain = sentence.replace("’", "'")  # noqa: RUF001
        return (Finding(self.name, "false-promise"),) if lexicon().promises.search(plain) else ()


@dataclass(frozen=True)
class Facts:
    """Facts about the person that they never told: people, things, words put in their mouth."""

    name: ClassVar[str] = "facts"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether there is one."""
        known, told = lexicon(), situation.told
        said = words(sentence)
        if any(_unsaid(known, said, at, told) for at in _at(said, "your")):
            return (Finding(self.name, "unsaid-fact"),)
        for quoted in _SAID.findall(sentence):
            fresh = [w for w in content(quoted) if w not in told and w not in known.speech]
            if fresh:
                return (Finding(self.name, "unsaid-words"),)
        if _THEIRS.search(sentence) and not _has_somebody(known, situation, before + sentence):
            return (Finding(self.name, "unsaid-person"),)
        return ()


@dataclass(frozen=True)
class Diagnosis:
    """The name of a disorder put upon the person, who did not use it."""

    name: ClassVar[str] = "diagnosis"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether there is one."""
        del before
        conditions = lexicon().conditions
        for named in _HAVING.findall(sentence.replace("’", "'")):  # noqa: RUF001
            found = {word for word in words(named) if word in conditions}
            if any(stem(word) not in situation.told for word in found):
                return (Finding(self.name, "diagnosis"),)
        return ()


def _at(said: Sequence[str], word: str) -> Iterator[int]:
    return (at for at, other in enumerate(said) if other == word)


def _owns(known: Lexicon, said: Sequence[str], at: int) -> bool:
    """Whether "my" at a place is followed by what the companion cannot have."""
    after = said[at + 1 : at + 3]
    denied = list(said[max(0, at - 1) : at + 2]) == ["of", "my", "own"] and "no" in said[:at]
    return bool(after) and not denied and not known.may_own & set(after)


def _plausible(known: Lexicon, said: Sequence[str], at: int) -> bool:
    """Whether what follows an "I" is something that a program in a chat can do or be."""
    head = said[at]
    after = list(said[at + 1 :])
    if head == "i" and after[:1] in (["am"], ["was"], ["have"], ["had"]):
        head, after = after[0], after[1:]
    plain = [word for word in after[:5] if word not in _ADVERBS]
    if not plain:
        return True
    verb = plain[0]
    if head in ("i'm", "am"):
        return verb in known.may_be or verb in ("in", "of")
    if head == "was":
        return verb in _BE_PAST
    if head in ("i've", "have"):
        return verb in _HAVE and (verb != "been" or bool(_HAVE_BEEN & set(plain[1:2])))
    if head == "had":
        return False
    if head == "i'd":
        return not verb.endswith(("ed", "en")) or verb == "need"
    if head == "i'll":
        return verb in known.may_do or verb in ("be", "keep", "try", "stay", "answer", "help")
    return verb in known.may_do or verb in ("be", "help", "hardly", "answer", "offer", "tell")


def _unsaid(known: Lexicon, said: Sequence[str], at: int, told: frozenset[str]) -> bool:
    """Whether "your" at a place names something that was never mentioned."""
    for word in said[at + 1 : at + 4]:
        root = stem(word)
        if root in told or root in known.your_own:
            return False
        if word in known.nouns:
            fields = known.topics[root]
            return not any(fields & known.topics[other] for other in told if other in known.topics)
        if root in known.speech or word in known.between or word in FUNCTION_WORDS:
            continue
        return True
    return False


def _has_somebody(known: Lexicon, situation: Situation, reply: str) -> bool:
    """Whether the person, or the reply itself, speaks of anyone that "he" or "she" may mean."""
    text = " ".join([situation.context.utterance, *(e.said for e in situation.context.history)])
    people = {"he", "she", "him", "her", "his", "they", "them", "who", "someone", "somebody"}
    people |= {"everyone", "guy", "man", "woman", "girl", "boy", "people", "person", "somebody's"}
    said = {*words(text), *(w for w in words(reply) if w in known.kin)}
    if said & (people | known.kin | _PERSONS):
        return True
    # A name: a word with a capital that begins no sentence.
    return re.search(r"[a-z,;] (?!I\b)[A-Z][a-z]+", text) is not None
