"""MESC line by line, with the numbers that the encoder gives each line, for the dialogue heads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.corpora.mesc_times import Scene, scenes
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.reasoners.heads.lines import UNKNOWN, Line
from affectgraph.reasoners.heads.words import raw
from affectgraph.reasoners.taxonomy import MESC_10
from affectgraph.reasoners.training.heads_kept import Shelf, digest
from affectgraph.reasoners.training.mesc_dialogues import strategy_named

Progress = Callable[[str, int, int], None]
Rows = NDArray[np.float16]

_CHUNK: Final = 512


class Encodes(Protocol):
    """What is asked of the encoder of words."""

    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> list[Encoding]:
        """Each text's encoding."""
        ...


@dataclass(frozen=True)
class Talk:
    """One dialogue.

    Attributes:
        number: The corpus's.
        place: Season and episode.
        lines: Its utterances.
    """

    number: int
    place: tuple[int, int]
    lines: tuple[Line, ...]


def talks(data: Path, split: mesc.Split, *, limit: int = 0, seed: int = 0) -> tuple[Talk, ...]:
    """The dialogues of a split, in the corpus's order.

    Args:
        data: MESC's folder, or the one that holds it as ``mesc``.
        split: Which.
        limit: Utterances at most, in whole dialogues; 0 for all.
        seed: Of the draw of dialogues.

    Raises:
        SetupError: If the corpus is not there or not as it should be.
    """
    rows = mesc.load(data, split, limit=limit, seed=seed).rows
    known = scenes(data)
    return tuple(
        _talk(number, list(said), known.get(number))
        for number, said in groupby(rows, key=lambda row: row.dialogue)
    )


def _talk(number: int, said: Sequence[mesc.Utterance], scene: Scene | None) -> Talk:
    if scene is None or len(scene.spans) != len(said):
        raise SetupError(f"MESC.csv: dialogue {number} has other lines than its split")
    lines = tuple(_line(row, span) for row, span in zip(said, scene.spans, strict=True))
    return Talk(number, scene.place, lines)


def _line(row: mesc.Utterance, span: tuple[float, float]) -> Line:
    person = row.speaker == "client"
    strategy = UNKNOWN if person else MESC_10.labels.index(strategy_named(row.strategy))
    return Line(person, row.text, row.emotion, strategy, span, row.clue)


async def encoded(
    known: Iterable[Talk],
    encoder: Encodes,
    shelf: Shelf,
    progress: Progress | None = None,
    *,
    version: str,
    clues: bool = False,
) -> dict[int, Rows]:
    """Dialogue's number -> what the encoder says of each of its lines, shape (n, 799).

    What was encoded is kept, so a second call reads it back.

    Args:
        known: The dialogues.
        encoder: The encoder of words.
        shelf: Where the numbers are kept.
        progress: Told how many of the lines are done.
        version: What the encoder's numbers depend on besides the words.
        clues: Whether the clues are encoded instead of the words.
    """
    said = {
        talk.number: [line.clue if clues else line.text for line in talk.lines] for talk in known
    }
    texts = sorted({text for each in said.values() for text in each})
    name = lines_name(texts, version)
    pool = BlockingPool()
    kept = await pool.run(lambda: shelf.stored(name, ["rows"]))
    if kept is None:
        found: list[Rows] = []
        for start in range(0, len(texts), _CHUNK):
            chunk = await encoder.encode_all(texts[start : start + _CHUNK], keep=False)
            found += (raw(encoding).astype(np.float16) for encoding in chunk)
            if progress:
                progress("clues" if clues else "lines", len(found), len(texts))
        fresh = {"rows": np.stack(found)}
        await pool.run(lambda: shelf.store(name, fresh))
        kept = fresh
    table, at = kept["rows"], {text: index for index, text in enumerate(texts)}
    return {number: table[[at[text] for text in texts]] for number, texts in said.items()}


def lines_name(texts: Sequence[str], version: str) -> str:
    """The name under which the encoder's numbers of texts are kept."""
    return f"mesc-lines-{digest((version, texts))}"


def content(known: Iterable[Talk], *rows: Mapping[int, NDArray[Any]]) -> str:
    """Twelve digits of dialogues: their words, labels and times, and the encoder's numbers."""
    told = hashlib.sha256()
    for talk in known:
        told.update(digest(talk).encode())
        for each in rows:
            told.update(np.ascontiguousarray(each[talk.number]).tobytes())
    return told.hexdigest()[:12]
