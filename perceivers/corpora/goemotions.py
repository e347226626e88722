"""GoEmotions (Demszky et al., 2020): Reddit comments with one or more of 28 labels; CC BY 4.0."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.find import folder, spread
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28, mapping

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True)
class LabelledTexts:
    """Texts, with their labels, 0 or 1, shape (n, 28)."""

    texts: tuple[str, ...]
    labels: NDArray[np.float32]


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> LabelledTexts:
    """Read a split: text, label numbers with commas, id, with tabs between, as published.

    Args:
        data: The corpus's folder, or the one that holds it as ``goemotions``.
        split: Which.
        limit: Rows at most, spread over the labels; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If the file is absent, has no rows, or a row is not as it should be.
    """
    file = folder(data, "goemotions", f"{split}.tsv") / f"{split}.tsv"
    try:
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{file}: cannot be read ({type(error).__name__})") from error
    texts, labels = [], np.zeros((len(lines), len(GOEMOTIONS_28)), np.float32)
    for number, line in enumerate(lines):
        try:
            text, given, _ = line.split("\t")
            numbers = [int(label) for label in given.split(",")]
            if not all(0 <= label < len(GOEMOTIONS_28) for label in numbers):
                raise ValueError("no such label")
        except ValueError:
            raise SetupError(
                f"{file}:{number + 1}: want a text, label numbers and an id, with tabs between"
            ) from None
        texts.append(text)
        labels[number, numbers] = 1
    rows = spread(labels.argmax(axis=1).tolist(), limit, seed)
    return LabelledTexts(tuple(texts[row] for row in rows), labels[rows])


def ekman() -> NDArray[np.float64]:
    """The authors' grouping of the 28 labels into Ekman's seven, 0 or 1, shape (28, 7)."""
    declared = mapping(GOEMOTIONS_28.name, EKMAN_7.name)
    return np.array([declared.apply(tuple(row)) for row in np.eye(len(GOEMOTIONS_28)).tolist()])
