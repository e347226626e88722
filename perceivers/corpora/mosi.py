"""CMU-MOSI (Zadeh et al., 2016): opinions in videos, with published features; MIT mirror.

The features are those that came with bc-LSTM (Poria et al., 2017): 100 numbers of the words, 73
of the sound, 100 of the pictures an utterance. ``text_SPLIT.csv`` begins with the utterance's row
in ``transcripts.csv``, which tells whose video it is; the other files are in the same order and
end with the label.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.find import folder, whole
from affectgraph.perceivers.errors import SetupError

Split = Literal["train", "test"]

WIDTHS: Final = {"text": 100, "audio": 73, "video": 100}
SENTIMENTS: Final = ("negative", "positive")


@dataclass(frozen=True)
class Opinions:
    """Utterances of one split, video after video, in the order in which they were said.

    Attributes:
        texts: Transcripts.
        text: Published features of the words, float32, shape (n, 100).
        audio: Of the sound, shape (n, 73).
        video: Of the pictures, shape (n, 100).
        sentiment: Index into :data:`SENTIMENTS`, shape (n,).
        source: Number of the video, shape (n,); no video is in both splits.
        position: Number of the utterance in its video, shape (n,).
    """

    texts: tuple[str, ...]
    text: NDArray[np.float32]
    audio: NDArray[np.float32]
    video: NDArray[np.float32]
    sentiment: NDArray[np.int64]
    source: NDArray[np.int64]
    position: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.texts)


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> Opinions:
    """Read a split.

    Args:
        data: MOSI's folder, or the one that holds it as ``mosi``.
        split: Which; published without a validation split: take videos of the training split.
        limit: Utterances at most, in whole videos; 0 for all.
        seed: Of the draw of videos.

    Raises:
        SetupError: If a file is absent, has another shape, or labels that differ from another's.
    """
    files = {kind: f"{kind}_{split}0.csv" for kind in WIDTHS}
    index = f"text_{split}.csv"
    place = folder(data, "mosi", "transcripts.csv", index, *files.values())
    spoken = _rows(place / "transcripts.csv")
    told = [_transcript(place, spoken, row[0], n) for n, row in enumerate(_rows(place / index), 1)]
    arrays = {kind: _numbers(place / file, WIDTHS[kind] + 1) for kind, file in files.items()}
    labels = np.array([label for *_, label in told], np.int64)
    for kind, array in arrays.items():
        if len(array) != len(labels) or (array[:, -1] != labels).any():
            raise SetupError(f"{place / files[kind]}: labels differ from those of the transcripts")
    order = sorted(range(len(told)), key=lambda row: told[row][:2])
    chosen = np.array(order)[whole([told[row][0] for row in order], limit, seed)]
    features = {kind: array[chosen, :-1].astype(np.float32) for kind, array in arrays.items()}
    return Opinions(
        texts=tuple(told[row][2] for row in chosen),
        **features,
        sentiment=labels[chosen],
        source=np.array([told[row][0] for row in chosen], np.int64),
        position=np.array([told[row][1] for row in chosen], np.int64),
    )


def _rows(file: Path) -> list[list[str]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return list(csv.reader(opened))


def _transcript(
    place: Path, spoken: list[list[str]], index: str, line: int
) -> tuple[int, int, str, int]:
    """Video, position in it, words and label of a row of the index."""
    try:
        name, text, video, label = spoken[int(index)]
        return int(video), int(name.rsplit("_", 1)[1]), text, int(label)
    except (IndexError, ValueError):
        raise SetupError(
            f"{place}: row {line} of the index names row {index} of transcripts.csv, which is not"
            " name_position, text, video, label"
        ) from None


def _numbers(file: Path, width: int) -> NDArray[np.float64]:
    try:
        array = np.array([[float(cell) for cell in row] for row in _rows(file)])
    except ValueError:
        raise SetupError(f"{file}: want rows of {width} numbers") from None
    if array.ndim != 2 or array.shape[1] != width:
        raise SetupError(f"{file}: want rows of {width} numbers")
    return array
