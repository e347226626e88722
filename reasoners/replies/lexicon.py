"""The word lists that checks and written replies go by, read once from their data file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydantic import BaseModel, ConfigDict

from affectgraph.reasoners.replies.datafiles import packaged, read
from affectgraph.reasoners.replies.words import stem, words

_FILE: Final = "reply_words.yaml"
Pattern = re.Pattern[str]


class _Field(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kin: str = ""
    own: str = ""
    near: str = ""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    fields: dict[str, _Field]
    between: str
    feelings: dict[str, str]
    may_do: str
    may_be: str
    kinds: str
    may_own: str
    your_own: str
    speech: str
    joyful: tuple[str, ...]
    condoling: tuple[str, ...]
    praise: str
    verdicts: dict[str, str]
    blaming: tuple[str, ...]
    trivial: tuple[str, ...]
    open_questions: tuple[str, ...]
    passing: str
    asks_topic: tuple[str, ...]
    asks_feeling: tuple[str, ...]
    asks_event: tuple[str, ...]
    advice: tuple[str, ...]
    advice_openers: str
    promises: tuple[str, ...]
    conditions: str


@dataclass(frozen=True)
class Lexicon:
    """Word lists and phrases, ready to compare with.

    Attributes:
        nouns: What may stand after "your", each with its field.
        kin: The nouns that are people or animals.
        between: Adjectives that may stand before such a noun.
        topics: Stem of any word of a field, with all the fields that it belongs to.
        feelings: A word that says how a person feels, with its mood.
        may_do: Verbs that the companion may have after "I".
        may_be: What it may be after "I'm".
        kinds: Kinds of thing that it is.
        may_own: What it may have after "my".
        your_own: Stems of nouns after "your" that need no mention.
        speech: Stems of words that are never off the topic.
        joyful: Phrases that wish joy.
        condoling: Phrases that condole.
        praise: Adjectives that call a thing good.
        verdicts: Nouns that may name what happened: of ``any`` mood, to who is ``glad``, or
            ``low``.
        blaming: Phrases that blame the person.
        trivial: Questions for what nobody in need should have to tell.
        open_questions: Questions that fit whatever was said.
        passing: Stems of words that take up nothing of it.
        asks_topic: Questions for what the message is about.
        asks_feeling: Questions for what the person feels.
        asks_event: Questions for what happened.
        advice: Phrases that advise.
        advice_openers: Verbs that advise where a sentence begins with them.
        promises: Phrases that promise what a program cannot do.
        conditions: Names of states that only a professional may find.
    """

    nouns: dict[str, str]
    kin: frozenset[str]
    between: frozenset[str]
    topics: dict[str, frozenset[str]]
    feelings: dict[str, str]
    may_do: frozenset[str]
    may_be: frozenset[str]
    kinds: frozenset[str]
    may_own: frozenset[str]
    your_own: frozenset[str]
    speech: frozenset[str]
    joyful: Pattern
    condoling: Pattern
    praise: frozenset[str]
    verdicts: dict[str, frozenset[str]]
    blaming: Pattern
    trivial: Pattern
    open_questions: Pattern
    passing: frozenset[str]
    asks_topic: Pattern
    asks_feeling: Pattern
    asks_event: Pattern
    advice: Pattern
    advice_openers: frozenset[str]
    promises: Pattern
    conditions: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """The package's word lists; the first call reads a file, so make it away from the loop.

    Raises:
        SetupError: If the file does not parse.
    """
    return _made(read(packaged(_FILE), _File))


def _made(file: _File) -> Lexicon:
    nouns: dict[str, str] = {}
    topics: dict[str, set[str]] = {}
    kin: set[str] = set()
    for name, field in file.fields.items():
        kin.update(field.kin.split())
        for word in (*field.kin.split(), *field.own.split()):
            nouns.setdefault(word, name)
        for word in (*field.kin.split(), *field.own.split(), *field.near.split()):
            topics.setdefault(stem(word), set()).add(name)
    feelings = {word: mood for mood, listed in file.feelings.items() for word in listed.split()}
    your_own = _stems(file.your_own)
    return Lexicon(
        nouns=nouns,
        kin=frozenset(kin),
        between=frozenset(file.between.split()),
        topics={word: frozenset(names) for word, names in topics.items()},
        feelings=feelings,
        may_do=frozenset(file.may_do.split()),
        may_be=frozenset(file.may_be.split()),
        kinds=frozenset(file.kinds.split()),
        may_own=frozenset(file.may_own.split()),
        your_own=your_own,
        speech=your_own | _stems(file.speech) | {stem(word) for word in feelings},
        joyful=_phrases(file.joyful),
        condoling=_phrases(file.condoling),
        praise=frozenset(file.praise.split()),
        verdicts={mood: frozenset(nouns.split()) for mood, nouns in file.verdicts.items()},
        blaming=_phrases(file.blaming),
        trivial=_phrases(file.trivial),
        open_questions=_phrases(file.open_questions),
        passing=_stems(file.passing),
        asks_topic=_phrases(file.asks_topic),
        asks_feeling=_phrases(file.asks_feeling),
        asks_event=_phrases(file.asks_event),
        advice=_phrases(file.advice),
        advice_openers=frozenset(file.advice_openers.split()),
        promises=_phrases(file.promises),
        conditions=frozenset(file.conditions.split()),
    )


def _stems(listed: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(listed))


def _phrases(patterns: Iterable[str]) -> Pattern:
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(rf"(?<![\w'])(?:{joined})(?![\w])", re.IGNORECASE)
