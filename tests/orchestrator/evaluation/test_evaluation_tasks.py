"""The text tasks on invented corpora, with readers that are told what to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from affectgraph.orchestrator.evaluation import Bench, Result, Row, Table
from affectgraph.orchestrator.evaluation.readings import Told
from affectgraph.orchestrator.evaluation.tasks.emobank import EmoBank
from affectgraph.orchestrator.evaluation.tasks.esconv import EsconvRetrieval
from affectgraph.orchestrator.evaluation.tasks.ferplus import FerPlus
from affectgraph.orchestrator.evaluation.tasks.goemotions import GoEmotions
from affectgraph.orchestrator.evaluation.tasks.mesc import MescEmotion
from affectgraph.orchestrator.evaluation.tasks.ravdess import Ravdess
from affectgraph.orchestrator.evaluation.tasks.tweeteval import TweetEval, four
from affectgraph.orchestrator.testing import FakePerceiver
from affectgraph.perceivers.affect import Modality, Reading
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import (
    EKMAN_7,
    FERPLUS_8,
    GOEMOTIONS_28,
    PLUTCHIK_8,
    RAVDESS_8,
    LabelSet,
)
from affectgraph.perceivers.turn import Turn
from tests.orchestrator.evaluation.evaluation_helpers import WordReader

Make = Callable[..., Bench]


def table(result: Result, *words: str) -> Table:
    (found,) = [each for each in result.tables if all(word in each.title for word in words)]
    return found


def row(of: Table, name: str) -> Row:
    (found,) = [each for each in of.rows if each.name.startswith(name)]
    return found


def value(of: Table, name: str, metric: str) -> float:
    return row(of, name).metrics[metric].value


def kinds(of: Table) -> set[str]:
    return {each.kind for each in of.rows}


async def test_goemotions_prints_three_views_beside_their_rows(
    make_bench: Make, goemotions: Path
) -> None:
    result = await GoEmotions().run(make_bench(WordReader()))
    for words in (("28 labels",), ("Ekman's 7", "multi-label"), ("4 sentiments",)):
        found = table(result, *words)
        assert kinds(found) == {"ours", "baseline", "published"}
        assert value(found, "mine", "macro_f1") > 0.9
        assert value(found, "majority", "macro_f1") < 0.3
        assert row(found, "mine").metrics["macro_f1"].low is not None
    top = table(result, "most probable")
    assert value(top, "mine", "accuracy") == 1.0
    # One text of each label names it alone, and neutral's second label is itself.
    assert row(top, "mine").n == 28
    assert 0 <= value(top, "mine", "ece") <= 1
    assert result.facts["abstained"] == 0
    assert float(result.facts["milliseconds_a_message_least"]) > 0


async def test_goemotions_takes_a_reader_over_ekmans_seven(
    make_bench: Make, goemotions: Path
) -> None:
    result = await GoEmotions().run(make_bench(WordReader(EKMAN_7)))
    assert [each.title for each in result.tables if "28" in each.title] == []
    assert row(table(result, "most probable"), "mine").n == 28


async def test_a_slice_reads_no_more_than_it_says(make_bench: Make, goemotions: Path) -> None:
    reader = WordReader()
    result = await GoEmotions().run(make_bench(reader, limit=10))
    assert result.facts["texts"] == 10
    # Dev and test are the same texts here; each of them is read for the table and timed.
    assert len(set(reader.read_texts)) <= 20


async def test_another_seed_draws_another_slice(
    make_bench: Make, goemotions: Path, emobank: Path, tmp_path: Path
) -> None:
    for asked in (GoEmotions(), EmoBank()):
        seen = []
        for seed in (0, 1):
            reader = WordReader()
            await asked.run(make_bench(reader, limit=6, seed=seed, run=tmp_path / f"run{seed}"))
            seen.append(set(reader.read_texts))
        assert seen[0] != seen[1]


async def test_emobank_correlates_and_the_mean_does_not(make_bench: Make, emobank: Path) -> None:
    result = await EmoBank().run(make_bench(WordReader()))
    valence = table(result, "valence")
    assert value(valence, "mine", "pearson") > 0.95
    assert np.isnan(value(valence, "training mean", "pearson"))
    assert value(valence, "training mean", "ccc") == 0
    assert abs(value(valence, "random", "pearson")) < 0.9
    assert [each.title.split(", ")[1] for each in result.tables] == [
        "valence",
        "arousal",
        "dominance",
    ]
    assert result.facts["source of the readings"] == "derived from the distribution"
    json.dumps(result.as_json(rows=True), allow_nan=False)


async def test_tweeteval_is_told_through_the_declared_mapping(
    make_bench: Make, tweeteval: Path
) -> None:
    result = await TweetEval().run(make_bench(WordReader()))
    (found,) = result.tables
    assert value(found, "mine, zero-shot", "accuracy") == 1.0
    assert "Zero-shot" in found.note
    other = make_bench(WordReader(EKMAN_7), run=tweeteval / "other-run")
    over_ekman = await TweetEval().run(other)
    # Optimism is never told by a reader that has no such label.
    assert value(over_ekman.tables[0], "mine", "accuracy") == 0.75


async def test_a_reader_that_only_abstains_is_told_as_the_prior(
    make_bench: Make, tweeteval: Path
) -> None:
    class Silent(WordReader):
        async def read(self, text: str, captured_at: datetime) -> Reading:
            return Reading.abstain("text", "absent", "nothing")

    # It has no labels that would have to be mapped.
    result = await TweetEval().run(make_bench(Silent()))
    assert result.facts["abstained"] == 20


def test_labels_that_cannot_be_told_are_refused_by_name() -> None:
    weather = LabelSet(name="weather", labels=("sun", "rain"), kind="emotion", source="a window")
    told = Told(weather, np.full((3, 2), 0.5), np.zeros((3, 3)))
    with pytest.raises(SetupError, match="speaks weather, which has no mapping"):
        four(told, np.full(4, 0.25))


async def test_abstentions_are_counted_and_stand_as_the_prior(
    make_bench: Make, tweeteval: Path
) -> None:
    texts = tweeteval / "tweeteval-emotion" / "test_text.txt"
    _garble(texts)
    result = await TweetEval().run(make_bench(WordReader()))
    assert result.facts["abstained"] == 5
    # The training posts are even over the classes, so the prior tells the first: anger.
    assert value(result.tables[0], "mine", "accuracy") == 1.0


def _garble(file: Path) -> None:
    file.write_text(file.read_text().replace("anger", "mumble"))


async def test_mesc_counts_utterances_and_merged_turns(make_bench: Make, mesc: Path) -> None:
    reader = WordReader()
    result = await MescEmotion().run(make_bench(reader))
    utterances, turns = table(result, "utterances"), table(result, "turns")
    assert row(utterances, "mine").n == 6
    assert row(turns, "mine").n == 4
    assert value(utterances, "mine", "accuracy") == 1.0
    # Per dialogue: joy, joy, [therapist], anger. Neutral stands before the first.
    assert value(utterances, "persistence, the client's", "accuracy") == pytest.approx(1 / 3)
    assert value(utterances, "persistence, the last of anybody", "accuracy") == pytest.approx(1 / 3)
    assert value(turns, "persistence, the client's last turn", "accuracy") == 0
    assert value(turns, "persistence, the client's last utterance", "accuracy") == 0
    assert "published" in kinds(turns)
    # The reader never sees the clue of the video model.
    assert all("speaker" not in text for text in reader.read_texts)


async def test_esconv_compares_the_embedding_with_the_original(
    make_bench: Make, esconv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Original:
        async def warm_up(self) -> None:
            """Nothing to load."""

        async def embed(self, texts: Sequence[str]) -> list[list[float]]:
            """Near where the problem is the same."""
            return [[1.0, 0.0] if "job" in text else [0.0, 1.0] for text in texts]

    module = "affectgraph.orchestrator.evaluation.tasks.esconv._original"
    monkeypatch.setattr(module, lambda bench: Original())
    result = await EsconvRetrieval().run(make_bench())
    held = table(result, "same problem type", "held-out")
    assert value(held, "all-MiniLM-L6-v2", "ndcg@10") == pytest.approx(1.0)
    assert 0 < value(held, "mine", "ndcg@10") <= 1
    assert value(held, "mine", "ratio to original") == pytest.approx(
        value(held, "mine", "ndcg@10"), rel=1e-9
    )
    assert row(held, "mine").n == 12
    assert row(table(result, "same emotion type", "leave one out"), "mine").n == 18


async def test_a_spec_without_the_sense_is_told_so(make_bench: Make, goemotions: Path) -> None:
    with pytest.raises(SetupError, match="no perceiver of text"):
        await GoEmotions().run(make_bench())


async def test_an_absent_corpus_is_named(make_bench: Make, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no folder .*goemotions"):
        await GoEmotions().run(make_bench(WordReader()))


class FaceReader(FakePerceiver):
    """Looks at each photo and tells happiness where it is bright."""

    def __init__(self) -> None:
        super().__init__("face", "joy", seconds=0)


async def test_ferplus_shows_photos_to_a_perceiver_of_ones_own(
    make_bench: Make, ferplus: Path
) -> None:
    reader = FaceReader()
    result = await FerPlus().run(make_bench(reader))
    (found,) = result.tables
    # Its readings are over Ekman's seven, from which there is no way to FER+'s eight.
    assert found.title == "FER+, test, 7 classes"
    assert kinds(found) == {"ours", "baseline"}
    assert reader.calls == row(found, "mine").n == 40
    assert value(found, "mine", "accuracy") == pytest.approx(1 / 8)


async def test_ferplus_reads_framed_faces_with_our_head(make_bench: Make, ferplus: Path) -> None:
    from affectgraph.perceivers.face import FaceEmotion

    result = await FerPlus().run(make_bench(FaceEmotion()))
    (found,) = result.tables
    assert row(found, "mine").n == 40
    assert value(found, "random", "accuracy") < 0.5
    assert "the spec sets for it do not count" in row(found, "mine").note
    assert value(found, "VGG13 of Barsoum et al. 2016, probabilistic", "accuracy") == 0.850
    assert {type(figure).__name__ for figure in result.figures} == {
        "Confusion",
        "Reliability",
        "Bars",
    }
    assert float(result.facts["milliseconds_a_face_least"]) > 0


class Loud(FakePerceiver):
    """Abstains on everything it hears."""

    def __init__(self) -> None:
        super().__init__("speech")
        self.heard = 0

    async def perceive(self, turn: Turn) -> Reading:
        self.heard += 1
        modality: Modality = "speech"
        return Reading.abstain(modality, "silence", "nothing heard")


async def test_ravdess_hears_a_perceiver_of_ones_own(make_bench: Make, tmp_path: Path) -> None:
    _recordings(tmp_path / "data" / "ravdess", (1, 2))
    result = await Ravdess().run(make_bench(Loud()))
    assert result.facts["abstained"] == 16
    (found,) = result.tables
    assert row(found, "mine").n == 16
    assert value(found, "majority", "uar") == pytest.approx(1 / len(RAVDESS_8))
    assert "knows these actors" in found.note


async def test_ravdess_takes_its_floors_from_other_actors(make_bench: Make, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "ravdess"
    # Of actors 1 and 7, in folds of their own, the one is mostly happy, the other mostly sad.
    _recordings(folder, (1, 7))
    for repetition in (2, 3):
        for emotion, actor in ((3, 1), (4, 7)):
            (folder / f"03-01-{emotion:02d}-01-01-{repetition:02d}-{actor:02d}.flac").touch()
    result = await Ravdess().run(make_bench(Loud()))
    (found,) = result.tables
    # Each is told what the other mostly is, by the majority row and where there is no reading.
    assert value(found, "majority", "accuracy") == value(found, "mine", "accuracy") == 2 / 20


async def test_ravdess_knows_a_recording_by_its_sound(make_bench: Make, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "ravdess"
    _recordings(folder, (1,))
    for content, calls in ((b"", 8), (b"", 0), (b"another sound", 8)):
        next(iter(sorted(folder.iterdir()))).write_bytes(content)
        reader = Loud()
        await Ravdess().run(make_bench(reader))
        assert reader.heard == calls


def _recordings(folder: Path, actors: Sequence[int]) -> None:
    folder.mkdir(parents=True)
    for emotion in range(1, 9):
        for actor in actors:
            (folder / f"03-01-{emotion:02d}-01-01-01-{actor:02d}.flac").touch()


@pytest.mark.parametrize(
    ("label_set", "told"),
    # FER+ says happiness, not joy, so that this reader names anger alone.
    [(GOEMOTIONS_28, 1.0), (EKMAN_7, 1.0), (FERPLUS_8, 0.5), (PLUTCHIK_8, 1.0)],
)
async def test_any_label_set_with_a_mapping_reaches_mesc(
    make_bench: Make, mesc: Path, label_set: LabelSet, told: float
) -> None:
    result = await MescEmotion().run(make_bench(WordReader(label_set)))
    # The client's turns are of joy and of anger.
    assert value(table(result, "turns"), "mine", "accuracy") == told
