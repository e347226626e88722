from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.corpora.meld import ACTION_UNITS, VOICE, load
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import EKMAN_7

# Two dialogues of dev: in the second the faces are one utterance short.
SAID = [
    ("Oh, hello.", "Ana", "joy", "positive", 0, 0),
    ("Go away!", "Ben", "anger", "negative", 0, 2),
    ("Why?", "Ana", "surprise", "negative", 1, 0),
    ("Well.", "Ben", "neutral", "neutral", 1, 1),
]
FACES = {
    "1039": ["Jaw drop (intensity: 2.50), Blink (intensity: 1.10)",
             "No significant facial expressions detected"],
    "1040": ["Dimpler (intensity: 1.00)"],
}  # fmt: skip


@pytest.fixture
def meld(tmp_path: Path) -> Path:
    header = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
    write(tmp_path / "dev_sent_emo.csv", [header, *SAID])
    numbers = [1.5, 60, 8, 250, 40, 160, 3.5, "--undefined--"]
    sounds = [("dia0_utt0.wav", *numbers), ("dia0_utt2.wav", *numbers), ("dia1_utt0.wav", *numbers)]
    write(tmp_path / "meld_dev_audio_features.csv", [("filename", *VOICE), *sounds])
    faces = {key: {"visual_expressions": shown} for key, shown in FACES.items()}
    (tmp_path / "dev_dialogue_visual_expressions.json").write_text(json.dumps(faces))
    return tmp_path


def write(file: Path, rows: list[tuple[object, ...]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)


def test_words_voice_and_face_meet_in_one_row(meld: Path) -> None:
    scenes = load(meld, "dev")
    assert scenes.texts == ("Oh, hello.", "Go away!", "Why?", "Well.")
    assert scenes.speakers == ("Ana", "Ben", "Ana", "Ben")
    assert [EKMAN_7.labels[e] for e in scenes.emotion] == ["joy", "anger", "surprise", "neutral"]
    assert scenes.sentiment.tolist() == [2, 0, 0, 1]
    assert scenes.dialogue.tolist() == [0, 0, 1, 1]
    assert scenes.utterance.tolist() == [0, 2, 0, 1]
    assert scenes.face[0, ACTION_UNITS.index("Jaw drop")] == 2.5
    assert scenes.face[0, ACTION_UNITS.index("Blink")] == np.float32(1.1)
    assert (scenes.face[1:] == 0).all()


def test_a_face_that_nobody_can_place_is_masked(meld: Path) -> None:
    """A neutral face is known to be neutral; one of a dialogue that does not match is not."""
    assert load(meld, "dev").seen.tolist() == [True, True, False, False]


def test_a_number_that_is_not_given_is_none(meld: Path) -> None:
    voice = load(meld, "dev").voice
    assert np.isnan(voice[:3, 7]).all()
    assert np.isnan(voice[3]).all()
    assert voice[0, :7].tolist() == [1.5, 60, 8, 250, 40, 160, 3.5]


def test_a_slice_holds_whole_dialogues(meld: Path) -> None:
    assert len(load(meld, "dev", limit=2)) == 2
    assert len(set(load(meld, "dev", limit=3).dialogue.tolist())) == 1


def test_a_bad_row_is_named(meld: Path) -> None:
    with (meld / "dev_sent_emo.csv").open("a") as file:
        file.write("Hm.,Ana,boredom,neutral,2,0\n")
    with pytest.raises(SetupError, match=r"dev_sent_emo\.csv:6: want Utterance"):
        load(meld, "dev")


def test_an_unknown_action_unit_is_refused(meld: Path) -> None:
    faces = {
        "1039": {"visual_expressions": ["Ear wiggle (intensity: 3.00)", "Blink (intensity: 1)"]}
    }
    (meld / "dev_dialogue_visual_expressions.json").write_text(json.dumps(faces))
    with pytest.raises(SetupError, match="'Ear wiggle' is no action unit"):
        load(meld, "dev")


@pytest.mark.data
def test_the_whole_corpus_has_its_published_size(data_root: Path) -> None:
    if not (data_root / "meld").is_dir():
        pytest.skip("MELD is absent")
    assert [len(load(data_root, split)) for split in ("train", "dev", "test")] == [9989, 1109, 2610]
    test = load(data_root, "test")
    masked = {
        d for d, seen in zip(test.dialogue.tolist(), test.seen.tolist(), strict=True) if not seen
    }
    assert len(masked) == 61
