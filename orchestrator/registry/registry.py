"""A registry of one kind of part: names with a version, targets that are imported when used."""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Generic, Literal, TypeVar, cast

from affectgraph.orchestrator.registry.contract import lacks_all
from affectgraph.perceivers.errors import BuildError

T = TypeVar("T")

_NAME: Final = re.compile(r"(?P<base>[a-z0-9]+(?:[._-][a-z0-9]+)*)\.v(?P<version>[1-9][0-9]*)")
_TARGET: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Origin:
    """Where a part comes from.

    Attributes:
        how: In the package's own table, an installed distribution's entry point, registered by
            code, or imported by its address.
        target: ``module:Class``.
        distribution: Name and version of the distribution whose entry point it is.
    """

    how: Literal["built in", "entry point", "registered", "imported"]
    target: str
    distribution: str = ""

    def __str__(self) -> str:
        if self.how == "entry point":
            return self.distribution
        return self.target if self.how == "imported" else self.how


class Registry(Generic[T]):
    """Finds makers of one kind of part by name. Nothing is imported until it is used.

    Args:
        kind: What the parts are called in messages, such as ``perceiver``.
        builtin: Name -> ``module:Class``.
        contracts: ``module:Class`` of what a part must be; one of them suffices.
        group: Group of entry points that add names; read at the first look-up.
        discover: Lists a group's entry points.

    Raises:
        BuildError: If a built-in name has no version.
    """

    def __init__(
        self,
        kind: str,
        builtin: Mapping[str, str] | None = None,
        *,
        contracts: Sequence[str] = (),
        group: str | None = None,
        discover: Callable[[str], Iterable[EntryPoint]] | None = None,
    ) -> None:
        self.kind = kind
        self._contracts = tuple(contracts)
        self._group = group
        self._discover = discover or (lambda name: entry_points(group=name))
        self._entries: dict[str, Origin] = {}
        self._refused: dict[str, str] = {}
        for name, target in (builtin or {}).items():
            self._add(name, Origin("built in", target))

    def register(self, name: str, target: str) -> None:
        """Add a name to this registry.

        Raises:
            BuildError: If the name has no version or is taken, or the target is no
                ``module:Class``.
        """
        self._load_entry_points()
        self._add(name, Origin("registered", target))

    def names(self) -> tuple[str, ...]:
        """Every registered name, sorted."""
        self._load_entry_points()
        return tuple(sorted(self._entries))

    def packages(self) -> frozenset[str]:
        """Top packages of the entry points' targets: importable because they were installed."""
        self._load_entry_points()
        return frozenset(
            _top(origin.target) for origin in self._entries.values() if origin.how == "entry point"
        )

    def pinned(self, name: str) -> str:
        """The full name: a name without a version means the newest one.

        Raises:
            BuildError: If there is no such part; the message names near ones.
        """
        self._load_entry_points()
        if name in self._refused:
            raise BuildError(f"{self.kind} {name!r} cannot be used: {self._refused[name]}")
        if name in self._entries:
            return name
        versions = [
            (int(found["version"]), each)
            for each in self._entries
            if (found := _NAME.fullmatch(each)) and found["base"] == name
        ]
        if not versions:
            raise BuildError(f"no {self.kind} {name!r}{self._meant(name)}")
        return max(versions)[1]

    def origin(self, name: str) -> Origin:
        """Where a name, or a ``module:Class``, comes from.

        Raises:
            BuildError: If there is no such part.
        """
        if ":" in name:
            return Origin("imported", name)
        return self._entries[self.pinned(name)]

    def maker(self, name: str) -> Callable[..., T]:
        """Import what makes a part: a registered name, or any ``module:Class``.

        Raises:
            BuildError: If there is no such part, or its target cannot be imported.
        """
        target = load(self.origin(name).target, f"{self.kind} {name!r}")
        if not callable(target):
            raise BuildError(f"{self.kind} {name!r}: {self.origin(name).target} cannot be called")
        return cast("Callable[..., T]", target)

    def contracts(self) -> tuple[type, ...]:
        """What a part of this kind must be; one of them suffices."""
        return tuple(load(contract, self.kind) for contract in self._contracts)

    def check(self, name: str, made: object) -> T:
        """Check what a maker made.

        Raises:
            BuildError: If it is not what this kind is; the message lists what it lacks.
        """
        contracts = self.contracts()
        missing = lacks_all(made, contracts)
        if missing:
            wanted = " or ".join(contract.__name__ for contract in contracts)
            raise BuildError(
                f"{self.kind} {name!r} made a {type(made).__qualname__}, which is no {wanted}:"
                f" {'; '.join(missing)}"
            )
        return cast("T", made)

    def make(self, name: str, *arguments: object, **options: object) -> T:
        """Make a part and check it.

        Raises:
            BuildError: If there is no such part, or it does not keep the contract.
        """
        return self.check(name, self.maker(name)(*arguments, **options))

    def _add(self, name: str, origin: Origin) -> None:
        fault = self._fault(name, origin)
        if fault is not None:
            raise BuildError(f"{self.kind} {name!r} cannot be registered: {fault}")
        self._entries[name] = origin

    def _fault(self, name: str, origin: Origin) -> str | None:
        if _NAME.fullmatch(name) is None:
            return f"a name ends in its version, such as {name.lower().strip('.') or 'mine'}.v1"
        if _TARGET.fullmatch(origin.target) is None:
            return f"{origin.target!r} is no module:Class"
        taken = self._entries.get(name)
        if taken is not None:
            return f"it is taken by {taken.target} ({taken})"
        return None

    def _load_entry_points(self) -> None:
        group, self._group = self._group, None
        if group is None:
            return
        # One distribution may be found twice, on the path and as an editable install.
        found = {(e.name, e.value): _origin(e) for e in self._discover(group)}
        for (name, _), origin in found.items():
            fault = self._fault(name, origin)
            if fault is None:
                self._entries[name] = origin
            else:
                # Told when the name is used: a package at fault must not stop the others.
                self._refused[name] = f"{fault}; it is offered by {origin}"

    def _meant(self, name: str) -> str:
        return meant(name, self._entries) or (
            f"; there are: {', '.join(sorted(self._entries))}" if self._entries else ""
        )


def meant(word: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` for a word that is near a known one, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def load(target: str, wanted_by: str) -> Any:
    """Import ``module:Class``.

    Raises:
        BuildError: If the module cannot be imported, or has no such member.
    """
    module_name, _, path = target.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise BuildError(f"{wanted_by}: no module {error.name!r}; is it installed?") from error
    except Exception as error:
        kind = type(error).__qualname__
        raise BuildError(f"{wanted_by}: importing {module_name} failed ({kind})") from error
    for step in path.split("."):
        if not hasattr(found, step):
            near = meant(step, (n for n in dir(found) if not n.startswith("_")))
            raise BuildError(f"{wanted_by}: {module_name} has no {step}{near}")
        found = getattr(found, step)
    return found


def _origin(entry: EntryPoint) -> Origin:
    dist = entry.dist
    return Origin("entry point", entry.value, f"{dist.name} {dist.version}" if dist else "?")


def _top(target: str) -> str:
    return target.partition(":")[0].partition(".")[0]
