"""Checks that a sentence answers this person (English)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from affectgraph.reasoners.replies.findings import Finding, Situation
from affectgraph.reasoners.replies.lexicon import lexicon
from affectgraph.reasoners.replies.words import (
    FUNCTION_WORDS,
    content,
    runs,
    stem,
    word_set,
    words,
)
from affectgraph.reasoners.tables import asks_for_advice

_MINE: Final = word_set("i i'm i've i'd i'll me my mine myself")
_TURNED: Final = {
    "i": "you", "i'm": "you're", "i've": "you've", "i'd": "you'd", "i'll": "you'll", "me": "you",
    "my": "your", "mine": "yours", "myself": "yourself", "am": "are",
}  # fmt: skip
_OTHERS: Final = word_set(
    "he he's she she's they they're him her his hers them their who somebody someone"
)
_CLAUSE: Final = re.compile(r"[,;:.!?]|\b(?:and|but|because|so|while|although|that|when|if)\b")
_ABOUT_YOU: Final = re.compile(
    r"^(?:so|and|oh|i see|i hear(?: that)?|it sounds like|sounds like|you mean)?,? ?"
    r"(?:you|you're|you've|you'd)\b",
    re.IGNORECASE,
)
_FELT: Final = word_set("feel felt feels feeling")
_REFUSES: Final = re.compile(r"^no[,.]", re.IGNORECASE)
_ITSELF: Final = re.compile(r"\bi(?:'m| am) (?:just |only )?an? (?:ai|program|computer)\b", re.I)
_ABOUT_IT: Final = word_set("you your you're ai bot robot human real person machine program")
_BARE: Final = re.compile(
    r"^(?:of course|yes|yeah|no|sure|certainly|absolutely|definitely|i think so|maybe)\b[,.!]?",
    re.IGNORECASE,
)
_ADVISING: Final = frozenset({"Advisement", "Providing Suggestions"})
_COMMON_FIELDS: Final = frozenset({"friends", "kin", "home", "hobby", "health", "past", "work"})


@dataclass(frozen=True)
class Echo:
    """The person's own words given back as they stand, or the whole message turned round.

    Attributes:
        run: Words in a row with an "I" or "my" among them that may not be theirs.
        whole: Share of the sentence that may be theirs, turned round, in one run.
    """

    name: ClassVar[str] = "echo"
    run: int = 4
    whole: float = 0.85

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence copies."""
        del before
        said, heard = words(sentence), words(situation.context.utterance)
        theirs = set(runs(heard, self.run))
        if any(some in theirs and _MINE & set(some) for some in runs(said, self.run)):
            return (Finding(self.name, "echo"),)
        turned = [_TURNED.get(word, word) for word in heard]
        size = max(4, round(self.whole * len(said)))
        if size <= len(said) and set(runs(said, size)) & set(runs(turned, size)):
            return (Finding(self.name, "echo"),)
        return ()


@dataclass(frozen=True)
class Advice:
    """Advice that nobody asked for, before the person was asked anything.

    Where the person asks for it, or advice was decided on after a question in an earlier turn,
    it is welcome.
    """

    name: ClassVar[str] = "advice"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether there is some too early."""
        del before
        if asks_for_advice(situation.context.utterance) or not self._advises(sentence):
            return ()
        decided = situation.plan.strategy
        asked = any("?" in reply for reply in situation.replied)
        if asked and decided is not None and decided.label in _ADVISING:
            return ()
        return (Finding(self.name, "early-advice"),)

    def _advises(self, sentence: str) -> bool:
        plain = sentence.replace("’", "'")  # noqa: RUF001
        if lexicon().advice.search(plain):
            return True
        said = words(plain)
        start = said[1:] if said[:1] in (["please"], ["just"], ["maybe"], ["perhaps"]) else said
        opens = start[:1] and start[0] in lexicon().advice_openers and len(start) > 2
        return bool(opens) and not plain.rstrip().endswith("?") and start[:2] != ["take", "your"]


@dataclass(frozen=True)
class Topic:
    """Things that neither the person spoke of nor words of support speak of.

    Attributes:
        strange: Strange words from which a sentence counts as off the topic, where they are also
            ``share`` of its words that carry meaning.
        share: As above, in [0, 1].
        fields: Whether a noun of a field that nobody mentioned (an exam, a dog) is enough.
    """

    name: ClassVar[str] = "topic"
    strange: int = 3
    share: float = 0.4
    fields: bool = True

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence is about something else."""
        del before
        known, told = lexicon(), situation.told
        about = frozenset().union(*(known.topics[w] for w in told if w in known.topics))
        heavy = [stem(w) for w in words(sentence) if w not in FUNCTION_WORDS]
        strange, foreign = 0, False
        for word in heavy:
            fields = known.topics.get(word)
            if word in told or word in known.speech or (fields and fields & about):
                continue
            strange += 1
            foreign = foreign or bool(fields and not fields & _COMMON_FIELDS)
        advising = asks_for_advice(situation.context.utterance)
        if strange >= self.strange and strange >= self.share * len(heavy):
            return (Finding(self.name, "off-topic"),)
        if self.fields and foreign and not advising:
            return (Finding(self.name, "off-topic"),)
        return ()


