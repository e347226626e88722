"""What a run is resumed from: weights that learn, the optimiser, random numbers and its place.

Imports torch; import this module lazily.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from affectgraph.perceivers.errors import SetupError

FILE: Final = "state.pt"


@dataclass
class Place:
    """Where a run is.

    Attributes:
        step: Steps done.
        best: Lowest validation loss so far (weighted, nats a token); infinite before the first.
        best_step: After how many steps that was.
        without: Validations in a row that brought nothing better.
        seen: Tokens that went through the model.
        seconds: Spent in steps.
    """

    step: int = 0
    best: float = float("inf")
    best_step: int = 0
    without: int = 0
    seen: int = 0
    seconds: float = 0.0


def save(
    out: Path,
    place: Place,
    learning: Mapping[str, torch.Tensor],
    optimiser: torch.optim.Optimizer,
    print_of: str,
) -> None:
    """Write all of it, in one go: a killed run leaves the last whole state."""
    state = {
        "place": asdict(place),
        "weights": {name: p.detach().cpu() for name, p in learning.items()},
        "optimiser": optimiser.state_dict(),
        "random": torch.get_rng_state(),
        "random on gpu": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "of": print_of,
    }
    partial = out / f"{FILE}.partial"
    torch.save(state, partial)
    partial.replace(out / FILE)


def restore(
    out: Path,
    learning: Mapping[str, torch.nn.Parameter],
    optimiser: torch.optim.Optimizer,
    print_of: str,
) -> Place | None:
    """Take a run up where it was; ``None`` if there is nothing to take up.

    Raises:
        SetupError: If what is there is of a run with other settings or other data.
    """
    file = out / FILE
    if not file.is_file():
        return None
    state: dict[str, Any] = torch.load(file, weights_only=True)
    if state["of"] != print_of:
        raise SetupError(
            f"{file} is of a run with other settings or data: give another folder, or remove it"
        )
    load(state["weights"], learning)
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["random"])
    if state["random on gpu"] is not None:
        torch.cuda.set_rng_state(state["random on gpu"])
    return Place(**state["place"])


def load(weights: Mapping[str, torch.Tensor], learning: Mapping[str, torch.nn.Parameter]) -> None:
    """Put weights in place.

    Raises:
        SetupError: If they are not those that learn.
    """
    if weights.keys() != learning.keys():
        raise SetupError("the kept weights are not those of this model")
    with torch.no_grad():
        for name, weight in weights.items():
            learning[name].copy_(weight)


def fingerprint(*settings: object) -> str:
    """A short digest of whatever a run depends on."""
    told = json.dumps([repr(each) for each in settings])
    return hashlib.sha256(told.encode()).hexdigest()[:16]
