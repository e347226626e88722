"""What all stores of threads check alike, and which checkpoints pruning deletes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from affectgraph.orchestrator.threads.contracts import ThreadStoreError, storable
from affectgraph.perceivers.errors import SetupError


def unkept(checkpoints: Iterable[tuple[str, str]], keep: int) -> list[tuple[str, str]]:
    """The checkpoints of one thread that go when the newest ``keep`` stay.

    Args:
        checkpoints: Namespace and identifier of each. LangGraph's identifiers sort by time, across
            namespaces too.
        keep: How many stay in each namespace.

    Each call of a subgraph has a namespace of its own (``node:task``), so a bound per namespace
    would bound nothing. Calls that ended before the oldest kept checkpoint of the graph itself go
    with those that did not stay. A subgraph with a memory of its own (no colon) keeps its newest.
    """
    spaces: dict[str, list[str]] = defaultdict(list)
    for space, checkpoint in checkpoints:
        spaces[space].append(checkpoint)
    kept_roots = sorted(spaces.get("", ()))[-keep:]
    gone: list[tuple[str, str]] = []
    for space, held in spaces.items():
        if ":" in space:
            went = [id_ for id_ in held if kept_roots and id_ < kept_roots[0]]
        else:
            went = sorted(held)[:-keep]
        gone.extend((space, id_) for id_ in went)
    return gone


def check_keep(keep: int) -> None:
    """Refuse to delete the checkpoint that a thread goes on from."""
    if keep < 1:
        raise ValueError(f"keep must be at least 1, not {keep}: use delete to erase a thread")


def check_moment(before: datetime) -> None:
    """Refuse a time that could mean any of two dozen."""
    if before.tzinfo is None:
        raise ValueError("'before' needs a time zone")


def check_turn(turn_id: str) -> None:
    """Refuse a name that no turn can have; in a group it would fail its neighbours too."""
    try:
        storable(turn_id)
    except ValueError as error:
        raise ThreadStoreError(f"no turn can be open under this identifier: {error}") from None


def not_open(store: object) -> SetupError:
    """What a store that is not open answers."""
    return SetupError(f"{type(store).__name__} is not open: await its open() first")