@dataclass(frozen=True)
class Heard:
    """A question for what was just told, an answer to what was not asked, talk of itself.

    Attributes:
        told: Words from which a message tells what it is about.
        sure: Share of belief from which it is told with feeling.
    """

    name: ClassVar[str] = "heard"
    told: int = 2
    sure: float = 0.5

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence asks again."""
        del before
        plain = sentence.replace("’", "'")  # noqa: RUF001
        said = situation.context.utterance.replace("’", "'").strip()  # noqa: RUF001
        known, heard = lexicon(), words(said)
        full = len(heard) >= self.told and situation.moved >= self.sure
        if full and known.asks_topic.search(plain):
            return (Finding(self.name, "asks-again"),)
        felt = any(word in known.feelings or word in _FELT for word in heard)
        if felt and known.asks_feeling.search(plain):
            return (Finding(self.name, "asks-again"),)
        asked = said.endswith("?")
        if known.asks_event.search(plain) and (asked or "happened" in heard):
            return (Finding(self.name, "asks-again"),)
        if _REFUSES.search(plain) and not asked and not situation.replied:
            return (Finding(self.name, "off-topic"),)
        if _ITSELF.search(plain) and not _ABOUT_IT & set(heard):
            return (Finding(self.name, "off-topic"),)
        return ()


@dataclass(frozen=True)
class Misread:
    """What somebody else did, told back as if the person had done it."""

    name: ClassVar[str] = "misread"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether a clause about "you" takes its words from one about somebody else."""
        del before
        plain = sentence.replace("’", "'")  # noqa: RUF001
        if not _ABOUT_YOU.search(plain):
            return ()
        told = [(words(part), frozenset(content(part))) for part in self._parts(situation)]
        for part in _CLAUSE.split(plain):
            said = words(part)
            if not {"you", "you're", "you've", "you'd"} & set(said[:4]) or _OTHERS & set(said):
                continue
            # Whom it is about does not say who did it.
            heavy = frozenset(content(part)) - {stem(word) for word in lexicon().kin}
            best = max((len(heavy & theirs) for _, theirs in told), default=0)
            sources = [heard for heard, theirs in told if len(heavy & theirs) == best]
            if best and all(self._of_another(heard) for heard in sources):
                return (Finding(self.name, "misread"),)
        return ()

    def _parts(self, situation: Situation) -> list[str]:
        return _CLAUSE.split(situation.context.utterance.replace("’", "'"))  # noqa: RUF001

    def _of_another(self, heard: Sequence[str]) -> bool:
        own = set(heard[:2]) & _MINE - {"my"}
        theirs = heard[:1] == ["my"] and any(word in lexicon().kin for word in heard[1:3])
        return not own and (theirs or (not _MINE & set(heard) and bool(_OTHERS & set(heard[:2]))))


@dataclass(frozen=True)
class Ground:
    """Questions that take nothing up, and a bare yes or no to who asks for a judgement.

    For small models: their open questions are fit for nearly anything, but where they ask for a
    detail that the person has not touched, it is mostly beside the point.
    """

    name: ClassVar[str] = "ground"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence rests on nothing that was said."""
        plain = sentence.replace("’", "'")  # noqa: RUF001
        said = situation.context.utterance.strip()
        if not before and said.endswith("?") and _BARE.search(plain):
            return (Finding(self.name, "bare-answer"),)
        known = lexicon()
        if not plain.rstrip().endswith("?") or known.open_questions.search(plain):
            return ()
        told = situation.told
        about = frozenset().union(*(known.topics[w] for w in told if w in known.topics))
        heavy = [word for word in content(plain) if word not in known.passing]
        if any(word in told or known.topics.get(word, frozenset()) & about for word in heavy):
            return ()
        return (Finding(self.name, "ungrounded-question"),)
