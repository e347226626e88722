"""When MESC's lines are spoken, and in which episode; the loader of the words leaves this out."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from affectgraph.perceivers.corpora.find import folder
from affectgraph.perceivers.errors import SetupError

_CSV: Final = "MESC.csv"
_FIELDS: Final = "Dialogue_ID, Season, Episode, StartTime and EndTime"


@dataclass(frozen=True)
class Scene:
    """Where a dialogue comes from.

    Attributes:
        season: 1 to 3.
        episode: Number within the season.
        spans: When each of its utterances begins and ends, in seconds of the episode, in order.
    """

    season: int
    episode: int
    spans: tuple[tuple[float, float], ...]

    @property
    def place(self) -> tuple[int, int]:
        """Season and episode."""
        return self.season, self.episode


def scenes(data: Path) -> Mapping[int, Scene]:
    """Dialogue's number -> where it comes from, for all splits.

    Args:
        data: MESC's folder, or the one that holds it as ``mesc``.

    Raises:
        SetupError: If the file is absent, or a row is not as it should be.
    """
    file = folder(data, "mesc", _CSV) / _CSV
    found: dict[int, tuple[int, int, list[tuple[float, float]]]] = {}
    with file.open(encoding="utf-8", newline="") as opened:
        reader = csv.DictReader(opened)
        for row in reader:
            try:
                place = int(row["Season"]), int(row["Episode"])
                span = _seconds(row["StartTime"]), _seconds(row["EndTime"])
                found.setdefault(int(row["Dialogue_ID"]), (*place, []))[2].append(span)
            except (KeyError, TypeError, ValueError, AttributeError):
                raise SetupError(f"{file}:{reader.line_num}: want {_FIELDS}") from None
    return {n: Scene(season, episode, tuple(s)) for n, (season, episode, s) in found.items()}


def _seconds(told: str) -> float:
    """``00:01:02,345`` in seconds."""
    hours, minutes, seconds = told.replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
