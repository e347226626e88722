"""What a text is made of: whether the English encoder can read it, and its sentences."""

from __future__ import annotations

import itertools
import re
from typing import Final, Literal

from affectgraph.perceivers.text.network import Span

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # noqa: RUF001 - typed apostrophes
_SENTENCE: Final = re.compile(r"[^\n]+?(?:[.!?…]+[\"'”’)\]]*(?=\s|$)|(?=\n)|$)")  # noqa: RUF001
_MIN_FOREIGN: Final = 3
_MAX_CLASHES: Final = 0.09
_CODE: Final = re.compile(r"[A-Za-z][0-9+/=]|[0-9+/=][A-Za-z]")
_MIN_CODE: Final = 16
_MIN_TURNS: Final = 3


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# Words that hold sentences together, and of the foreign ones only those that no English text
# has. A dozen each is enough: they make up about half of what people write.
_ENGLISH: Final = _words(
    "the a an and or but if of to in on at for from with as is are was were am be been i you he"
    " she it we they me my your his her our their this that these those not no do does did have"
    " has had so what who how why when i'm it's don't can't im dont just like"
)
_FOREIGN: Final = _words(
    # Spanish, Portuguese
    "que el los las una por para pero muy estoy está esta más porque cuando mi tengo nada siento"
    " não uma com eu você meu minha muito estou isso mas"
    # French
    " je tu il elle nous vous les des une dans avec pour mais est suis pas très mon ma ce cette"
    " c'est j'ai qui"
    # German, Dutch
    " ich du er sie wir und der das ist nicht ein eine mit auf mein meine aber sehr bin habe"
    " ik het een niet van maar mijn heb zijn"
    # Italian
    " che sono di il della non mio molto perché"
    # Polish, Swedish, Turkish
    " nie się jest jestem jag och är inte att bir çok ben için"
)


def _pairs(listed: str) -> frozenset[str]:
    return frozenset(group[0] + after for group in listed.split() for after in group[1:])


# Letters (after the first of each group) that follow the first in fewer than two of the 5,300
# words that occur three times or more in the training texts of GoEmotions.
_CLASHES: Final = _pairs(
    "bdgkqwxz cfgjmqvwxz dqxz fdghjkmnqvxz gcjkpqvwxz hfgjqvxz ihy jbcdfghjklmnpqrstvxyz kgjmqtvxz"
    " lhjqwxz mjqwxz nq oq pbjqwxz qacdefghijklmnopqrstvwxyz rjqz svxz tkqx ujqw"
    " vbcdfghjklmnqrtuvwxz wcgjmpqvxz xbdfgjkmnqrsvwz yhjkqvx zbcdfghjklmnpqrstvwx"
)


def unreadable(text: str) -> Literal["absent", "unsupported-language"] | None:
    """Why a text cannot be read: no words in it, or words that are not English.

    A text counts as not English when less than half of its letters are Latin, or when at least
    three of its words are function words of another European language and these outnumber the
    English ones. Short foreign texts in Latin letters may pass. Neither does it count as English
    when most of it is machine code (base64, a key), or when one in eleven of its neighbouring
    letters or more never meet in English, as where fingers fall on any keys: so do those of 1 in
    700 messages of GoEmotions' validation texts.
    """
    words = _WORD.findall(text.casefold())
    if not words:
        return "absent"
    letters = [letter for word in words for letter in word if letter.isalpha()]
    if 2 * sum(map(_is_latin, letters)) < len(letters):
        return "unsupported-language"
    if _is_code(text) or _is_mash(words):
        return "unsupported-language"
    plain = [word.replace("’", "'") for word in words]  # noqa: RUF001 - typed apostrophe
    foreign = sum(word in _FOREIGN for word in plain)
    english = sum(word in _ENGLISH for word in plain)
    return "unsupported-language" if foreign >= _MIN_FOREIGN and foreign > english else None


def _is_code(text: str) -> bool:
    """Whether most of a text stands in long runs in which letters and digits take turns."""
    runs = text.split()
    code = [run for run in runs if len(run) >= _MIN_CODE and len(_CODE.findall(run)) >= _MIN_TURNS]
    return 2 * sum(map(len, code)) > sum(map(len, runs))


def _is_mash(words: list[str]) -> bool:
    """Whether more letters clash with their neighbours than in any language written so."""
    pairs = [a + b for word in words for a, b in itertools.pairwise(word)]
    plain = [pair for pair in pairs if pair.isascii()]
    return sum(pair in _CLASHES for pair in plain) > _MAX_CLASHES * max(1, len(plain))


def sentences(text: str) -> list[Span]:
    """Where the sentences with a letter in them stand, without the space around them.

    A sentence ends with a closing mark before a space, or with its line.
    """
    spans = []
    for match in _SENTENCE.finditer(text):
        stretch = match.group()
        if _WORD.search(stretch):
            start = match.start() + len(stretch) - len(stretch.lstrip())
            spans.append((start, match.start() + len(stretch.rstrip())))
    return spans


def _is_latin(letter: str) -> bool:
    return letter < "\u0250" or "\u1e00" <= letter <= "\u1eff" or "\uff21" <= letter <= "\uff5a"
