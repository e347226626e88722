"""Words as the checks compare them: folded, without apostrophes, and cut to their stems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final


def word_set(listed: str) -> frozenset[str]:
    """The words of a list with spaces between them."""
    return frozenset(listed.split())


_WORD: Final = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")  # noqa: RUF001 - typed apostrophes
_SENTENCE: Final = re.compile(r"(?:[^.!?…\n]|[.!?…](?=\w))+(?:[.!?…]+[\"'”’)]*|\n|$)")  # noqa: RUF001
_VOWEL: Final = re.compile(r"[aeiouy]")
_SUFFIXES: Final = (
    "ations", "ation", "nesses", "ness", "ments", "ment", "ions", "ion", "ings", "ing", "edly",
    "ied", "ies", "ed", "es", "ly", "s",
)  # fmt: skip

FUNCTION_WORDS: Final = word_set(
    "a an the and or but nor if so as than then that this these those there here it its"
    " it's he she they them him her his hers their theirs we us our ours i me my mine"
    " myself you your yours yourself who whom whose which what when where why how is am"
    " are was were be been being do does did doing done has have had having will would"
    " shall should can could may might must not no yes of in on at to for from with"
    " without by about into over under after before between through during up down out off"
    " again more most much many some any all each every both few other another such only"
    " own same too very just also even still yet ever never always often i'm you're we're"
    " they're he's she's that's there's what's who's let's i've you've we've they've i'll"
    " you'll we'll they'll it'll i'd you'd we'd they'd don't doesn't didn't isn't aren't"
    " wasn't weren't can't couldn't won't wouldn't shouldn't haven't hasn't hadn't cannot"
    " oh ok okay well one ones thing things lot lots bit really"
)


def words(text: str) -> list[str]:
    """The words of a text in small letters, with straight apostrophes."""
    return [w.group().replace("’", "'").lower() for w in _WORD.finditer(text)]  # noqa: RUF001


def sentences(text: str) -> list[str]:
    """The sentences of a text, without the space around them."""
    found = (match.group().strip() for match in _SENTENCE.finditer(text))
    return [sentence for sentence in found if _WORD.search(sentence)]


def stem(word: str) -> str:
    """A word without its commonest English endings; crude, and the same for all its forms.

    It only has to bring forms of one word together: "exams" and "exam", "worried" and "worry".
    """
    bare = word.removesuffix("'s").replace("'", "")
    for suffix in _SUFFIXES:
        root = bare if bare.endswith("ss") and suffix == "s" else bare.removesuffix(suffix)
        if root != bare and len(root) >= 3 and _VOWEL.search(root):
            bare = root
            break
    if len(bare) > 3 and bare[-1] == bare[-2] and bare[-1] not in "aeioulsz":
        bare = bare[:-1]
    if len(bare) > 3 and bare[-1] in "ey":
        bare = bare[:-1]
    return bare.removesuffix("i") if len(bare) > 3 else bare


def content(text: str) -> list[str]:
    """Stems of the words that carry meaning, in their order."""
    return [stem(word) for word in words(text) if word not in FUNCTION_WORDS]


def stems(text: str) -> frozenset[str]:
    """Stems of all words of a text."""
    return frozenset(stem(word) for word in words(text))


def runs(said: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    """Every run of ``size`` words, in order."""
    return (tuple(said[at : at + size]) for at in range(len(said) - size + 1))
