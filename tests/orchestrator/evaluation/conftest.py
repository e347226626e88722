"""Small invented corpora in each corpus's own files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgraph.orchestrator.evaluation import Bench, Bootstrap, Subjects
from affectgraph.orchestrator.testing import FakeFusion, HashEmbedder
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.labels import FERPLUS_8, GOEMOTIONS_28, MESC_7
from tests.orchestrator.evaluation.evaluation_helpers import write_csv, write_tsv


@pytest.fixture
def make_bench(tmp_path: Path) -> Callable[..., Bench]:
    def make(*perceivers: Perceiver, **options: Any) -> Bench:
        subjects = Subjects("mine", perceivers, FakeFusion(), HashEmbedder())
        settings: dict[str, Any] = {"bootstrap": Bootstrap(draws=20), "run": tmp_path / "run"}
        return Bench(subjects, tmp_path / "data", **{**settings, **options})

    return make


@pytest.fixture
def goemotions(tmp_path: Path) -> Path:
    """Texts that name their labels: two of each, one of them with neutral beside it."""
    labels = GOEMOTIONS_28.labels
    single = [
        (f"so much {label} today", number, f"a{number}") for number, label in enumerate(labels)
    ]
    double = [
        (f"{label} and neutral", f"{number},27", f"b{number}")
        for number, label in enumerate(labels[:-1])
    ]
    for split in ("train", "dev", "test"):
        write_tsv(tmp_path / "data" / "goemotions" / f"{split}.tsv", [*single, *double])
    return tmp_path / "data"


@pytest.fixture
def emobank(tmp_path: Path) -> Path:
    kinds = {"joy": (4.2, 3.6, 3.3), "sadness": (1.8, 2.6, 2.7), "neutral": (3.0, 3.0, 3.0)}
    rows = [
        (f"{split}{number}", split, *kinds[kind], f"there is {kind} in line {number}")
        for split in ("train", "dev", "test")
        for number in range(6)
        for kind in kinds
    ]
    write_csv(
        tmp_path / "data" / "emobank" / "emobank.csv", [("id", "split", *"VAD", "text"), *rows]
    )
    return tmp_path / "data"


@pytest.fixture
def tweeteval(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "tweeteval-emotion"
    folder.mkdir(parents=True)
    names = ("anger", "joy", "optimism", "sadness")
    for split in ("train", "val", "test"):
        posts = [f"@user {name} number {n} " for n in range(5) for name in names]
        (folder / f"{split}_text.txt").write_text("".join(f"{p}\n" for p in posts))
        (folder / f"{split}_labels.txt").write_text("0\n1\n2\n3\n" * 5)
    return tmp_path / "data"


@pytest.fixture
def mesc(tmp_path: Path) -> Path:
    """Six dialogues of two clients' utterances, a therapist's, and a client's again."""
    folder = tmp_path / "data" / "mesc"
    header = ("Utterance", "Speaker", "Emotion", "Strategy", "Dialogue_ID", "Utterance_ID")
    said = (("Client", "joy"), ("Client", "joy"), ("Therapist", "neutral"), ("Client", "anger"))
    rows = [
        (f"{emotion} in {d}.{u}", who, emotion, "undefined" if who == "Client" else "open question",
         d, u)
        for d in range(6)
        for u, (who, emotion) in enumerate(said)
    ]  # fmt: skip
    write_csv(folder / "MESC.csv", [header, *rows])
    splits = {"train": [0, 1], "val": [2, 3], "test": [4, 5]}
    (folder / "derived_splits_by_Dialogue_ID.json").write_text(json.dumps(splits))
    for split in ("val", "test"):
        scenes = [
            {
                "problem_type": " Childhood  Shadow ",
                "situation": "Something happened.",
                "dialog": [
                    {
                        "text": f"{emotion} in {d}.{u} The speaker seems calm.",
                        "speaker": "user" if who == "Client" else "sys",
                        "emotion": emotion,
                        **({} if who == "Client" else {"strategy": "Open question"}),
                    }
                    for u, (who, emotion) in enumerate(said)
                ],
            }
            for d in splits[split]
        ]
        (folder / f"{split}.json").write_text(json.dumps(scenes))
    assert {emotion for _, emotion in said} <= set(MESC_7.labels)
    return tmp_path / "data"


@pytest.fixture
def esconv(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "esconv"
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        lines = [
            {
                "situation": f"A {problem} of the {split} kind, number {number}",
                "problem_type": problem,
                "emotion_type": emotion,
                "survey_score": {"seeker": {"initial_emotion_intensity": "4"}},
                "dialog": [
                    {"text": "Hello", "speaker": "usr"},
                    {"text": "Hi, how are you?", "speaker": "sys", "strategy": "Question"},
                ],
            }
            for number in range(3)
            for problem, emotion in (("job crisis", "fear"), ("breakup", "sadness"))
        ]
        (folder / f"{split}.txt").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "data"


@pytest.fixture
def ferplus(tmp_path: Path) -> Path:
    """Forty noisy squares a split, each voted one emotion by all ten."""
    folder = tmp_path / "data" / "ferplus"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    emotion = np.tile(np.arange(8), 15)
    classes = (*FERPLUS_8.labels, "unknown", "NF")
    np.savez(
        folder / "ferplus_48x48.npz",
        images=rng.integers(0, 256, (120, 48, 48), dtype=np.uint8),
        votes=np.eye(10, dtype=np.uint8)[emotion] * 10,
        split=np.repeat(np.arange(3, dtype=np.uint8), 40),
        classes=np.array(classes),
        splits=np.array(["train", "valid", "test"]),
    )
    return tmp_path / "data"
