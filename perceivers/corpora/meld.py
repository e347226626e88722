"""MELD (Poria et al., 2019): dialogues of a series, with features of voice and face; GPL-3.

Beside the words this reads the eight numbers of each utterance's sound, and the intensities of
OpenFace's action units of each utterance's faces. The files of the faces count dialogues on from
split to split, and in some dialogues their number of utterances differs from that of the words:
there nobody can say which is whose, so the face of the whole dialogue is masked.
"""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.find import folder, whole
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7

Split = Literal["train", "dev", "test"]

SENTIMENTS: Final = ("negative", "neutral", "positive")
VOICE: Final = (
    "duration", "avg_intensity", "intensity_variation", "avg_pitch", "pitch_std", "pitch_range",
    "articulation_rate", "mean_hnr",
)  # fmt: skip
"""Seconds, decibels, decibels, hertz, hertz, hertz, syllables a second, decibels."""
ACTION_UNITS: Final = (
    "Inner brow raiser", "Outer brow raiser", "Brow lowerer", "Upper lid raiser", "Cheek raiser",
    "Lid tightener", "Nose wrinkler", "Upper lip raiser", "Lip corner puller", "Dimpler",
    "Lip corner depressor", "Chin raiser", "Lip stretcher", "Lip tightener", "Lips part",
    "Jaw drop", "Blink",
)  # fmt: skip
"""In the order of the Facial Action Coding System's numbers: 1, 2, 4, 5, 6, 7, 9, ... 45."""

_NO_FACE: Final = "No significant facial expressions detected"
_UNIT: Final = re.compile(r"([A-Z][a-z ]+) \(intensity: ([0-9.]+)\)")
_FIRST_DIALOGUE: Final = MappingProxyType({"train": 0, "dev": 1039, "test": 1153})


@dataclass(frozen=True)
class Scenes:
    """Utterances of one split, dialogue after dialogue.

    Attributes:
        texts: What was said.
        speakers: Who said it.
        emotion: Index into EKMAN_7's labels, shape (n,).
        sentiment: Index into :data:`SENTIMENTS`, shape (n,).
        dialogue: Number of the dialogue within the split, shape (n,).
        utterance: Number of the utterance within the dialogue, shape (n,); some are left out.
        voice: :data:`VOICE`, float32, shape (n, 8); NaN where a number is not given.
        face: Intensities of :data:`ACTION_UNITS` in [0, 5], float32, shape (n, 17).
        seen: Whether the row's face is known, shape (n,); ``face`` is 0 where it is not.
    """

    texts: tuple[str, ...]
    speakers: tuple[str, ...]
    emotion: NDArray[np.int64]
    sentiment: NDArray[np.int64]
    dialogue: NDArray[np.int64]
    utterance: NDArray[np.int64]
    voice: NDArray[np.float32]
    face: NDArray[np.float32]
    seen: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.texts)


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> Scenes:
    """Read a split.

    Args:
        data: MELD's folder, or the one that holds it as ``meld``.
        split: Which.
        limit: Utterances at most, in whole dialogues; 0 for all.
        seed: Of the draw of dialogues.

    Raises:
        SetupError: If a file is absent, or a row is not as it should be.
    """
    words, sounds = f"{split}_sent_emo.csv", f"meld_{split}_audio_features.csv"
    faces = f"{split}_dialogue_visual_expressions.json"
    place = folder(data, "meld", words, sounds, faces)
    rows = _utterances(place / words)
    chosen = whole([row["dialogue"] for row in rows], limit, seed)
    rows = [rows[index] for index in chosen]
    face, seen = _faces(place / faces, rows, _FIRST_DIALOGUE[split])
    return Scenes(
        texts=tuple(row["text"] for row in rows),
        speakers=tuple(row["speaker"] for row in rows),
        emotion=np.array([row["emotion"] for row in rows], np.int64),
        sentiment=np.array([row["sentiment"] for row in rows], np.int64),
        dialogue=np.array([row["dialogue"] for row in rows], np.int64),
        utterance=np.array([row["utterance"] for row in rows], np.int64),
        voice=_voices(place / sounds, rows),
        face=face,
        seen=seen,
    )


def _utterances(file: Path) -> list[dict[str, Any]]:
    found = []
    with file.open(encoding="utf-8", newline="") as opened:
        reader = csv.DictReader(opened)
        for row in reader:
            try:
                found.append(
                    {
                        "text": str(row["Utterance"]),
                        "speaker": str(row["Speaker"]),
                        "emotion": EKMAN_7.labels.index(row["Emotion"]),
                        "sentiment": SENTIMENTS.index(row["Sentiment"]),
                        "dialogue": int(row["Dialogue_ID"]),
                        "utterance": int(row["Utterance_ID"]),
                    }
                )
            except (KeyError, TypeError, ValueError):
                raise SetupError(
                    f"{file}:{reader.line_num}: want Utterance, Speaker, Emotion, Sentiment,"
                    " Dialogue_ID and Utterance_ID"
                ) from None
    if not found:
        raise SetupError(f"{file}: no utterances")
    return found


def _voices(file: Path, rows: list[dict[str, Any]]) -> NDArray[np.float32]:
    numbers: dict[str, list[float]] = {}
    with file.open(encoding="utf-8", newline="") as opened:
        reader = csv.DictReader(opened)
        for row in reader:
            try:
                numbers[row["filename"]] = [_number(row[name]) for name in VOICE]
            except (KeyError, TypeError, ValueError):
                raise SetupError(
                    f"{file}:{reader.line_num}: want filename, {', '.join(VOICE)}"
                ) from None
    unknown = [np.nan] * len(VOICE)
    names = [f"dia{row['dialogue']}_utt{row['utterance']}.wav" for row in rows]
    return np.array([numbers.get(name, unknown) for name in names], np.float32)


def _number(cell: str) -> float:
    return np.nan if cell in ("", "--undefined--") else float(cell)


def _faces(
    file: Path, rows: list[dict[str, Any]], first: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Intensities of each utterance, and whether they are known."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        told = {int(key): list(each["visual_expressions"]) for key, each in stored.items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SetupError(f"{file}: want dialogue numbers with 'visual_expressions'") from None
    members = defaultdict[int, list[int]](list)
    for index, row in enumerate(rows):
        members[row["dialogue"]].append(index)
    face = np.zeros((len(rows), len(ACTION_UNITS)), np.float32)
    seen = np.zeros(len(rows), np.bool_)
    for dialogue, indices in members.items():
        shown = told.get(dialogue + first, [])
        if len(shown) != len(indices):
            continue
        for index, text in zip(indices, shown, strict=True):
            face[index], seen[index] = _intensities(file, text), True
    return face, seen


def _intensities(file: Path, text: str) -> NDArray[np.float32]:
    row = np.zeros(len(ACTION_UNITS), np.float32)
    found = _UNIT.findall(text)
    if not found and text.strip() != _NO_FACE:
        raise SetupError(f"{file}: {len(text)} characters without any intensity of an action unit")
    for name, intensity in found:
        if name not in ACTION_UNITS:
            raise SetupError(f"{file}: {name!r} is no action unit that is known here")
        row[ACTION_UNITS.index(name)] = float(intensity)
    return row
