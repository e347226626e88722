"""What is told of a checkpoint, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from affectgraph.perceivers.adapters import Checkpoint
from affectgraph.perceivers.device import CPU

FOLDER = Path("models") / "mine"


@pytest.mark.parametrize("short", [FOLDER, str(FOLDER), {"folder": FOLDER}])
def test_a_folder_alone_is_enough(short: object) -> None:
    made = TypeAdapter(Checkpoint).validate_python(short)
    assert made == Checkpoint(FOLDER)
    assert (made.name, made.device, made.temperature) == ("mine", CPU, 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 0.0},
        {"temperature": float("nan")},
        {"max_batch": 0},
        {"max_wait": -1.0},
        {"max_wait": float("inf")},
        {"multi_lable": True},
    ],
)
def test_what_is_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Checkpoint(FOLDER, **wrong)


def test_a_checkpoint_stays_as_it_is() -> None:
    made = Checkpoint(FOLDER)
    with pytest.raises(AttributeError):
        made.temperature = 2.0  # type: ignore[misc]
