"""Arrays that a run keeps, under names that tell what they hang on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def digest(told: object) -> str:
    """Twelve digits of everything that arrays hang on; its ``repr`` must tell all of it."""
    return hashlib.sha256(repr(told).encode()).hexdigest()[:12]


def stored(file: Path, names: Sequence[str]) -> Arrays | None:
    """The arrays of a file, or ``None`` if there is no such file."""
    if not file.is_file():
        return None
    with np.load(file, allow_pickle=False) as held:
        return {name: held[name] for name in names}


def store(file: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays; a file that is there is whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    with partial.open("wb") as opened:
        np.savez(opened, allow_pickle=False, **arrays)
    partial.replace(file)
