"""Arrays that a run keeps, under names that tell what they hang on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.text.encoder import VERSION, WEIGHTS

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Shelf:
    """The folder of a run.

    Attributes:
        folder: Where arrays are kept.
        resume: Whether those of an earlier run count.
    """

    folder: Path
    resume: bool = True

    def stored(self, name: str, arrays: Sequence[str]) -> Arrays | None:
        """The arrays of a file, or ``None`` if there is none that counts."""
        file = self.folder / f"{name}.npz"
        if not self.resume or not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as held:
            return {array: held[array] for array in arrays}

    def store(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays; a file that is there is whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / f"{name}.partial"
        with partial.open("wb") as opened:
            np.savez(opened, allow_pickle=False, **arrays)
        partial.replace(self.folder / f"{name}.npz")


def digest(told: object) -> str:
    """Twelve digits of everything that arrays hang on; its ``repr`` must tell all of it."""
    return hashlib.sha256(repr(told).encode("utf-8", "backslashreplace")).hexdigest()[:12]


def shipped_encoder() -> str:
    """Name and content of the shipped encoder of words. Reads a file."""
    with WEIGHTS.open("rb") as opened:
        return f"{VERSION} {hashlib.file_digest(opened, 'sha256').hexdigest()}"
