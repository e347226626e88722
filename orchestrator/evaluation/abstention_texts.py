"""Messages that cannot be read, and short ones that can; all of them invented."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

Make = Callable[[np.random.Generator], str]

_KEYS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SYMBOLS: Final = tuple("!?.,;:-_+*/=()[]{}<>#%&@$^~|'\"0123456789 ")
_PICTURES: Final = tuple("😀😢😡🎉❤👍🙏😭🔥✨🥲😬")

SCRIPTS: Final = (
    "Сегодня мне очень грустно, и я не знаю, с кем поговорить.",  # noqa: RUF001 - as it is written
    "Наконец-то сдала экзамен, я так рада!",
    "أشعر بالوحدة منذ أن انتقلت إلى هذه المدينة.",
    "今天工作很累，但是晚上见到朋友很开心。",  # noqa: RUF001 - as it is written
    "昨日の試験のことがまだ心配です。",
    "오늘은 정말 힘든 하루였어요.",
    "मुझे समझ नहीं आ रहा कि आगे क्या करूँ।",
    "Δεν κοιμήθηκα καθόλου χθες το βράδυ.",
    "אני כל כך גאה בבת שלי היום.",
    "วันนี้ฉันมีความสุขมาก",
    "Мені сьогодні дуже сумно.",
    "আজ আমার মন ভালো নেই।",
)
"""One or two plain sentences each in scripts other than Latin."""

LANGUAGES: Final = (
    "Hoy no tengo ganas de nada, estoy muy cansado y no sé por qué.",
    "Mi hermana por fin me ha llamado y estoy muy contenta.",
    "Je suis très content parce que mon frère est rentré pour les vacances.",
    "Elle ne me parle plus et je ne sais pas quoi faire avec tout ça.",
    "Ich habe heute wieder mit meiner Mutter gestritten und bin sehr traurig.",
    "Wir sind umgezogen, und das ist nicht so schlimm, wie ich dachte.",
    "Non so che cosa fare, mio padre è molto malato e sono sempre in ospedale.",
    "Não consigo dormir porque amanhã tenho uma prova muito difícil.",
    "Ik weet niet wat ik moet doen, maar mijn baas is het niet met mij eens.",
    "Nie wiem, co mam robić, jestem bardzo zmęczona i nie mogę się skupić.",
    "Jag är så glad för att det gick bra och att alla kom till festen.",
    "Bugün çok yorgunum ve ne yapacağımı bilmiyorum, benim için zor bir gün.",  # noqa: RUF001 - as it is written
)
"""One or two plain sentences each in other European languages."""

GOOD: Final = (
    "ok",
    "I'm tired.",
    "lol yes",
    "hmm, maybe",
    "thanks!!",
    "Pfft.",
    "so so",
    "wtf",
    "ugh, mondays",
    "I got the job!!!",
    "My dog died yesterday.",
    "idk what to do anymore tbh",
    "why me",
    "Good night",
    "We fought again last night and I slept on the sofa.",
    "HAPPY BIRTHDAY to me, I guess",
    "Mum's operation went well :)",
    "pls help me with my essay, its due tmrw",
    "omg omg omg",
    "He said it was fine. It wasn't fine.",
    "brb",
    "Can't complain.",
    "I miss Wrocław and my friends",
    "Ich bin ein Berliner, as they say, and I felt so proud in that crowd.",
    "zzz",
    "psst, guess what",
    "Schadenfreude, that's what I felt, and then I was ashamed.",
    "mhm",
    "aaaaah I can't wait",
    "3 exams in 2 days and I know nothing",
)
"""Messages as people type them: short, sloppy, with a foreign word, and readable all the same."""


def _blank(rng: np.random.Generator) -> str:
    return "".join(rng.choice([" ", "\n", "\t", "\u00a0"], int(rng.integers(1, 9))))


def _symbols(rng: np.random.Generator) -> str:
    return "".join(rng.choice(_SYMBOLS, int(rng.integers(3, 40))))


def _pictures(rng: np.random.Generator) -> str:
    return "".join(rng.choice(_PICTURES, int(rng.integers(1, 8))))


def _script(rng: np.random.Generator) -> str:
    return str(rng.choice(SCRIPTS))


def _language(rng: np.random.Generator) -> str:
    return str(rng.choice(LANGUAGES))


def _mash(rng: np.random.Generator) -> str:
    """Fingers that fall on any keys, in words of four letters and more."""
    letters = tuple("".join(_KEYS))
    words = [
        "".join(rng.choice(letters, int(rng.integers(4, 12)))) for _ in range(rng.integers(1, 6))
    ]
    return " ".join(words)


def _rows(rng: np.random.Generator) -> str:
    """Fingers that run along the rows of the keyboard, to and fro."""
    words = []
    for _ in range(int(rng.integers(2, 6))):
        row = _KEYS[int(rng.integers(len(_KEYS)))] * 2
        start, length = int(rng.integers(len(row) // 2)), int(rng.integers(5, 10))
        words.append(row[start : start + length][:: 1 if rng.random() < 0.5 else -1])
    return " ".join(words)


def _base64(rng: np.random.Generator) -> str:
    return base64.b64encode(rng.bytes(int(rng.integers(18, 90)))).decode()


def _hexadecimal(rng: np.random.Generator) -> str:
    return rng.bytes(int(rng.integers(12, 40))).hex()


BAD: Final[Mapping[str, Make]] = MappingProxyType(
    {
        "blank": _blank,
        "symbols": _symbols,
        "emoji": _pictures,
        "another script": _script,
        "another language": _language,
        "random keys": _mash,
        "keyboard rows": _rows,
        "base64": _base64,
        "hexadecimal": _hexadecimal,
    }
)
"""Kind -> what makes one."""


def bad_texts(each: int, seed: int) -> Iterator[tuple[str, str]]:
    """Kind and text, ``each`` of every kind; the same seed gives the same texts."""
    for place, (kind, make) in enumerate(BAD.items()):
        for number in range(each):
            yield kind, make(np.random.default_rng((seed, place, number)))
