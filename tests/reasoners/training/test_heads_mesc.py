from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.reasoners.heads.runs import Protocol
from affectgraph.reasoners.training import heads_mesc_rows
from affectgraph.reasoners.training.heads_fit import (
    Recipe,
    WordsRecipe,
    fit_perceptrons,
    principal,
)
from affectgraph.reasoners.training.heads_kept import Shelf
from affectgraph.reasoners.training.heads_mesc_blend import Blend
from affectgraph.reasoners.training.heads_mesc_data import Talk, content, encoded, talks
from affectgraph.reasoners.training.heads_mesc_fit import HeadForm, Readers, fit, table
from affectgraph.reasoners.training.heads_mesc_forms import FELT, FORMS

SAID = {"joy": "I passed, and we danced all night.", "sadness": "The house is empty since then."}
HEAD = (
    "Utterance", "Speaker", "Emotion", "Strategy", "Dialogue_ID", "Utterance_ID", "Season",
    "Episode", "StartTime", "EndTime",
)  # fmt: skip
PER_SPLIT = {"train": range(24), "val": range(24, 28), "test": range(28, 34)}


class Encodes:
    """Draws a text's numbers from its words, so that like words have like numbers."""

    def __init__(self) -> None:
        self.asked = 0

    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> list[Encoding]:
        self.asked += len(texts)
        return [self._of(text) for text in texts]

    @staticmethod
    def _of(text: str) -> Encoding:
        rows = [
            np.random.default_rng([ord(c) for c in word]).normal(size=768) for word in text.split()
        ]
        features = np.mean(rows, axis=0).astype(np.float32)
        return Encoding(
            features[:384], features, np.full(28, 1 / 28, np.float32), np.full(3, 3, np.float32)
        )


def scene(number: int) -> list[tuple[str, str, str, str]]:
    """A dialogue whose emotion is told by its words, and whose strategy by its place."""
    emotion = "joy" if number % 2 else "sadness"
    return [
        (SAID[emotion], "Client", emotion, "undefined"),
        ("Yes.", "Client", emotion, "undefined"),
        (f"Tell me more of it, number {number}.", "Therapist", "neutral", "open question"),
        (SAID[emotion], "Client", emotion, "undefined"),
        ("So it seems.", "Therapist", "neutral", "Restatement"),
    ]


@pytest.fixture
def known(corpus: Path) -> tuple[Talk, ...]:
    return talks(corpus, "train")


@pytest.fixture
def rows(known: tuple[Talk, ...], tmp_path: Path) -> dict[int, NDArray[np.float16]]:
    return asyncio.run(encoded(known, Encodes(), Shelf(tmp_path / "run"), version="1"))


