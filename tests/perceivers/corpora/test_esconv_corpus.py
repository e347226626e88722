from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from affectgraph.perceivers.corpora.esconv import Line, load
from affectgraph.perceivers.errors import SetupError

CHAT: dict[str, Any] = {
    "situation": " My cat is ill. ",
    "problem_type": "job crisis",
    "emotion_type": "fear",
    "survey_score": {
        "seeker": {"initial_emotion_intensity": "4", "final_emotion_intensity": "2"},
        "supporter": {},
    },
    "dialog": [
        {"text": "Hello\n", "speaker": "usr"},
        {"text": "Hi. What happened?", "speaker": "sys", "strategy": "Question"},
    ],
}


def write(folder: Path, *chats: object) -> None:
    (folder / "valid.txt").write_text("".join(json.dumps(chat) + "\n" for chat in chats))


def test_a_chat_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path, CHAT)
    (chat,) = load(tmp_path, "valid")
    assert chat.situation == "My cat is ill."
    assert (chat.problem, chat.emotion) == ("job crisis", "fear")
    assert (chat.before, chat.after) == (4, 2)
    assert chat.lines == (
        Line("seeker", "Hello", ""),
        Line("supporter", "Hi. What happened?", "Question"),
    )


def test_an_intensity_that_was_not_told_is_none(tmp_path: Path) -> None:
    write(tmp_path, {**CHAT, "survey_score": {"seeker": {"initial_emotion_intensity": "4"}}})
    assert load(tmp_path, "valid")[0].after is None


def test_a_slice_is_spread_over_the_problems(tmp_path: Path) -> None:
    write(tmp_path, *[CHAT] * 5, {**CHAT, "problem_type": "breakup"})
    assert {chat.problem for chat in load(tmp_path, "valid", limit=2)} == {"job crisis", "breakup"}


@pytest.mark.parametrize("bad", [{}, {**CHAT, "dialog": [{"text": "?", "speaker": "dog"}]}, 3])
def test_a_bad_line_is_named(tmp_path: Path, bad: object) -> None:
    write(tmp_path, CHAT, bad)
    with pytest.raises(SetupError, match=r"valid\.txt:2: want situation"):
        load(tmp_path, "valid")


@pytest.mark.data
def test_the_splits_have_their_published_sizes(data_root: Path) -> None:
    if not (data_root / "esconv").is_dir():
        pytest.skip("ESConv is absent")
    read = [load(data_root, split) for split in ("train", "valid", "test")]
    assert [len(each) for each in read] == [910, 195, 195]
    everything = [chat for split in read for chat in split]
    assert len({chat.problem for chat in everything}) == 13
    assert len({chat.emotion for chat in everything}) == 11
    assert len({line.strategy for chat in everything for line in chat.lines} - {""}) == 8
