"""How replies behave: length, questions, early advice, repetition.

None of it needs a reference. What advice is, is told by its wording
(``data/advice.json``), so that the figure does not rest on the strategy that a system says it had.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

from affectgraph.orchestrator.evaluation.bootstrap import Statistic
from affectgraph.orchestrator.evaluation.summands import mean, share

OPENING: Final = 2
"""So many replies of a dialogue are its opening, in which advice comes too soon."""
_LOOP: Final = 4
"""Words of a run that counts as repeated within a reply (Welleck et al., 2020: seq-rep-4)."""
_PHRASE: Final = 3
"""Words of a run that counts as repeated from an earlier reply."""
_QUESTIONS: Final = re.compile(r"\?+")
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


def figures(
    candidates: Sequence[str], dialogues: Sequence[int], before: Sequence[Sequence[str]]
) -> dict[str, Statistic]:
    """What replies are like.

    Args:
        candidates: The replies, those of a dialogue in their order.
        dialogues: Whose each is.
        before: What the supporter had said before each, oldest first.

    Returns:
        ``words`` a reply; ``questions`` a reply; ``question runs``: of the replies to which an
        earlier one belongs, the share that asks where the one before had asked too; ``premature
        advice``: of the replies that are among a dialogue's first two, or before which nothing was
        asked, the share that advises; ``repetition``: the mean share of a reply's runs of four
        words that it says again; ``repeats``: of all runs of three words, the share that the
        system had said before in the dialogue.
    """
    words = [spoken(candidate) for candidate in candidates]
    asked = [questions(candidate) for candidate in candidates]
    follows = np.array([len(each) > 0 for each in before])
    last = np.array([bool(each) and questions(each[-1]) > 0 for each in before])
    early = np.array([is_early(each) for each in before])
    advised = np.array([advises(candidate) for candidate in candidates])
    return {
        "words": mean(np.array([len(candidate.split()) for candidate in candidates])),
        "questions": mean(np.array(asked)),
        "question runs": share(last & (np.array(asked) > 0), follows),
        "premature advice": share(early & advised, early),
        "repetition": mean(np.array([looped(each) for each in words])),
        "repeats": share(*_repeats(words, dialogues)),
    }


def questions(text: str) -> int:
    """Question marks, those in a row as one."""
    return len(_QUESTIONS.findall(text))


def spoken(text: str) -> list[str]:
    """Words in lower case, without marks."""
    return _WORD.findall(text.lower())


def advises(text: str) -> bool:
    """Whether a reply is worded as advice."""
    return _advice().search(text.replace("\u2019", "'")) is not None


def is_early(before: Sequence[str]) -> bool:
    """Whether advice would come too soon: at the opening, or before anything was asked."""
    return len(before) < OPENING or not any(questions(each) for each in before)


def distinct(replies: Sequence[Sequence[str]], n: int) -> float:
    """Dist-n: different n-grams over all n-grams (Li et al., 2016); NaN where there are none."""
    grams = [gram for reply in replies for gram in _grams(reply, n)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def looped(words: Sequence[str]) -> float:
    """Share of a reply's runs of four words that it had said already, in [0, 1)."""
    grams = _grams(words, _LOOP)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _repeats(
    replies: Sequence[Sequence[str]], dialogues: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Runs of three words that were said before in the dialogue, and all; each of shape (n,)."""
    said: dict[int, set[tuple[str, ...]]] = {}
    seen, all_ = [], []
    for words, dialogue in zip(replies, dialogues, strict=True):
        grams, known = _grams(words, _PHRASE), said.setdefault(dialogue, set())
        seen.append(sum(gram in known for gram in grams))
        all_.append(len(grams))
        known.update(grams)
    return np.array(seen), np.array(all_)


def _grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


@cache
def _advice() -> re.Pattern[str]:
    text = (files("affectgraph.orchestrator.evaluation") / "data" / "advice.json").read_text(
        "utf-8"
    )
    return re.compile("|".join(f"(?:{each})" for each in json.loads(text)["patterns"]), re.I)
