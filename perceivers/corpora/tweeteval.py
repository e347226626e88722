"""TweetEval emotion (Barbieri et al., 2020; Mohammad et al., 2018): posts with one of 4 labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.find import folder, spread
from affectgraph.perceivers.errors import SetupError

Split = Literal["train", "val", "test"]

LABELS: Final = ("anger", "joy", "optimism", "sadness")


@dataclass(frozen=True)
class Posts:
    """Posts of one split, with names replaced by ``@user``.

    Attributes:
        texts: The posts.
        labels: Index into :data:`LABELS`, shape (n,).
    """

    texts: tuple[str, ...]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> Posts:
    """Read a split.

    Args:
        data: The corpus's folder, or the one that holds it as ``tweeteval-emotion``.
        split: Which.
        limit: Posts at most, drawn evenly over the labels; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If a file is absent, a label is none, or the files differ in length.
    """
    names = f"{split}_text.txt", f"{split}_labels.txt"
    place = folder(data, "tweeteval-emotion", *names)
    # A post may hold other separators that count as the end of a line elsewhere.
    texts, told = ((place / n).read_text("utf-8").rstrip("\n").split("\n") for n in names)
    if len(texts) != len(told):
        raise SetupError(f"{place / names[1]}: {len(told)} labels for {len(texts)} posts")
    labels = []
    for number, label in enumerate(told, 1):
        if label not in ("0", "1", "2", "3"):
            raise SetupError(f"{place / names[1]}:{number}: want a label number, 0 to 3")
        labels.append(int(label))
    rows = spread(labels, limit, seed)
    return Posts(tuple(texts[row].strip() for row in rows), np.array(labels, np.int64)[rows])
