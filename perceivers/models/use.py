"""What a part says of the models that it uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from affectgraph.perceivers.models.table import MODELS


@dataclass(frozen=True)
class ModelUse:
    """A model that a part uses.

    Attributes:
        name: Name in the table of pinned models, of weights that ship in a package, or of what
            a server serves.
        licence: SPDX expression, or words; ``unknown`` where nobody says.
    """

    name: str
    licence: str = "unknown"

    @classmethod
    def pinned(cls, name: str) -> Self:
        """A model of the table, with the table's licence."""
        model = MODELS.get(name)
        return cls(name, model.licence) if model else cls(name)


def models_of(part: object) -> tuple[ModelUse, ...]:
    """What a part says in its optional attribute ``models``; nothing if it has none."""
    return tuple(getattr(part, "models", ()))
