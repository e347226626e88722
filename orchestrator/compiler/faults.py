"""What can be wrong with a graph, told all at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from affectgraph.perceivers.errors import BuildError

Kind = Literal[
    "barrier",
    "blocking",
    "branch",
    "dead-end",
    "duplicate",
    "join-never",
    "join-order",
    "join-twice",
    "loop",
    "media",
    "mutable",
    "name",
    "parallel-writes",
    "signature",
    "too-large",
    "type",
    "undeclared-write",
    "unknown-node",
    "unreachable",
    "unwritten-read",
]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a graph.

    Attributes:
        kind: A word to branch on.
        nodes: Names of the nodes concerned.
        message: What is wrong, naming them.
        hint: What to do.
    """

    kind: Kind
    nodes: tuple[str, ...]
    message: str
    hint: str

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class GraphError(BuildError):
    """A graph does not hold together; every fault that was found is listed.

    Args:
        faults: At least one.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        count = f"{len(faults)} faults" if len(faults) > 1 else "1 fault"
        lines = [f"the graph has {count}:", *(f"  - {fault}" for fault in faults)]
        super().__init__("\n".join(lines))


class Advice(UserWarning):
    """A graph works, and a turn in it waits longer than it must."""
