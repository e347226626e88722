"""What a part is handed that its options do not name: things that parts share, by their type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Generic, TypeVar

from affectgraph.perceivers.models import ModelStore

T = TypeVar("T")


@dataclass(frozen=True)
class Workshop:
    """What the parts of one agent share.

    A constructor's parameter whose type is one of these is filled in unless the spec names it:
    :class:`~affectgraph.perceivers.models.ModelStore`, whatever the spec's ``encoder`` is, and
    what an enclosing part offers.

    Attributes:
        store: Where the pulled models lie.
        folder: What relative paths are relative to.
        offered: Type -> object, from the enclosing parts.
    """

    store: ModelStore
    folder: Path
    offered: Mapping[type, object] = field(default_factory=lambda: MappingProxyType({}))

    def offering(self, offered: Mapping[type, object]) -> Workshop:
        """A copy for nested parts that are offered more."""
        return Workshop(self.store, self.folder, {**self.offered, **offered})


@dataclass(frozen=True)
class Recipe(Generic[T]):
    """A part that is not made yet: its maker decides when, and offers it more.

    Attributes:
        make: Makes the part; takes what it is offered, type -> object.
    """

    make: Callable[[Mapping[type, object]], T]


@dataclass(frozen=True, init=False)
class Offers:
    """Beside a :class:`Recipe` in an annotation: the types that will be offered.

    Attributes:
        types: The types.
    """

    types: tuple[type, ...]

    def __init__(self, *types: type) -> None:
        object.__setattr__(self, "types", types)
