"""What a head sees of a conversation before it decides a label, as one vector of numbers.

A label of the past may be given (one-hot), or be what the system itself reads in the words (a
distribution): the same numbers are made of both, so one head serves both protocols.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from affectgraph.reasoners.heads.lines import Line, Stretch, turns

Floats = NDArray[np.float64]
Part = Literal["emotions", "strategies", "words", "manner", "text", "timing"]
PARTS: Final[frozenset[Part]] = frozenset(get_args(Part))

_RECENT: Final = 3
_DECAYS: Final = (0.97, 0.9, 0.6)
_FLOOR: Final = 1e-4
# Sharpness of likeness in meaning, and how much less a line weighs for each one after it.
_LIKENESS: Final = ((0.15, 0.97), (0.3, 0.9))
_RESIDUAL: Final = 0.85


@dataclass(frozen=True)
class Coded:
    """A conversation in numbers; n lines.

    Attributes:
        lines: The lines.
        vectors: What an encoder says of each line's words, shape (n, d).
        emotion_read: Emotion in each line's words alone, rows that sum to 1, shape (n, e).
        strategy_read: Strategy in each line's words alone, shape (n, s).
        emotion_known: What the history tells of each line's emotion: the given label as one-hot,
            or once more ``emotion_read``.
        strategy_known: The same for the strategy.
    """

    lines: Sequence[Line]
    vectors: Floats
    emotion_read: Floats
    strategy_read: Floats
    emotion_known: Floats
    strategy_known: Floats


def features(coded: Coded, stretch: Stretch, parts: frozenset[Part]) -> Floats:
    """What is seen before the label of a stretch is decided; its length is that of every stretch.

    Of the person's stretch the words count as well as all before it. Of the supporter's stretch
    only what comes before it counts, and the emotion of what the person has just said is not
    given but read, since the plan decides it in the same turn.

    Args:
        coded: The conversation.
        stretch: Where the label is.
        parts: Which groups of features: labels of the past, the emotion read in the person's
            words, their manner (length, question marks, place), the encoder's vectors, and times.
    """
    now, told = _scene(coded.lines, stretch)
    persons = np.array([at for at in range(told) if coded.lines[at].person], np.int64)
    others = np.array([at for at in range(stretch.begin) if not coded.lines[at].person], np.int64)
    runs = turns(coded.lines[: stretch.begin])
    found: list[Floats] = []
    if "emotions" in parts:
        found += _labels(coded.emotion_known, persons, _of(runs, persons))
    if "strategies" in parts:
        found += _labels(coded.strategy_known, others, _of(runs, others))
    if "words" in parts:
        found += _words(coded, now, persons)
    if "manner" in parts:
        found += _manner(coded.lines, now, runs, stretch)
    if "text" in parts:
        last = runs[-1] if runs and not coded.lines[runs[-1].begin].person else None
        before = runs[-2] if last is None and len(runs) > 1 else last
        found += [_mean(coded.vectors, now), _mean(coded.vectors, _range(before))]
    if "timing" in parts:
        found += _timing(coded.lines, now, persons)
    return np.concatenate(found) if found else np.zeros(0)


def _scene(lines: Sequence[Line], stretch: Stretch) -> tuple[NDArray[np.int64], int]:
    """The person's lines that are answered now, and up to where the history is told."""
    if lines[stretch.begin].person:
        return np.arange(stretch.begin, stretch.end), stretch.begin
    end = stretch.begin
    while end > 0 and not lines[end - 1].person:
        end -= 1
    begin = end
    while begin > 0 and lines[begin - 1].person:
        begin -= 1
    # Only words that nobody has answered yet have an undecided emotion.
    return np.arange(begin, end), begin if end == stretch.begin else stretch.begin


