"""Messages that a small model is not asked about: greetings, thanks, nonsense, other languages.

They are told by their form, by rules that see the whole message; in doubt it is none of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from affectgraph.perceivers.text.language import unreadable
from affectgraph.reasoners.replies.datafiles import packaged, read
from affectgraph.reasoners.replies.words import word_set

SituationName = Literal[
    "greeting", "how-are-you", "thanks", "goodbye", "good-night", "nonsense", "silence",
    "what-are-you", "what-can-you", "unknown-language",
]  # fmt: skip
LanguageName = Literal["de", "fr", "es", "it", "pt", "nl"]
Tone = Literal["low", "glad", "even"]

_FILE: Final = "reply_situations.yaml"
_LETTERS: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # noqa: RUF001 - typed apostrophes
_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "poiuytrewq", "lkjhgfdsa", "mnbvcxz")
_NO_VOWEL: Final = word_set(
    "hmm hmmm mhm pfft psst brrr grr grrr shh ugh nvm tbh idk lmk btw omg wtf wth smh brb"
    " ttyl pls plz thx ty bc dm tv phd mrs"
)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    tongues: dict[LanguageName, str]
    elsewhere: str
    english: str
    low: str
    glad: str
    groups: dict[str, str]
    messages: dict[SituationName, tuple[str, ...]]


@dataclass(frozen=True)
class _Rules:
    tongues: Mapping[LanguageName, frozenset[str]]
    elsewhere: frozenset[str]
    english: frozenset[str]
    low: frozenset[str]
    glad: frozenset[str]
    messages: tuple[tuple[SituationName, re.Pattern[str]], ...]


@cache
def rules() -> _Rules:
    """The rules of the package; the first call reads a file, so make it away from the loop.

    Raises:
        SetupError: If the file does not parse.
    """
    file = read(packaged(_FILE), _File)
    return _Rules(
        tongues={name: word_set(listed) for name, listed in file.tongues.items()},
        elsewhere=word_set(file.elsewhere),
        english=word_set(file.english),
        low=word_set(file.low),
        glad=word_set(file.glad),
        messages=tuple(
            (name, re.compile("|".join(_filled(p, file.groups) for p in patterns)))
            for name, patterns in file.messages.items()
        ),
    )


def _filled(pattern: str, groups: Mapping[str, str]) -> str:
    for _ in groups:  # a group may name others
        for name, group in groups.items():
            pattern = pattern.replace(f"<{name}>", f"(?:{group})")
    return pattern


@dataclass(frozen=True)
class Foreign:
    """A message in a language in which there are written replies.

    Attributes:
        language: Which.
        tone: What its plainest words of feeling tell; ``even`` where there are none.
    """

    language: LanguageName
    tone: Tone


def situation_of(utterance: str) -> SituationName | Foreign | None:
    """What kind of message needs no model; ``None`` for all that a model should answer."""
    said = [w.replace("’", "'") for w in _LETTERS.findall(utterance.casefold())]  # noqa: RUF001
    if not said:
        return "silence" if not any(map(str.isdigit, utterance)) else "nonsense"
    if (told := _tongue(utterance, said)) is not None:
        return told
    line = " ".join(said)
    for name, rule in rules().messages:
        if rule.fullmatch(line):
            return name
    if unreadable(utterance) == "unsupported-language" or _is_mash(said):
        return "nonsense"
    return None


def _tongue(utterance: str, said: list[str]) -> Foreign | SituationName | None:
    letters = [letter for letter in utterance if letter.isalpha()]
    if 2 * sum(letter < "\u0250" for letter in letters) < len(letters):
        return "unknown-language"
    known = rules()
    english = sum(word in known.english for word in said)
    hits = {name: sum(word in some for word in said) for name, some in known.tongues.items()}
    best = max(hits, key=lambda name: hits[name])
    enough = 1 if len(said) <= 2 else 2
    if hits[best] >= enough and hits[best] > english and 3 * hits[best] >= len(said):
        return Foreign(best, _tone(said))
    elsewhere = sum(word in known.elsewhere for word in said)
    if elsewhere >= 2 and elsewhere > english:
        return "unknown-language"
    return None


def _tone(said: list[str]) -> Tone:
    low = sum(word in rules().low for word in said)
    glad = sum(word in rules().glad for word in said)
    return "even" if low == glad else "low" if low > glad else "glad"


def _is_mash(said: list[str]) -> bool:
    """Whether every word is a run of neighbouring keys, one letter again and again, or no word."""
    return all(_is_no_word(word) for word in said)


def _is_no_word(word: str) -> bool:
    if len(word) > 24:
        return False
    if len(word) >= 4 and len(set(word)) == 1:
        return True
    # Four neighbouring keys or more that are most of the word: "erty" is none of "property".
    spans = ((at, end) for at in range(len(word)) for end in range(at + 4, len(word) + 1))
    run = max((e - a for a, e in spans if any(word[a:e] in row for row in _ROWS)), default=0)
    bare = word.isascii() and len(word) >= 4 and not set(word) & set("aeiouy'")
    return 3 * run >= 2 * len(word) or (bare and word not in _NO_VOWEL)
