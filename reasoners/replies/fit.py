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
    runs,
    sentences,
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
_ADVISING: Final = frozenset({"Advisement", "Providing Suggestions"})
_RUDE: Final = re.compile(
    r"\bwhat('s| is| was) (wrong|the matter|the problem) with you\b|\bwhat is your problem\b"
    r"|\bwho cares\b|\bso what\b",
    re.IGNORECASE,
)
_NOT: Final = re.compile(r"\b(not|no|never|\w+n't|cannot|without)\b", re.IGNORECASE)
_MIXED: Final = re.compile(
    r"\b(mixed|both|but|although|though|even if|at the same time|still)\b", re.IGNORECASE
)
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
class Mood:
    """Joy wished to who is low or angry, condolence to who is glad.

    Attributes:
        sure: Share of belief from which a mood counts as the person's.
    """

    name: ClassVar[str] = "mood"
    sure: float = 0.5

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence meets the other mood."""
        del before
        known, feels = lexicon(), situation.feels
        said = set(words(situation.context.utterance))
        named = {known.feelings[word] for word in said if word in known.feelings}
        plain = sentence.replace("’", "'")  # noqa: RUF001
        burdened = feels.get("low", 0.0) + feels.get("angry", 0.0)
        if burdened >= self.sure and "glad" not in named and known.joyful.search(plain):
            return (Finding(self.name, "joy-for-grief"),)
        glad = feels.get("glad", 0.0) >= self.sure and not named & {"sad", "afraid", "angry"}
        if glad and known.condoling.search(plain):
            return (Finding(self.name, "grief-for-joy"),)
        return ()


@dataclass(frozen=True)
class Manner:
    """Rude questions, and a first reply that asks without a word for what the person feels.

    Attributes:
        sure: Share of belief from which a mood counts as the person's.
    """

    name: ClassVar[str] = "manner"
    sure: float = 0.5

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence is rude, or cold."""
        plain = sentence.replace("’", "'")  # noqa: RUF001
        if _RUDE.search(plain):
            return (Finding(self.name, "rude"),)
        feels = situation.feels
        moved = max(feels.get("glad", 0.0), feels.get("low", 0.0) + feels.get("angry", 0.0))
        opens = not before and situation.first and plain.rstrip().endswith("?")
        if opens and moved >= self.sure and not asks_for_advice(situation.context.utterance):
            return (Finding(self.name, "cold-question"),)
        return ()


@dataclass(frozen=True)
class Contradiction:
    """A sentence that says the opposite of one before it."""

    name: ClassVar[str] = "contradiction"

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether joy and condolence, or a thing and its denial, stand in one reply."""
        known = lexicon()
        plain, earlier = sentence.replace("’", "'"), before.replace("’", "'")  # noqa: RUF001
        mixed = _MIXED.search(plain) or _MIXED.search(situation.context.utterance)
        crossed = (known.joyful.search(plain) and known.condoling.search(earlier)) or (
            known.condoling.search(plain) and known.joyful.search(earlier)
        )
        if crossed and not mixed:
            return (Finding(self.name, "contradiction"),)
        recent = sentences(earlier) + sentences(situation.replied[-1] if situation.replied else "")
        if any(self._denies(plain, other) for other in recent):
            return (Finding(self.name, "contradiction"),)
        return ()

    def _denies(self, some: str, other: str) -> bool:
        if bool(_NOT.search(some)) == bool(_NOT.search(other)) or "?" in some + other:
            return False
        a, b = self._claim(some), self._claim(other)
        return len(a) >= 3 and a == b

    def _claim(self, sentence: str) -> frozenset[str]:
        kept = _NOT.sub(" ", sentence)
        return frozenset(stem(w) for w in words(kept) if w not in ("do", "does", "did", "so"))


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
