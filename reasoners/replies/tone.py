"""Checks of how a sentence meets the person's mood (English)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.replies.findings import PLEASANT, UNPLEASANT, Finding, Situation
from affectgraph.reasoners.replies.lexicon import Lexicon, lexicon
from affectgraph.reasoners.replies.words import sentences, stem, word_set, words
from affectgraph.reasoners.tables import asks_for_advice, mood_of

_RUDE: Final = re.compile(
    r"\bwhat('s| is| was) (wrong|the matter|the problem) with you\b|\bwhat is your problem\b"
    r"|\bwho cares\b|\bso what\b",
    re.IGNORECASE,
)
_CURT: Final = re.compile(r"^(?:(?:and|so|but),? )?(?:why|so|and|then)(?: not)?\W*$", re.IGNORECASE)
_NOT: Final = re.compile(r"\b(not|no|never|\w+n't|cannot|without)\b", re.IGNORECASE)
_MIXED: Final = re.compile(
    r"\b(mixed|both|but|although|though|even if|at the same time|still)\b", re.IGNORECASE
)
_VERDICT: Final = re.compile(
    r"^(?:[\w' ]+, )?(?:that|this)(?:'s| is| was| must be| sounds like)"
    r" (?:(?:such|quite|really|just) )*an? ([\w' -]+)",
    re.IGNORECASE,
)
_PHRASE_ENDS: Final = word_set(
    "to for that when of in on with from and but you i he she they we at if because"
)
_PRAISED: Final = word_set("question point problem")
_LONG: Final = re.compile(
    r"\bfor (?:\w+ ){0,2}(?:years|months|weeks|days|decades|ages|long)\b|\bsince\b|\byears\b"
    r"|\b(?:months|weeks) ago\b|\bafter (?:\w+ )?(?:years|months|weeks)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mood:
    """Joy and condolence that the person's mood does not bear out, and verdicts on what happened.

    Joy is wished only where the person is likely glad or what they say is pleasant, condolence
    only where they are likely low or angry or what they say is unpleasant; both may stand where
    nothing is known of the mood.

    Attributes:
        sure: Share of belief from which a mood counts as the person's.
        pleasant: Valence from which what they say counts as pleasant, in [-1, 1].
        unpleasant: Valence up to which it counts as unpleasant.
    """

    name: ClassVar[str] = "mood"
    sure: float = 0.5
    pleasant: float = PLEASANT
    unpleasant: float = UNPLEASANT

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence meets another mood."""
        del before
        known, feels = lexicon(), situation.feels
        heard = words(situation.context.utterance)
        named = {known.feelings[word] for word in heard if word in known.feelings}
        plain = sentence.replace("’", "'")  # noqa: RUF001
        burdened = feels.get("low", 0.0) + feels.get("angry", 0.0) >= self.sure
        glad = feels.get("glad", 0.0) >= self.sure
        noun, praised = _verdict(known, plain)
        joyful = praised or bool(known.joyful.search(plain))
        condoling = bool(known.condoling.search(plain))
        if burdened and "glad" not in named and joyful:
            return (Finding(self.name, "joy-for-grief"),)
        if glad and not named & {"sad", "afraid", "angry"} and condoling:
            return (Finding(self.name, "grief-for-joy"),)
        if situation.belief is None:
            return ()
        valence = situation.valence
        pleased = glad or "glad" in named or valence >= self.pleasant
        troubled = burdened or bool(named & {"sad", "afraid", "angry"})
        troubled = troubled or valence <= self.unpleasant or self._troubled_before(situation)
        if joyful and not pleased:
            return (Finding(self.name, "unfounded-joy"),)
        if condoling and not troubled:
            return (Finding(self.name, "unfounded-sorrow"),)
        if noun and not self._fits(known, noun, heard, pleased=pleased, troubled=troubled):
            return (Finding(self.name, "unfounded-verdict"),)
        return ()

    def _troubled_before(self, situation: Situation) -> bool:
        history = situation.context.history
        decided = history[-1].plan.user_emotion if history else None
        if decided is None or decided.distribution.label_set != MESC_7.name:
            return False
        return mood_of(decided.label) in ("low", "angry")

    def _fits(
        self, known: Lexicon, noun: str, heard: Sequence[str], *, pleased: bool, troubled: bool
    ) -> bool:
        """Whether what happened may be called so: "a loss", "a long time"."""
        if noun == "time":
            return bool(_LONG.search(" ".join(heard)))
        if noun in known.verdicts["any"] or noun in heard or f"{noun}s" in heard:
            return True
        return (pleased and noun in known.verdicts["glad"]) or (
            troubled and noun in known.verdicts["low"]
        )


def _verdict(known: Lexicon, plain: str) -> tuple[str, bool]:
    """What a sentence calls that which happened (its noun, or nothing), and whether it praises."""
    found = _VERDICT.search(plain)
    if found is None:
        return "", False
    phrase: list[str] = []
    for word in words(found[1]):
        if word in _PHRASE_ENDS:
            break
        phrase.append(word)
    if not phrase:
        return "", False
    noun = phrase[-1]
    if noun in _PRAISED:
        return "", False
    return noun, bool(set(phrase[:-1]) & known.praise)


@dataclass(frozen=True)
class Manner:
    """Rude, curt and blaming words, and a first reply that asks without a word for the mood.

    Attributes:
        sure: Share of belief from which a mood counts as the person's.
    """

    name: ClassVar[str] = "manner"
    sure: float = 0.5

    def find(self, sentence: str, before: str, situation: Situation) -> Sequence[Finding]:
        """Whether the sentence is rude, or cold."""
        plain = sentence.replace("’", "'")  # noqa: RUF001
        if _RUDE.search(plain) or _CURT.search(plain):
            return (Finding(self.name, "rude"),)
        if lexicon().blaming.search(plain):
            return (Finding(self.name, "blame"),)
        if lexicon().trivial.search(plain):
            return (Finding(self.name, "cold-question"),)
        opens = not before and situation.first and plain.rstrip().endswith("?")
        if (
            opens
            and situation.moved >= self.sure
            and not asks_for_advice(situation.context.utterance)
        ):
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
