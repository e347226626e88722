"""What a written reply may take from the person's own words: a topic, a feeling, a loss (English).

Everything comes from closed lists, so that no words of a message can make a sentence ungrammatical:
a slot is filled by known words in a known order, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from affectgraph.reasoners.replies.lexicon import Lexicon, lexicon
from affectgraph.reasoners.replies.words import sentences, word_set, words

_EVENTS: Final = word_set(
    "exam exams test tests finals interview presentation operation surgery appointment"
    " deadline meeting promotion wedding move trip thesis essay assignment homework"
)
_STRESSING: Final = word_set(
    "so very really just quite too still extremely all a bit little pretty completely"
    " totally such incredibly always feeling again now honestly truly"
)
_NEGATING: Final = word_set("not never no don't didn't won't isn't wasn't aren't hardly")
_UNSURE: Final = word_set(
    "almost nearly will would might may could going if afraid scared worried fear hope"
    " thought dreamt dreamed"
) | _NEGATING  # fmt: skip
_DIED: Final = re.compile(
    r"\bmy ((?:[a-z-]+ ){0,2}?)([a-z-]+) "
    r"(?:has |have |had |just |suddenly |recently |unexpectedly )*"
    r"(?:died|passed away|passed on|is dead|is gone forever|was put (?:down|to sleep))\b"
)
_LOST: Final = re.compile(
    r"\b(?:(?:lost|losing|buried|grieving|mourning)"
    r"|(?:death|loss|funeral) of|first \w+ without) my "
    r"((?:[a-z-]+ ){0,2}?)([a-z-]+)\b(?!')"
)
_DEATH: Final = re.compile(r"\bmy ((?:[a-z-]+ ){0,2}?)([a-z-]+)'s (?:death|funeral|passing)\b")
_PETS: Final = "pets"


@dataclass(frozen=True)
class Slots:
    """What could be taken from a message; ``None`` for nothing.

    Attributes:
        topic: A noun phrase with "your", such as "your math exam".
        feeling: An adjective that the person used of themselves, such as "lonely".
        mood: Mood of that adjective: sad, afraid, angry, glad or even.
        person: Whom or which animal they lost, such as "your grandmother".
    """

    topic: str | None = None
    feeling: str | None = None
    mood: str | None = None
    person: str | None = None

    def filled(self, template: str) -> str | None:
        """A template with its slot filled; ``None`` where there is nothing to fill it."""
        values = {"topic": self.topic, "feeling": self.feeling, "person": self.person}
        for name, value in values.items():
            if f"{{{name}}}" in template:
                if value is None:
                    return None
                template = template.replace(f"{{{name}}}", value)
        return template


def slots_of(utterance: str) -> Slots:
    """What a written reply may take from a message."""
    known = lexicon()
    feeling = person = topic = None
    for sentence in sentences(utterance):
        said = words(sentence)
        person = person or _lost(known, " ".join(said))
        topic = topic or _topic(known, said)
        feeling = feeling or _feeling(known, said)
    mood = known.feelings[feeling] if feeling else None
    return Slots(topic=person or topic, feeling=feeling, mood=mood, person=person)


def _topic(known: Lexicon, said: Sequence[str]) -> str | None:
    """The first noun of a field that is the person's own."""
    for at, word in enumerate(said):
        if word == "my" and (found := _phrase(known, said, at + 1)) is not None:
            return f"your {found}"
        if word in ("a", "an", "the", "this", "next") and _is_theirs(known, said, at):
            found = _phrase(known, said, at + 1)
            if found is not None and found.split()[-1] in _EVENTS:
                return f"your {found}"
        if word == "promoted" and _is_theirs(known, said, at):
            return "your promotion"
    return None


def _phrase(known: Lexicon, said: Sequence[str], start: int) -> str | None:
    """Up to two known adjectives and a known noun, or a person's noun: "sister's wedding"."""
    before: list[str] = []
    for at in range(start, min(start + 3, len(said))):
        word = said[at]
        if word.endswith("'s") and word[:-2] in known.kin:
            owned = said[at + 1] if at + 1 < len(said) else ""
            if owned in known.nouns and owned not in known.kin:
                return " ".join([*before, word, owned])
            return None
        after = said[at + 1] if at + 1 < len(said) else ""
        bare = after.removesuffix("'s")
        if word in known.between and (bare in known.nouns or after in known.between):
            if word in before:
                return None
            before.append(word)
        elif word in known.nouns:
            return " ".join([*before, word])
        else:
            return None
    return None


def _is_theirs(known: Lexicon, said: Sequence[str], at: int) -> bool:
    """Whether "I" is the nearest subject before a place, with nobody else in between."""
    near = said[max(0, at - 5) : at]
    for word in reversed(near):
        if word in ("i", "i'm", "i've", "i'd", "i'll"):
            return True
        if word in known.kin or word in ("he", "she", "they", "we", "you", "who"):
            return False
    return False


def _feeling(known: Lexicon, said: Sequence[str]) -> str | None:
    """The adjective of an "I feel ..." or "I'm ..."; nothing where it is denied."""
    for at, word in enumerate(said):
        feels = (
            word in ("feel", "felt", "feeling") and not set(said[max(0, at - 2) : at]) & _NEGATING
        )
        is_so = word == "i'm" or (word == "am" and said[max(0, at - 1) : at] == ["i"])
        if not (feels or is_so) or (
            word in ("feel", "felt") and "i" not in said[max(0, at - 3) : at]
        ):
            continue
        rest = said[at + 1 : at + 5]
        while rest and rest[0] in _STRESSING:
            rest = rest[1:]
        loose = rest[1:2] and rest[1] in ("to", "for", "on", "by") and not feels
        if rest and rest[0] in known.feelings and not loose:
            return rest[0]
    return None


def _lost(known: Lexicon, said: str) -> str | None:
    """Whom the person says they lost to death; nothing where it is feared, denied or unsure."""
    for pattern in (_DIED, _DEATH, _LOST):
        for match in pattern.finditer(said):
            noun, between = match.group(2), match.group(1).split()
            unsure = set(said[: match.end()].split()) & _UNSURE
            strayed = pattern is _LOST and known.nouns.get(noun) in (_PETS, "friends")
            plain = known.between.issuperset(between) and len(set(between)) == len(between)
            if noun in known.kin and plain and not (unsure or strayed):
                return " ".join(["your", *between, noun])
    return None
