"""A reader that is told what to say, and files in the corpora's formats."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from affectgraph.perceivers.adapters.checkpoint import Checkpoint
from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.labels import GOEMOTIONS_28, LabelSet
from affectgraph.perceivers.turn import Turn


class WordReader:
    """Tells the label whose name stands in the text; abstains where it says "mumble"."""

    modality: Modality = "text"

    def __init__(self, label_set: LabelSet = GOEMOTIONS_28) -> None:
        self._labels = label_set
        self.read_texts: list[str] = []

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def perceive(self, turn: Turn) -> Reading:
        return await self.read(turn.text, turn.at)

    async def read(self, text: str, captured_at: datetime) -> Reading:
        self.read_texts.append(text)
        if "mumble" in text:
            return Reading.abstain("text", "unsupported-language", "mumbled")
        weights = {label: 40.0 if label in text.split() else 1.0 for label in self._labels.labels}
        affect = Affect.read(Distribution.over(self._labels, weights), captured_at)
        return Reading(modality="text", affect=affect, covers=len(text))


class StoredReader(WordReader):
    """A reader whose model lies in a folder."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.checkpoint = checkpoint


def write_tsv(file: Path, rows: Sequence[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")


def write_csv(file: Path, rows: Sequence[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)
