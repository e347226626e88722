"""MESC's dialogues (Chu et al.) as a reasoner is trained on them; such weights never ship."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Final

from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.taxonomy import MESC_10
from affectgraph.reasoners.training.dialogues import Dialogue, planned

_NAMES: Final = {name.casefold(): name for name in MESC_10.labels} | {
    "open question": "Open questions"
}


def strategy_named(raw: str) -> str:
    """A strategy as the corpus spells it, in the taxonomy's spelling.

    Raises:
        ValueError: If the taxonomy has none such.
    """
    found = _NAMES.get(raw.strip().casefold())
    if found is None:
        raise ValueError(f"MESC-10 has no strategy {raw!r}")
    return found


def load(data: Path, split: mesc.Split, *, limit: int = 0, seed: int = 0) -> tuple[Dialogue, ...]:
    """Read a split as merged turns, with the corpus's own labels of both sides.

    A dialogue that the therapist opens begins with an exchange in which the client says nothing.
    The clue of a video model is not told: the train split has none.

    Args:
        data: MESC's folder, or the one that holds it as ``mesc``.
        split: Which.
        limit: Utterances at most, in whole dialogues; 0 for all.
        seed: Of the draw of dialogues.

    Raises:
        SetupError: If the corpus is not there or not as it should be.
    """
    rows = mesc.load(data, split, limit=limit, seed=seed).turns().rows
    return tuple(
        _dialogue(f"mesc/{split}/{number}", turns)
        for number, turns in groupby(rows, key=lambda row: row.dialogue)
    )


def _dialogue(name: str, turns: Iterable[mesc.Utterance]) -> Dialogue:
    exchanges = list[Exchange]()
    said, felt = "", "neutral"
    for turn in turns:
        label = MESC_7.labels[turn.emotion]
        if turn.speaker == "client":
            said, felt = turn.text, label
            continue
        plan = planned(felt, strategy_named(turn.strategy), label, MESC_10)
        exchanges.append(Exchange(said=said, replied=turn.text, plan=plan))
        said = ""
    return Dialogue(name, tuple(exchanges), tuple(bool(each.replied) for each in exchanges))
