"""MESC (Chu et al.): psychotherapy dialogues of a series, with emotions and strategies.

``MESC.csv`` holds every utterance; ``val.json`` and ``test.json`` hold those of two splits once
more, with the scene's problem and situation, and with the clue that a video model wrote glued to
the words. The train split is what the other two leave of the CSV. The owner states no licence:
read it where it is, and pass on neither lines of it nor weights that learned from it.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.find import folder, whole
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7

Split = Literal["train", "val", "test"]
Unit = Literal["utterance", "turn"]
Speaker = Literal["client", "therapist"]

_CSV: Final = "MESC.csv"
_SPLITS: Final = "derived_splits_by_Dialogue_ID.json"
_SPEAKERS: Final[dict[str, Speaker]] = {
    "Client": "client", "Therapist": "therapist", "user": "client", "sys": "therapist",
}  # fmt: skip
_CLUE: Final = re.compile(r"(?:^|(?<=\s))The (?:emotion state of the )?speaker\b")
_FIELDS: Final = "Utterance, Speaker, Emotion, Strategy and Dialogue_ID"


@dataclass(frozen=True)
class Utterance:
    """One utterance, or a turn: what one speaker says before the other does.

    Attributes:
        dialogue: Number of its dialogue.
        speaker: Who says it.
        text: The words alone.
        emotion: Index into MESC_7's labels. Of a turn the most frequent one, the first of equals.
        strategy: The therapist's, as the file names it; ``""`` for the client. Of a turn the
            most frequent one.
        clue: What a video model wrote of the speaker; ``""`` where it wrote nothing, and in the
            train split.
    """

    dialogue: int
    speaker: Speaker
    text: str
    emotion: int
    strategy: str
    clue: str = ""


@dataclass(frozen=True)
class Sessions:
    """Dialogues of one split.

    Attributes:
        rows: Utterances, dialogue after dialogue.
        problem: Dialogue's number -> the problem, in lower case; not in the train split.
        situation: Dialogue's number -> what happened; not in the train split.
    """

    rows: tuple[Utterance, ...]
    problem: dict[int, str]
    situation: dict[int, str]

    def turns(self) -> Sessions:
        """The same dialogues with a speaker's consecutive utterances as one."""
        runs = groupby(self.rows, key=lambda row: (row.dialogue, row.speaker))
        merged = tuple(_merged(list(run)) for _, run in runs)
        return Sessions(merged, self.problem, self.situation)

    def of(self, speaker: Speaker) -> tuple[Utterance, ...]:
        """One speaker's rows."""
        return tuple(row for row in self.rows if row.speaker == speaker)


def emotions(rows: Iterable[Utterance]) -> NDArray[np.int64]:
    """Indices into MESC_7's labels, shape (n,)."""
    return np.array([row.emotion for row in rows], np.int64)


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> Sessions:
    """Read a split.

    Args:
        data: MESC's folder, or the one that holds it as ``mesc``.
        split: Which.
        limit: Utterances at most, in whole dialogues; 0 for all.
        seed: Of the draw of dialogues.

    Raises:
        SetupError: If a file is absent, or a row is not as it should be.
    """
    written = () if split == "train" else (f"{split}.json",)
    place = folder(data, "mesc", _CSV, _SPLITS, *written)
    numbers = _numbers(place / _SPLITS, split)
    if split == "train":
        found = Sessions(tuple(_from_csv(place / _CSV, frozenset(numbers))), {}, {})
    else:
        found = _from_json(place / f"{split}.json", numbers)
    if not found.rows:
        raise SetupError(f"{place}: no utterances of the split {split!r}")
    kept = whole([row.dialogue for row in found.rows], limit, seed)
    return Sessions(tuple(found.rows[index] for index in kept), found.problem, found.situation)


def split_clue(text: str) -> tuple[str, str]:
    """Words, and the clue glued to them: it begins with the first "The speaker ..."."""
    found = _CLUE.search(text)
    if found is None:
        return text.strip(), ""
    return text[: found.start()].strip(), text[found.start() :].strip()


def _numbers(file: Path, split: Split) -> list[int]:
    try:
        return [int(number) for number in json.loads(file.read_text("utf-8"))[split]]
    except (KeyError, TypeError, ValueError):
        raise SetupError(f"{file}: want train, val and test, each a list of dialogues") from None


def _from_csv(file: Path, numbers: frozenset[int]) -> Iterator[Utterance]:
    with file.open(encoding="utf-8", newline="") as opened:
        reader = csv.DictReader(opened)
        for row in reader:
            try:
                dialogue = int(row["Dialogue_ID"])
                told = _utterance(
                    dialogue, row["Speaker"], row["Utterance"], row["Emotion"], row["Strategy"]
                )
            except (KeyError, TypeError, ValueError, AttributeError):
                raise SetupError(f"{file}:{reader.line_num}: want {_FIELDS}") from None
            if dialogue in numbers:
                yield told


def _from_json(file: Path, numbers: list[int]) -> Sessions:
    """The dialogues stand in the order of their numbers in the list of splits."""
    try:
        stored = json.loads(file.read_text("utf-8"))
    except ValueError:
        raise SetupError(f"{file}: not JSON") from None
    if not isinstance(stored, list) or len(stored) != len(numbers):
        raise SetupError(f"{file}: want a list of {len(numbers)} dialogues, as the splits have")
    rows: list[Utterance] = []
    problem, situation = dict[int, str](), dict[int, str]()
    for place, (number, scene) in enumerate(zip(numbers, stored, strict=True), 1):
        try:
            problem[number] = " ".join(scene["problem_type"].split()).lower()
            situation[number] = scene["situation"].strip()
            rows += (_of_scene(number, each) for each in scene["dialog"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise SetupError(
                f"{file}: dialogue {place}: want problem_type, situation, and a dialog of text,"
                " speaker, emotion and strategy"
            ) from None
    return Sessions(tuple(rows), problem, situation)


def _of_scene(dialogue: int, told: dict[str, Any]) -> Utterance:
    words, clue = split_clue(told["text"])
    strategy = told.get("strategy") or ""
    return _utterance(dialogue, told["speaker"], words, told["emotion"], strategy, clue)


def _utterance(
    dialogue: int, speaker: str, text: str, emotion: str, strategy: str, clue: str = ""
) -> Utterance:
    who = _SPEAKERS[speaker]
    # The file has both "Open question" and "open question".
    named = strategy.strip()[:1].upper() + strategy.strip()[1:] if who == "therapist" else ""
    index = MESC_7.labels.index(emotion.strip())
    return Utterance(dialogue, who, text.strip(), index, named, clue)


def _merged(run: list[Utterance]) -> Utterance:
    def most(values: Iterable[Any]) -> Any:
        return Counter(values).most_common(1)[0][0]

    return Utterance(
        dialogue=run[0].dialogue,
        speaker=run[0].speaker,
        text=" ".join(row.text for row in run if row.text),
        emotion=most(row.emotion for row in run),
        strategy=most(row.strategy for row in run),
        clue=" ".join(row.clue for row in run if row.clue),
    )
