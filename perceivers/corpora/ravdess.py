"""RAVDESS: two sentences spoken in eight emotions by 24 actors (Livingstone and Russo, 2018)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora import find
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import RAVDESS_8

ACTORS: Final = 24
FOLDS: Final = 4

_FIELDS: Final = 7


@dataclass(frozen=True)
class Ravdess:
    """Recordings in the order of their names.

    Attributes:
        files: FLAC files, 16 kHz, about 4 seconds each.
        label: Index into RAVDESS's eight labels, shape (n,).
        actor: 1 to 24, shape (n,).
    """

    files: tuple[Path, ...]
    label: NDArray[np.int64]
    actor: NDArray[np.int64]

    @property
    def woman(self) -> NDArray[np.bool_]:
        """Whether the actor is a woman, shape (n,): even numbers are."""
        return np.asarray(self.actor % 2 == 0)

    @property
    def fold(self) -> NDArray[np.int64]:
        """Fold of each recording, 0 to 3, shape (n,)."""
        return fold_of(self.actor)


def fold_of(actor: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fold of each actor: 1 to 6, 7 to 12, 13 to 18, 19 to 24; three men and women in each."""
    return (actor - 1) // (ACTORS // FOLDS)


def load(data: Path, *, limit: int = 0, seed: int = 0) -> Ravdess:
    """List the recordings, of all folds: RAVDESS has no splits of its own.

    Args:
        data: RAVDESS's folder, or one that holds it as ``ravdess``. Its files are named
            ``03-01-EE-II-SS-RR-AA.flac``: modality, channel, emotion, intensity, statement,
            repetition, actor.
        limit: Recordings at most, drawn evenly over folds and emotions; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If there are none, or a file's name is not one of RAVDESS.
    """
    folder = find.folder(data, "ravdess")
    files = sorted(folder.glob("03-01-*.flac"))
    if not files:
        raise SetupError(f"no RAVDESS recordings (03-01-*.flac) in {folder}")
    fields = np.asarray([_fields(file) for file in files])
    keep = _drawn(fields, limit, seed)
    chosen = fields[keep]
    return Ravdess(
        files=tuple(files[index] for index in keep),
        label=chosen[:, 2] - 1,
        actor=chosen[:, 6],
    )


def _fields(file: Path) -> list[int]:
    try:
        fields = [int(field) for field in file.stem.split("-")]
    except ValueError:
        fields = []
    if len(fields) != _FIELDS or not (
        1 <= fields[2] <= len(RAVDESS_8) and 1 <= fields[6] <= ACTORS
    ):
        raise SetupError(f"{file.name}: not a name of RAVDESS")
    return fields


def _drawn(fields: NDArray[np.int64], limit: int, seed: int) -> NDArray[np.int64]:
    if not limit or limit >= len(fields):
        return np.arange(len(fields))
    seen: Counter[tuple[int, int]] = Counter()
    turns = []
    folds = fold_of(fields[:, 6])
    for row in np.random.default_rng(seed).permutation(len(fields)):
        cell = (int(fields[row, 2]), int(folds[row]))
        turns.append((seen[cell], int(row)))
        seen[cell] += 1
    return np.asarray(sorted(row for _, row in sorted(turns)[:limit]))
