"""What is wrong with a spec: every fault at once, each with its file, line and path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from affectgraph.perceivers.errors import BuildError


@dataclass(frozen=True)
class Place:
    """Where something stands.

    Attributes:
        source: The file, as the caller named it.
        line: Line, from 1; 0 for what was made in code.
        path: Keys from the top, such as ``perceivers[1].detector``.
    """

    source: str = "spec"
    line: int = 0
    path: str = ""

    def at(self, step: str | int, line: int | None = None) -> Place:
        """One step further in."""
        shown = f"[{step}]" if isinstance(step, int) else f".{step}" if self.path else step
        return replace(self, path=self.path + shown, line=self.line if line is None else line)

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        return f"{where}: {self.path}" if self.path else where


@dataclass(frozen=True)
class SpecFault:
    """One fault.

    Attributes:
        place: Where.
        fault: What is wrong.
        hint: What to do about it; empty where the fault says it.
    """

    place: Place
    fault: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.fault}" + (f" ({self.hint})" if self.hint else "")


class SpecError(BuildError):
    """A spec cannot be taken.

    Attributes:
        faults: All of them, in the order of the file.
    """

    def __init__(self, faults: Sequence[SpecFault]) -> None:
        by_place = sorted(faults, key=lambda fault: (fault.place.source, fault.place.line))
        self.faults = tuple(by_place)
        super().__init__("\n".join(str(fault) for fault in self.faults))