def _of(runs: Sequence[Stretch], chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The chosen lines, turn by turn, oldest first."""
    kept = set(chosen.tolist())
    split = [[at for at in range(run.begin, run.end) if at in kept] for run in runs]
    return [np.array(each, np.int64) for each in split if each]


def _range(stretch: Stretch | None) -> NDArray[np.int64]:
    return np.arange(stretch.begin, stretch.end) if stretch else np.zeros(0, np.int64)


def _mean(rows: Floats, chosen: NDArray[np.int64]) -> Floats:
    return np.asarray(rows[chosen].mean(axis=0)) if len(chosen) else np.zeros(rows.shape[1])


def _labels(
    known: Floats, chosen: NDArray[np.int64], runs: Sequence[NDArray[np.int64]]
) -> list[Floats]:
    """The last label, the last turns', and the past in all, each older line weighing less."""
    past, count = known[chosen], known.shape[1]
    last = past[-1] if len(past) else np.zeros(count)
    recent = [
        known[runs[-back]].mean(axis=0) if len(runs) >= back else np.zeros(count)
        for back in range(1, _RECENT + 1)
    ]
    age = np.arange(len(past))[::-1]
    faded = [(decay**age) @ past / max((decay**age).sum(), 1.0) for decay in _DECAYS]
    same = 0
    if len(past):
        like = past[::-1].argmax(axis=1) == last.argmax()
        same = len(like) if like.all() else int(like.argmin())
    counts = np.array([np.log1p(same), np.log1p(len(past)), np.log1p(len(runs)), len(past) == 0])
    return [last, *recent, *faded, counts]


def _words(coded: Coded, now: NDArray[np.int64], persons: NDArray[np.int64]) -> list[Floats]:
    """The emotion read in the words, and how readings and labels of the past went together."""
    count = coded.emotion_read.shape[1]
    read = coded.emotion_read[now] if len(now) else np.full((1, count), 1 / count)
    logs = np.log(read + _FLOOR)
    found = [logs.mean(axis=0), logs[-1], logs.max(axis=0), read.mean(axis=0)]
    if not len(persons):
        return [*found, *(np.zeros(count) for _ in range(2 + len(_LIKENESS)))]
    weight = _RESIDUAL ** np.arange(len(persons))[::-1]
    past, known = coded.emotion_read[persons], coded.emotion_known[persons]
    missed = weight @ (known - past) / (weight.sum() + 1)
    usual = weight @ np.log(past + _FLOOR) / weight.sum()
    found += [3 * missed, logs.mean(axis=0) - usual]
    found += [
        3 * _alike(coded.vectors, now, persons, known, sharp, fade) for sharp, fade in _LIKENESS
    ]
    return found


def _alike(
    vectors: Floats,
    now: NDArray[np.int64],
    persons: NDArray[np.int64],
    known: Floats,
    sharp: float,
    fade: float,
) -> Floats:
    """Labels of the past, weighed by how near in meaning their lines are to the words."""
    if not len(now):
        return np.zeros(known.shape[1])
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), _FLOOR)
    middle = unit[now].mean(axis=0)
    near = unit[persons] @ middle / max(float(np.linalg.norm(middle)), _FLOOR)
    weight = np.exp(near / sharp) * fade ** np.arange(len(persons))[::-1]
    return np.asarray(weight @ known / weight.sum())


def _manner(
    lines: Sequence[Line], now: NDArray[np.int64], runs: Sequence[Stretch], stretch: Stretch
) -> list[Floats]:
    """Lengths, marks and the place; no more of the place than a live conversation knows."""
    said = [lines[at] for at in now]
    last = next((run for run in reversed(runs) if not lines[run.begin].person), None)
    replied = list(lines[last.begin : last.end]) if last else []
    place = [np.log1p(len(runs)), np.log1p(stretch.begin), not runs]
    return [_style(said), _style(replied), np.array(place, np.float64)]


def _style(said: Sequence[Line]) -> Floats:
    text = " ".join(line.text for line in said)
    marks = ["?" in text, text.rstrip().endswith("?"), "!" in text, "..." in text]
    return np.array([np.log1p(len(text.split())), np.log1p(len(said)), *marks], np.float64)


def _timing(
    lines: Sequence[Line], now: NDArray[np.int64], persons: NDArray[np.int64]
) -> list[Floats]:
    """How fast the person speaks, how long they wait, and the same of what they said before."""
    before = persons[persons < now[0]] if len(now) else persons
    pause, since = -1.0, 0.0
    first = lines[int(now[0])].span if len(now) else None
    opening = lines[0].span
    if first and opening:
        since = np.log1p(max(first[0] - opening[0], 0))
        last = lines[int(now[0]) - 1].span if now[0] > 0 else None
        pause = np.log1p(max(first[0] - last[1], 0)) if last else -1.0
    return [_pace(lines, now), _pace(lines, before[-5:]), np.array([pause, since])]


def _pace(lines: Sequence[Line], chosen: NDArray[np.int64]) -> Floats:
    spans = [span for at in chosen if (span := lines[int(at)].span)]
    if not spans:
        return np.zeros(4)
    words = sum(len(lines[int(at)].text.split()) for at in chosen)
    spoken = sum(max(end - begin, 0) for begin, end in spans)
    gaps = [max(after[0] - one[1], 0) for one, after in pairwise(spans)]
    rate = np.log((words + 0.5) / (max(spoken, 0.3) + 0.3))
    return np.array([np.log1p(spoken), rate, np.log1p(sum(gaps)), np.log1p(max(gaps, default=0))])
