"""A conversation line by line, and the stretches of it that are given a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from numpy.typing import NDArray

UNKNOWN: Final = -1
"""The label of a line that has none."""


@dataclass(frozen=True)
class Line:
    """One line: what somebody says without a pause, a subtitle of a film for example.

    Attributes:
        person: Whether the person says it; else who supports them.
        text: The words.
        emotion: Index of the speaker's emotion, or ``UNKNOWN``.
        strategy: Index of the supporter's strategy, or ``UNKNOWN``.
        span: When it begins and ends, in seconds; ``None`` where that is not known.
        clue: What a video model wrote of the speaker; mostly ``""``.
    """

    person: bool
    text: str
    emotion: int = UNKNOWN
    strategy: int = UNKNOWN
    span: tuple[float, float] | None = None
    clue: str = ""


@dataclass(frozen=True)
class Stretch:
    """Lines ``begin`` to ``end`` (exclusive) of one speaker, which get one label.

    Attributes:
        begin: Index of the first line.
        end: Index after the last line.
    """

    begin: int
    end: int


def turns(lines: Sequence[Line]) -> list[Stretch]:
    """What one side says before the other does, in order."""
    found: list[Stretch] = []
    for _, run in groupby(lines, key=lambda line: line.person):
        begin = found[-1].end if found else 0
        found.append(Stretch(begin, begin + sum(1 for _ in run)))
    return found


def singly(lines: Sequence[Line]) -> list[Stretch]:
    """Each line by itself."""
    return [Stretch(at, at + 1) for at in range(len(lines))]


def shares(labels: Sequence[int], count: int) -> NDArray[np.float64]:
    """How often each of ``count`` labels stands among the labels, as shares, shape (count,)."""
    counted = np.bincount(np.asarray(labels, np.int64), minlength=count)
    return np.asarray(counted / counted.sum())


def majority(labels: Sequence[int]) -> int:
    """The most frequent label; of equally frequent ones the one that comes first."""
    return max(dict.fromkeys(labels), key=list(labels).count)
