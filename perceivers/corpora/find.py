"""Where a corpus lies, and how a slice of it is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import SetupError


def folder(data: Path, name: str, *files: str) -> Path:
    """The folder of a corpus.

    Args:
        data: The corpus's folder, or the one that holds it under its usual name.
        name: The usual name.
        files: Files that must be in it.

    Raises:
        SetupError: If there is no such folder, or a file is not in it.
    """
    inside = data / name
    found = inside if inside.is_dir() else data
    if not found.is_dir():
        raise SetupError(f"no folder {data}: name the folder that holds {name!r} with --data")
    missing = [file for file in files if not (found / file).exists()]
    if missing:
        raise SetupError(
            f"{found} is not the corpus {name!r}: it has no {', '.join(missing)}. Name the corpus's"
            f" folder, or the one that holds it as {name!r}, with --data or AFFECTGRAPH_DATA"
        )
    return found


def spread(classes: Sequence[Hashable], limit: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows of a slice that is drawn as evenly over the classes as they allow.

    Args:
        classes: Class of each row.
        limit: Rows at most; 0 for all.
        seed: Of the draw.

    Returns:
        Row numbers in their order.
    """
    if not limit or limit >= len(classes):
        return np.arange(len(classes))
    seen: Counter[Hashable] = Counter()
    turns = []
    for row in np.random.default_rng(seed).permutation(len(classes)).tolist():
        turns.append((seen[classes[row]], row))
        seen[classes[row]] += 1
    # The first of every class, then the second of every class, and so on.
    turns.sort(key=lambda turn: turn[0])
    return np.array(sorted(row for _, row in turns[:limit]), dtype=np.int64)


def whole(groups: Sequence[Hashable], limit: int, seed: int = 0) -> NDArray[np.int64]:
    """Rows of a slice that keeps dialogues (or videos) whole.

    Args:
        groups: Dialogue of each row.
        limit: Rows at most, but one dialogue at least; 0 for all.
        seed: Of the draw.

    Returns:
        Row numbers in their order.
    """
    if not limit or limit >= len(groups):
        return np.arange(len(groups))
    sizes = Counter(groups)
    names = list(sizes)
    kept, rows = set[Hashable](), 0
    for index in np.random.default_rng(seed).permutation(len(names)).tolist():
        name = names[index]
        if kept and rows + sizes[name] > limit:
            continue
        kept.add(name)
        rows += sizes[name]
    return np.flatnonzero([group in kept for group in groups])
