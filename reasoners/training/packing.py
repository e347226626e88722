"""Dialogues packed into rows of one length; none sees another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from affectgraph.reasoners.training.sequences import TokenSequence


@dataclass(frozen=True)
class Row:
    """Dialogues that go through the model together.

    Attention stays within each (``lengths`` says where they end), and positions begin at 0 in
    each, so a dialogue's loss is what it would be alone.

    Attributes:
        sequences: The dialogues, one after the other.
    """

    sequences: tuple[TokenSequence, ...]

    @property
    def ids(self) -> list[int]:
        """Tokens."""
        return [i for sequence in self.sequences for i in sequence.ids]

    @property
    def kinds(self) -> list[int]:
        """Kinds of the tokens; the first of a dialogue never counts, as nothing predicts it."""
        return [kind for sequence in self.sequences for kind in sequence.kinds]

    @property
    def positions(self) -> list[int]:
        """Position of each token in its dialogue."""
        return [place for sequence in self.sequences for place in range(len(sequence))]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of each dialogue."""
        return tuple(len(sequence) for sequence in self.sequences)

    def __len__(self) -> int:
        return sum(self.lengths)


def pack(sequences: Sequence[TokenSequence], length: int, *, seed: int | None = None) -> list[Row]:
    """Fill rows of at most ``length`` tokens, first fit.

    Args:
        sequences: Dialogues; empty ones are left out.
        length: Tokens of a row at most.
        seed: Shuffles the dialogues before and the rows after; ``None`` keeps the order.

    Raises:
        ValueError: If a dialogue is longer than a row.
    """
    kept = [sequence for sequence in sequences if len(sequence)]
    rng = None if seed is None else np.random.default_rng(seed)
    order = list(range(len(kept))) if rng is None else rng.permutation(len(kept)).tolist()
    # Each open row, with the room that is left in it.
    rows, room = list[list[TokenSequence]](), list[int]()
    for at in order:
        sequence = kept[at]
        if len(sequence) > length:
            raise ValueError(f"{sequence.name}: {len(sequence)} tokens, a row has {length}")
        place = next((i for i, left in enumerate(room) if left >= len(sequence)), None)
        if place is None:
            rows.append([])
            room.append(length)
            place = len(rows) - 1
        rows[place].append(sequence)
        room[place] -= len(sequence)
    packed = [Row(tuple(row)) for row in rows]
    if rng is None:
        return packed
    return [packed[at] for at in rng.permutation(len(packed)).tolist()]
