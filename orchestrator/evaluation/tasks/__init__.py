"""The evaluations by name; nothing of one is imported until it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Final

from affectgraph.orchestrator.evaluation.bench import Task
from affectgraph.orchestrator.registry.registry import load, meant
from affectgraph.perceivers.errors import BuildError

GROUP: Final = "affectgraph.evaluations"
"""Entry points in which an installed package offers tasks of its own."""

_HERE: Final = __name__

BUILT_IN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "goemotions": f"{_HERE}.goemotions:GoEmotions",
        "emobank": f"{_HERE}.emobank:EmoBank",
        "tweeteval": f"{_HERE}.tweeteval:TweetEval",
        "mesc": f"{_HERE}.mesc_four:Mesc",
        "esconv": f"{_HERE}.esconv_four:Esconv",
        "mesc-emotion": f"{_HERE}.mesc:MescEmotion",
        "esconv-retrieval": f"{_HERE}.esconv:EsconvRetrieval",
        "ferplus": f"{_HERE}.ferplus:FerPlus",
        "ravdess": f"{_HERE}.ravdess:Ravdess",
        "meld": f"{_HERE}.meld:Meld",
        "mosi": f"{_HERE}.mosi:Mosi",
        "abstention": f"{_HERE}.abstention:Abstention",
    }
)
"""Name -> ``module:Class``; the class is made without arguments."""


def _installed(group: str) -> Iterable[EntryPoint]:
    return entry_points(group=group)


def targets(discover: Callable[[str], Iterable[EntryPoint]] = _installed) -> dict[str, str]:
    """Every task: ours, then those of installed packages under names of their own."""
    found = {entry.name: entry.value for entry in discover(GROUP)}
    return {**found, **BUILT_IN}


def task(name: str, discover: Callable[[str], Iterable[EntryPoint]] = _installed) -> Task:
    """The task of a name, or of a ``module:Class``.

    Raises:
        BuildError: If there is none, it cannot be imported, or it is no task.
    """
    known = targets(discover)
    if name not in known and ":" not in name:
        raise BuildError(
            f"no evaluation {name!r}{meant(name, known)}; there are: {', '.join(known)}"
        )
    made = load(known.get(name, name), f"evaluation {name!r}")()
    if not isinstance(made, Task):
        raise BuildError(f"evaluation {name!r} is no task: it needs name, about and run(bench)")
    return made
