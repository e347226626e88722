"""What a text is made of: whether the English encoder can read it, and its sentences."""

from __future__ import annotations

import re
from typing import Final, Literal

from affectgraph.perceivers.text.encoder import Span

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")  # noqa: RUF001 - typed apostrophes
_SENTENCE: Final = re.compile(r"[^\n]+?(?:[.!?…]+[\"'”’)\]]*(?=\s|$)|(?=\n)|$)")  # noqa: RUF001
_MIN_FOREIGN: Final = 3


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


def unreadable(text: str) -> Literal["absent", "unsupported-language"] | None:
    """Why a text cannot be read: no words in it, or words that are not English.

    A text counts as not English when less than half of its letters are Latin, or when at least
    three of its words are function words of another European language and these outnumber the
    English ones. Short foreign texts in Latin letters may pass.
    """
    words = _WORD.findall(text.casefold())
    if not words:
        return "absent"
    letters = [letter for word in words for letter in word if letter.isalpha()]
    if 2 * sum(map(_is_latin, letters)) < len(letters):
        return "unsupported-language"
    plain = [word.replace("’", "'") for word in words]  # noqa: RUF001 - typed apostrophe
    foreign = sum(word in _FOREIGN for word in plain)
    english = sum(word in _ENGLISH for word in plain)
    return "unsupported-language" if foreign >= _MIN_FOREIGN and foreign > english else None


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
