"""FER+ as arrays: which pictures count, and what their ten votes say.

Source: Barsoum, Zhang, Canton Ferrer and Zhang (2016), "Training deep networks for facial
expression recognition with crowd-sourced label distribution", ICMI. Ten people labelled each
picture of FER2013 with one of eight emotions, ``unknown`` or ``NF`` (not a face).

The filter follows the authors' release:

1. A class with a single vote is an outlier: that vote is dropped.
2. A picture whose most voted class is ``unknown`` or ``NF`` is dropped.
3. The soft label is the share of the remaining votes among the eight emotions.
4. On the validation and test splits a picture counts only if its first class holds more than
   half of the remaining votes (their "majority" mode), so that accuracy is well defined.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.find import folder, spread
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import FERPLUS_8

FILE: Final = "ferplus_48x48.npz"
Split = Literal["train", "valid", "test"]


@dataclass(frozen=True)
class Faces:
    """Pictures of one split that passed the filter.

    Attributes:
        images: Grey faces, uint8, shape (n, 48, 48).
        targets: Soft labels over FERPLUS_8, float32, shape (n, 8); rows sum to 1.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The most voted emotion of each picture, shape (n,)."""
        return np.asarray(self.targets.argmax(axis=1), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, size: int, seed: int) -> Faces:
        """At most ``size`` pictures, drawn as evenly over the classes as they allow."""
        if size >= len(self):
            return self
        rows = spread(self.labels.tolist(), size, seed)
        return Faces(self.images[rows], self.targets[rows])


def soft_labels(
    votes: NDArray[np.integer[Any]], *, majority: bool
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Filter pictures by their votes and turn the votes into soft labels.

    Args:
        votes: Shape (n, 10): the eight emotions in FERPLUS_8's order, ``unknown``, ``NF``.
        majority: Whether to ask for more than half of the remaining votes (rule 4).

    Returns:
        Which pictures stay, shape (n,), and the soft labels of those, shape (kept, 8).
    """
    emotions = len(FERPLUS_8)
    kept = np.where(votes > 1, votes, 0)
    stays = (kept.argmax(axis=1) < emotions) & (kept[:, :emotions].sum(axis=1) > 0)
    if majority:
        stays &= 2 * kept.max(axis=1) > kept.sum(axis=1)
    shares = kept[stays, :emotions].astype(np.float32)
    return stays, shares / shares.sum(axis=1, keepdims=True)


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> Faces:
    """Read one split.

    Args:
        data: Folder of the corpus, or the folder that holds it as ``ferplus``.
        split: Which.
        limit: Pictures at most, drawn as evenly over the classes as they allow; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If the file is absent, damaged, or its classes are not in FERPLUS_8's order.
    """
    path = folder(data, "ferplus", FILE) / FILE
    try:
        # Opened here: NumPy leaves a file that is not whole open.
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            classes = tuple(str(name) for name in file["classes"])
            if classes[: len(FERPLUS_8)] != FERPLUS_8.labels:
                raise SetupError(f"{path}: classes are {', '.join(classes)}")
            splits = [str(name) for name in file["splits"]]
            inside = file["split"] == splits.index(split)
            images, votes = file["images"][inside], file["votes"][inside].astype(np.int64)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise SetupError(f"{path}: cannot be read ({type(error).__name__})") from error
    stays, targets = soft_labels(votes, majority=split != "train")
    faces = Faces(np.ascontiguousarray(images[stays]), targets)
    return faces.sample(limit, seed) if limit else faces
