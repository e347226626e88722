from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from affectgraph.perceivers.turn import MAX_TEXT, Turn


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"text": ""}, "empty"),
        ({"text": " \n\t "}, "empty"),
        ({"text": "x" * (MAX_TEXT + 1)}, "20,001 characters"),
        ({"text": "broken \udcff"}, "not valid UTF-8 at character 7"),
        ({"text": "hi", "user": ""}, "at least 1 character"),
        ({"text": "hi", "mood": "good"}, "not permitted"),
        ({"text": "hi", "images": (3,)}, "give a path"),
        ({"text": "hi", "at": datetime(2026, 1, 1)}, "time zone"),
    ],
)
def test_a_turn_that_cannot_be_taken_says_why(fields: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Turn.model_validate(fields)


def test_nothing_is_consented_to_by_default() -> None:
    assert not any(Turn(text="hi").consent.model_dump().values())


def test_media_are_handles_and_print_as_paths() -> None:
    turn = Turn.model_validate({"images": ["a.jpg"], "audio": Path("b.wav")})
    printed = turn.model_dump(mode="json")
    assert printed["images"] == ["a.jpg"]
    assert printed["audio"] == "b.wav"


def test_an_image_alone_is_a_turn() -> None:
    assert Turn.model_validate({"images": ["a.jpg"]}).text == ""