@pytest.fixture
def place(corpus: Path) -> dict[int, tuple[int, int]]:
    splits = get_args(mesc.Split)
    return {talk.number: talk.place for split in splits for talk in talks(corpus, split)}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    place = tmp_path / "mesc"
    place.mkdir()
    with (place / "MESC.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEAD)
        for number in range(34):
            for at, row in enumerate(scene(number)):
                times = f"00:00:{2 * at:02},000", f"00:00:{2 * at + 1:02},000"
                writer.writerow([*row, number, at, 1, number // 3, *times])
    splits = {split: list(numbers) for split, numbers in PER_SPLIT.items()}
    (place / "derived_splits_by_Dialogue_ID.json").write_text(json.dumps(splits))
    for split in ("val", "test"):
        scenes = [
            {
                "problem_type": "x",
                "situation": "y",
                "dialog": [
                    {
                        "text": f"{text} The speaker seems {emotion}.",
                        "speaker": "user" if who == "Client" else "sys",
                        "emotion": emotion,
                        "strategy": strategy,
                    }
                    for text, who, emotion, strategy in scene(number)
                ],
            }
            for number in PER_SPLIT[split]
        ]
        (place / f"{split}.json").write_text(json.dumps(scenes))
    return tmp_path


def test_components_have_the_spread_they_count_with() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(400, 5)) @ draw.normal(size=(5, 20))
    mean, basis = principal(rows, 4)
    spread = ((rows - mean) @ basis).std(axis=0)
    assert basis.shape == (20, 4)
    assert spread[0] == pytest.approx(2, rel=0.05)
    assert (np.diff(spread) < 1e-6).all()


def test_perceptrons_learn_what_is_not_linear() -> None:
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(600, 4))
    labels = ((rows[:, 0] > 0) != (rows[:, 1] > 0)).astype(np.int64)
    recipe = Recipe(epochs=60, drop=0.0, rate=1e-2, decay=0.0)
    net = fit_perceptrons(rows, np.eye(2)[labels], labels, recipe, [0, 1])
    assert (net.probs(rows).argmax(axis=1) == labels).mean() > 0.9
    again = fit_perceptrons(rows, np.eye(2)[labels], labels, recipe, [0, 1])
    assert np.array_equal(net.each(rows), again.each(rows))
    first, second = net.each(rows)
    assert not np.array_equal(first, second)


def test_a_dialogue_is_read_by_a_reader_that_has_not_seen_it(
    known: tuple[Talk, ...], rows: dict[int, NDArray[np.float16]]
) -> None:
    readers = Readers(known, rows, WordsRecipe(components=6, steps=10), 3)
    unseen = readers.code(known[0], "free").emotion_read
    whole = readers.whole.code(
        known[0].lines, rows[known[0].number].astype(float), given=False, text=6
    )
    assert not np.allclose(unseen, whole.emotion_read)


async def test_what_was_encoded_is_kept(known: tuple[Talk, ...], tmp_path: Path) -> None:
    encoder, shelf = Encodes(), Shelf(tmp_path / "run")
    first = await encoded(known, encoder, shelf, version="1")
    asked = encoder.asked
    second = await encoded(known, encoder, shelf, version="1")
    assert encoder.asked == asked
    assert np.array_equal(first[0], second[0])
    await encoded(known, encoder, shelf, version="2")
    assert encoder.asked == 2 * asked
    await encoded(known, encoder, Shelf(tmp_path / "run", resume=False), version="1")
    assert encoder.asked == 3 * asked


def test_content_is_words_labels_times_and_what_the_encoder_says(
    known: tuple[Talk, ...], rows: dict[int, NDArray[np.float16]]
) -> None:
    first, *others = known
    line = first.lines[0]
    changed = [
        replace(line, text="The house was empty."),
        replace(line, emotion=line.emotion + 1),
        replace(line, span=(0.5, 1.0)),
        replace(line, clue="The speaker smiles."),
    ]
    told = {content(known, rows), content(known, {**rows, first.number: rows[first.number] + 1})}
    for each in changed:
        talk = replace(first, lines=(each, *first.lines[1:]))
        told.add(content([talk, *others], rows))
    assert len(told) == 2 + len(changed)
    assert content(known, dict(rows)) in told


def test_a_table_has_a_row_for_every_stretch(
    known: tuple[Talk, ...], rows: dict[int, NDArray[np.float16]]
) -> None:
    readers = Readers(known, rows, WordsRecipe(components=6, steps=10), 3)
    turns = table(known, readers, HeadForm("user_emotion", "gold", FELT))
    lines = table(known, readers, HeadForm("user_emotion", "gold", FELT, "utterance"))
    assert len(turns.truth) == 2 * len(known)
    assert len(lines.truth) == 3 * len(known)
    assert np.allclose(turns.shares.sum(axis=1), 1)


@pytest.mark.parametrize("protocol", get_args(Protocol))
def test_a_head_learns_what_the_words_tell(
    known: tuple[Talk, ...], rows: dict[int, NDArray[np.float16]], protocol: Protocol
) -> None:
    readers = Readers(known[:16], rows, WordsRecipe(components=6), 3)
    form = HeadForm("user_emotion", protocol, FELT, recipe=Recipe(epochs=60, batch=16))
    head = fit(table(known[:16], readers, form), form, [0, 1])
    unseen = table(known[16:], readers, form)
    assert (head.probs(unseen.rows).argmax(axis=1) == unseen.truth).mean() > 0.9


async def test_the_rows_are_those_of_the_test_split(
    corpus: Path, place: dict[int, tuple[int, int]], tmp_path: Path
) -> None:
    encoder, kept = Encodes(), tmp_path / "run"
    predictions = partial(
        heads_mesc_rows.predictions, corpus, encoder, version="1", run=kept, limit=200
    )
    told = await predictions()
    official = [run for run in told if run.split == "official"]
    # Blends: of two labels in two protocols, alone, with the clue, and the clue by itself; of the
    # emotion with the times as well.
    assert len(official) == len(FORMS) + 2 * 2 * 3 + 2
    for run in official:
        assert set(run.groups) <= set(PER_SPLIT["test"])
        assert len(run.probs) == len(run.truth)
    tested = {number for run in told if run.split == "episodes" for number in run.groups}
    held = {place[number] for number in tested}
    assert tested == {number for number, where in place.items() if where in held}
    for clue in (run for run in official if run.name == "clue alone"):
        # The clue names the emotion, and is of the turn that a reply answers.
        found = (clue.probs.argmax(axis=1) == clue.truth).mean()
        assert (found > 0.9) == (clue.task == "user_emotion")
    asked = encoder.asked
    again = await predictions()
    assert encoder.asked == asked
    assert all(np.allclose(a.probs, b.probs) for a, b in zip(told, again, strict=True))


async def test_a_fresh_run_takes_nothing_of_an_earlier_one(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads_mesc_rows, "FORMS", FORMS[:1])
    monkeypatch.setattr(Blend, "runs", lambda blend: [])
    encoder, kept, written = Encodes(), tmp_path / "run", list[dict[str, int]]()
    for resume in (True, True, False):
        await heads_mesc_rows.predictions(
            corpus, encoder, version="1", run=kept, limit=200, resume=resume
        )
        written.append(await BlockingPool(size=1).run(lambda: stamps(kept)))
    first, second, fresh = written
    assert first == second
    assert first.keys() == fresh.keys()
    assert all(fresh[name] > time for name, time in first.items())


def stamps(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
