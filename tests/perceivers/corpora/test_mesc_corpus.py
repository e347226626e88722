from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgraph.perceivers.corpora.mesc import emotions, load, split_clue
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7

ROWS = [
    ("I slept badly.", "Client", "sadness", "undefined", 0),
    ("Really badly.", "Client", "anger", "undefined", 0),
    ("How come?", "Therapist", "neutral", "open question", 0),
    ("No idea.", "Client", "neutral", "undefined", 0),
    ("We won!", "Client", "joy", "undefined", 1),
]
SCENES = [
    {
        "problem_type": "Childhood  Shadow ",
        "situation": " A dog ran off. ",
        "dialog": [
            {
                "text": "It ran off. The speaker seems calm.",
                "speaker": "user",
                "emotion": "neutral",
            },
            {"text": "I see.", "speaker": "sys", "emotion": "neutral", "strategy": "Open question"},
        ],
    }
]


@pytest.fixture
def mesc(tmp_path: Path) -> Path:
    with (tmp_path / "MESC.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("Utterance", "Speaker", "Emotion", "Strategy", "Dialogue_ID"), *ROWS]
        )
    splits = {"train": [0], "val": [1], "test": [2]}
    (tmp_path / "derived_splits_by_Dialogue_ID.json").write_text(json.dumps(splits))
    (tmp_path / "test.json").write_text(json.dumps(SCENES))
    return tmp_path


def test_the_train_split_is_rebuilt_from_the_csv(mesc: Path) -> None:
    train = load(mesc, "train")
    assert [row.text for row in train.rows] == [row[0] for row in ROWS[:4]]
    assert [row.speaker for row in train.rows] == ["client", "client", "therapist", "client"]
    assert [MESC_7.labels[e] for e in emotions(train.of("client"))] == [
        "sadness",
        "anger",
        "neutral",
    ]
    assert [row.strategy for row in train.rows] == ["", "", "Open question", ""]
    assert train.problem == {}


def test_the_clue_is_parted_from_the_words(mesc: Path) -> None:
    test = load(mesc, "test")
    assert [row.text for row in test.rows] == ["It ran off.", "I see."]
    assert [row.clue for row in test.rows] == ["The speaker seems calm.", ""]
    assert test.problem == {2: "childhood shadow"}
    assert test.situation == {2: "A dog ran off."}


@pytest.mark.parametrize(
    ("text", "words", "clue"),
    [
        ("Yes. The speaker is calm. He sits.", "Yes.", "The speaker is calm. He sits."),
        ("Ah, The emotion state of the speaker is", "Ah,", "The emotion state of the speaker is"),
        ("The speaker smiles.", "", "The speaker smiles."),
        ("I met the speaker of the house.", "I met the speaker of the house.", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_a_clue_begins_with_the_speaker(text: str, words: str, clue: str) -> None:
    assert split_clue(text) == (words, clue)


def test_turns_merge_what_one_speaker_says_in_a_row(mesc: Path) -> None:
    turns = load(mesc, "train").turns()
    assert [row.text for row in turns.rows] == [
        "I slept badly. Really badly.",
        "How come?",
        "No idea.",
    ]
    # Of equally frequent emotions the first.
    assert MESC_7.labels[turns.rows[0].emotion] == "sadness"


def test_a_bad_row_is_named(mesc: Path) -> None:
    with (mesc / "MESC.csv").open("a") as file:
        file.write("Hm.,Client,boredom,undefined,0\n")
    with pytest.raises(SetupError, match=r"MESC\.csv:7: want Utterance"):
        load(mesc, "train")


@pytest.mark.parametrize("harm", ["one more", "no dialog"])
def test_a_split_that_does_not_fit_is_refused(mesc: Path, harm: str) -> None:
    scenes: list[dict[str, Any]] = [*SCENES, *SCENES] if harm == "one more" else [{}]
    (mesc / "test.json").write_text(json.dumps(scenes))
    with pytest.raises(SetupError, match=r"test\.json"):
        load(mesc, "test")


def test_an_empty_split_is_refused(mesc: Path) -> None:
    splits = {"train": [77], "val": [], "test": []}
    (mesc / "derived_splits_by_Dialogue_ID.json").write_text(json.dumps(splits))
    with pytest.raises(SetupError, match="no utterances of the split 'train'"):
        load(mesc, "train")


@pytest.mark.data
def test_the_splits_have_their_published_sizes(data_root: Path) -> None:
    if not (data_root / "mesc").is_dir():
        pytest.skip("MESC is absent")
    read = [load(data_root, split) for split in ("train", "val", "test")]
    assert [len(each.rows) for each in read] == [23126, 2714, 2922]
    numbers = [{row.dialogue for row in each.rows} for each in read]
    assert [len(each) for each in numbers] == [815, 102, 102]
    assert not numbers[0] & numbers[1] | numbers[0] & numbers[2] | numbers[1] & numbers[2]
    assert len(read[2].turns().of("client")) == 534
    assert np.bincount(emotions(read[2].of("client"))).sum() == 1849
    assert all(row.clue for row in read[2].rows)
