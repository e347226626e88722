"""EmoBank (Buechel and Hahn, 2017): sentences with valence, arousal, dominance; CC BY-SA 4.0."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.find import folder, spread
from affectgraph.perceivers.errors import SetupError

Split = Literal["train", "dev", "test"]
LOWEST, HIGHEST = 1.0, 5.0


@dataclass(frozen=True)
class RatedTexts:
    """Texts, with valence, arousal and dominance, each in [1, 5], shape (n, 3)."""

    texts: tuple[str, ...]
    vad: NDArray[np.float32]


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> RatedTexts:
    """Read a split of ``emobank.csv`` (id, split, V, A, D, text).

    Args:
        data: The corpus's folder, or the one that holds it as ``emobank``.
        split: Which.
        limit: Rows at most, drawn at random; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If the file is absent, or a row is not as it should be.
    """
    file = folder(data, "emobank", "emobank.csv") / "emobank.csv"
    texts, rows = [], []
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            for number, row in enumerate(csv.DictReader(opened)):
                try:
                    told = [float(row[axis]) for axis in ("V", "A", "D")]
                    text, of = row["text"], row["split"]
                    if not all(LOWEST <= value <= HIGHEST for value in told):
                        raise ValueError("off the scale")
                except (KeyError, TypeError, ValueError):
                    raise SetupError(
                        f"{file}:{number + 2}: want split, V, A, D in [1, 5] and text"
                    ) from None
                # A few rows hold no words.
                if of == split and text.strip():
                    texts.append(text)
                    rows.append(told)
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{file}: cannot be read ({type(error).__name__})") from error
    if not rows:
        raise SetupError(f"{file}: no rows of the split {split!r}")
    drawn = spread([0] * len(rows), limit, seed)
    return RatedTexts(tuple(texts[row] for row in drawn), np.array(rows, np.float32)[drawn])
