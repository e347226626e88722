"""Which types a checkpoint must know, and which keys could hold media."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    cast,
)

import numpy as np
import pytest
from langgraph.channels.untracked_value import UntrackedValue
from numpy.typing import NDArray
from pydantic import BaseModel
from typing_extensions import TypeAliasType, TypedDict

from affectgraph.orchestrator.state import TurnState
from affectgraph.orchestrator.threads import allowed_types, media_in
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.media import AudioFile, ImageFile
from affectgraph.perceivers.turn import Turn


class Colour(enum.Enum):
    RED = "red"


class Inner(BaseModel):
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Pair:
    first: Inner | None
    others: Mapping[str, Sequence[Pair]]


class Point(NamedTuple):
    x: int
    y: Deep


class Deep(BaseModel):
    at: datetime


class Unseen(BaseModel):
    """Reached only through an untracked key."""


T = TypeVar("T")
Bound = TypeVar("Bound", bound=Deep)


class Holder(BaseModel, Generic[T]):
    held: T


Name = NewType("Name", Inner)
Nested = TypeAliasType("Nested", dict[str, "Nested"] | Pair)  # type: ignore[misc]


class Part(TypedDict):
    point: Point


HERE = __name__


def schema_of(**keys: Any) -> type:
    return cast("type", TypedDict("schema", keys))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, set()),
        (dict[str, datetime] | None, set()),
        (Any, set()),
        (Literal["a", "b"], set()),
        (Callable[[Inner], Pair], set()),
        (Inner, {"Inner", "Colour"}),
        (Annotated[tuple[Inner, ...], max], {"Inner", "Colour"}),
        (Literal[Colour.RED], {"Colour"}),
        (Pair, {"Pair", "Inner", "Colour"}),
        (Point, {"Point", "Deep"}),
        (Part, {"Point", "Deep"}),
        (list[Name], {"Inner", "Colour"}),
        (dict[Colour, frozenset[Point]], {"Colour", "Point", "Deep"}),
        (Nested, {"Pair", "Inner", "Colour"}),
        (Holder[Deep], {"Deep"}),
        (Bound, {"Deep"}),
    ],
    ids=repr,
)
def test_types_are_found_at_any_depth(annotation: Any, expected: set[str]) -> None:
    assert allowed_types(schema_of(key=annotation)) == tuple(
        sorted((HERE, name) for name in expected)
    )


def test_untracked_keys_are_not_followed() -> None:
    class Mixed(TypedDict, total=False):
        a: Annotated[Unseen, UntrackedValue]
        b: Annotated[Unseen, UntrackedValue(Unseen)]
        c: Required[Annotated[Unseen, UntrackedValue]]
        d: NotRequired[Deep]

    assert allowed_types(Mixed) == ((HERE, "Deep"),)


def test_models_and_dataclasses_are_schemas_too() -> None:
    class Model(BaseModel):
        a: Annotated[Any, UntrackedValue] = None
        b: tuple[Deep, ...] = ()

    @dataclass
    class Data:
        a: Annotated[Unseen, UntrackedValue]
        b: Deep

    assert allowed_types(Model) == allowed_types(Data) == ((HERE, "Deep"),)


def test_a_class_that_cannot_be_found_again_is_left_out() -> None:
    class Local(BaseModel):
        inner: Deep

    assert allowed_types(schema_of(key=Local)) == ((HERE, "Deep"),)


def test_an_unknown_annotation_is_named() -> None:
    with pytest.raises(BuildError, match=r"'Absent' is not known .* TYPE_CHECKING"):
        allowed_types(schema_of(key="Absent"))


def test_the_state_of_the_agent_names_its_types_and_no_media() -> None:
    names = {name for _, name in allowed_types(TurnState)}
    assert {"Exchange", "Plan", "Reading", "Affect", "RiskAssessment", "Answer"} <= names
    assert not {"Turn", "ImageFile", "AudioFile"} & names
    assert media_in(TurnState) == ()


class Holds(BaseModel):
    pictures: tuple[ImageFile, ...] = ()


@pytest.mark.parametrize(
    "annotation",
    [
        bytes,
        bytearray | None,
        dict[str, memoryview],
        ImageFile,
        AudioFile | None,
        Turn,
        list[Holds],
        Annotated[NDArray[np.float32], max],
        np.ndarray,
        Holder[bytes],
    ],
    ids=repr,
)
def test_media_are_found_at_any_depth(annotation: Any) -> None:
    schema = schema_of(held=annotation, safe=Annotated[annotation, UntrackedValue], n=int)
    assert media_in(schema) == ("held",)


@pytest.mark.parametrize(
    "annotation", [str, Path, float, np.float32, tuple[Deep, ...], Any, dict[str, Inner], Nested]
)
def test_what_is_no_media_is_not_reported(annotation: Any) -> None:
    assert media_in(schema_of(key=annotation)) == ()
