from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from affectgraph.orchestrator.evaluation import Bench
from affectgraph.orchestrator.evaluation.abstention_photos import BAD as BAD_PHOTOS
from affectgraph.orchestrator.evaluation.abstention_photos import Portrait, bad_photos, good_photos
from affectgraph.orchestrator.evaluation.abstention_sounds import BAD as BAD_SOUNDS
from affectgraph.orchestrator.evaluation.abstention_sounds import bad_sounds, mixed, pink, white
from affectgraph.orchestrator.evaluation.abstention_sources import EACH, Specimen, gather
from affectgraph.orchestrator.evaluation.abstention_texts import BAD as BAD_TEXTS
from affectgraph.orchestrator.evaluation.abstention_texts import GOOD, bad_texts
from affectgraph.orchestrator.evaluation.tasks.abstention import Abstention, as_turn
from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.errors import NodeError, SetupError
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.text.language import unreadable
from affectgraph.perceivers.turn import Turn

EXAMPLES = Path(__file__).parents[3] / "examples"


def voices() -> list[np.ndarray]:
    time = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
    return [(np.sin(2 * np.pi * 180 * time) * np.sin(9 * time) * 0.3).astype(np.float32)]


def portraits() -> list[Portrait]:
    photo = np.random.default_rng(0).integers(0, 256, (200, 160, 3)).astype(np.uint8)
    return [Portrait(photo, (50, 40, 110, 120))]


def scenes() -> list[np.ndarray]:
    return [np.random.default_rng(1).integers(0, 256, (240, 320, 3)).astype(np.uint8)]


class Careful:
    """Abstains by a rule of its own; counts what it saw."""

    def __init__(self, modality: Modality, declines: Callable[[Turn], bool]) -> None:
        self.modality: Modality = modality
        self._declines = declines
        self.seen = 0

    async def warm_up(self) -> None:
        """Nothing to load."""

    async def perceive(self, turn: Turn) -> Reading:
        self.seen += 1
        if self._declines(turn):
            return Reading.abstain(self.modality, "low-quality", "by rule")
        affect = Affect.read(Distribution.certain(EKMAN_7, "neutral"), turn.at)
        return Reading(modality=self.modality, affect=affect, model="rule")


def test_there_are_two_hundred_bad_inputs_and_more() -> None:
    assert EACH * (len(BAD_SOUNDS) + len(BAD_PHOTOS) + len(BAD_TEXTS)) >= 200


def test_sounds_are_sounds_and_come_from_the_seed() -> None:
    made, again, other = (list(bad_sounds(voices(), 2, seed)) for seed in (1, 1, 2))
    assert Counter(kind for kind, _ in made) == dict.fromkeys(BAD_SOUNDS, 2)
    for (_, one), (_, two) in zip(made, again, strict=True):
        assert one.dtype == np.float32
        assert np.abs(one).max() <= 1.0
        assert np.array_equal(one, two)
    assert any(not np.array_equal(a, b) for (_, a), (_, b) in zip(made, other, strict=True))


def test_a_voice_is_buried_as_deep_as_it_is_said() -> None:
    rng = np.random.default_rng(0)
    voice = (voices()[0] * 0.05).astype(np.float32)
    noise = white(rng, len(voice))
    total = mixed(voice, noise, -10.0)
    left = total - voice
    assert 10 * np.log10(np.var(left) / np.mean(voice**2)) == pytest.approx(10, abs=0.2)


def test_pink_noise_falls_by_three_decibels_an_octave() -> None:
    noise = pink(np.random.default_rng(0), 2**16)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octave = [power[2**k : 2 ** (k + 1)].mean() for k in (8, 9, 10, 11, 12)]
    assert np.diff(10 * np.log10(octave)) == pytest.approx(-3, abs=0.6)


def test_photos_are_photos_and_come_from_the_seed() -> None:
    made, again = (list(bad_photos(portraits(), scenes(), 3, 4)) for _ in range(2))
    assert Counter(kind for kind, _ in made) == dict.fromkeys(BAD_PHOTOS, 3)
    for (_, one), (_, two) in zip(made, again, strict=True):
        assert one.dtype == np.uint8
        assert one.ndim == 3
        assert min(one.shape[:2]) >= 32
        assert np.array_equal(one, two)


def test_dark_is_dark_and_overexposed_is_bright() -> None:
    means = {kind: photo.mean() for kind, photo in bad_photos(portraits(), scenes(), 1, 0)}
    assert means["dark"] < 25
    assert means["overexposed"] > 200


def test_good_photos_keep_the_person_in_sight() -> None:
    portrait = portraits()[0]
    for _, photo in good_photos([portrait], 6, 0):
        assert 40 < photo.mean() < 220
        assert photo.shape[0] >= 0.6 * portrait.photo.shape[0] - 1


def test_the_text_perceivers_check_tells_bad_texts_from_good_ones() -> None:
    bad = [(kind, unreadable(text) is not None) for kind, text in bad_texts(40, 3)]
    missed = Counter(kind for kind, declined in bad if not declined)
    assert sum(missed.values()) <= 0.03 * len(bad), missed
    assert [text for text in GOOD if unreadable(text)] == []


def test_blank_text_reaches_the_perceiver(tmp_path: Path) -> None:
    turn = as_turn(Specimen("text", "blank", True, "  "), tmp_path)
    assert turn.text == "  "


def test_a_sound_reaches_the_perceiver_as_it_is(tmp_path: Path) -> None:
    sound = voices()[0]
    turn = as_turn(Specimen("speech", "recording", False, sound), tmp_path)
    assert turn.audio is not None
    assert turn.audio.samples == pytest.approx(sound, abs=1e-4)


def test_without_any_voice_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"voice\.flac"):
        gather(tmp_path, tmp_path, 0)


async def test_it_counts_who_abstains_and_keeps_it(make_bench: Callable[..., Bench]) -> None:
    def careful() -> list[Careful]:
        return [
            Careful("text", lambda turn: unreadable(turn.text) is not None),
            Careful("face", lambda turn: True),
            Careful("speech", lambda turn: False),
        ]

    perceivers = careful()
    bench = make_bench(*perceivers, limit=240)
    result = await Abstention(EXAMPLES).run(bench)
    rows = {row.name: row.metrics for row in result.tables[0].rows}
    assert rows["face"]["bad"].value == rows["face"]["good"].value == 1
    assert rows["speech"]["bad"].value == rows["speech"]["good"].value == 0
    assert rows["text"]["bad"].value > 0.9
    assert rows["text"]["good"].value == 0
    assert rows["never abstains (most frequent on good inputs)"]["bad"].value == 0
    assert {table.title for table in result.tables[1:]} == {
        "Abstentions on bad inputs by kind",
        "Abstentions on good inputs by kind",
    }
    assert sum(each.seen for each in perceivers) == 240
    assert result.facts["broke on, text"] == 0
    # A second run shows nobody anything: all is kept.
    late = careful()
    again = await Abstention(EXAMPLES).run(make_bench(*late, limit=240))
    assert sum(each.seen for each in late) == 0
    assert again.as_json() == result.as_json()


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[Specimen]:
    """Messages only, so that a test need not make photos and sounds."""
    specimens = [Specimen("text", "blank", True, " " * n) for n in range(1, 5)]
    specimens += [Specimen("text", "message", False, f"I am fine, {n}") for n in range(4)]
    specimens += [Specimen("text", "message", False, "hm", hard=True)]
    monkeypatch.setattr(Abstention, "_specimens", lambda task, bench: specimens)
    return specimens


def senses(text: Careful) -> list[Careful]:
    return [text, Careful("face", lambda turn: False), Careful("speech", lambda turn: False)]


@pytest.mark.parametrize("how", ["error", "failed", "timeout"])
async def test_a_perceiver_that_breaks_has_not_declined(
    make_bench: Callable[..., Bench], few: list[Specimen], how: str
) -> None:
    class Broken(Careful):
        async def perceive(self, turn: Turn) -> Reading:
            if how == "error":
                raise NodeError("text", "broken")
            return Reading.abstain("text", how, "broken")

    result = await Abstention().run(make_bench(*senses(Broken("text", lambda turn: True))))
    (told,) = [row.metrics for row in result.tables[0].rows if row.name == "text"]
    assert (told["bad"].value, told["good"].value) == (0, 1)
    assert result.facts["broke on, text"] == len(few)


async def test_other_limits_of_a_perceiver_are_asked_again(
    make_bench: Callable[..., Bench], few: list[Specimen]
) -> None:
    async def run(entry: str, declines: bool) -> float:
        bench = make_bench(*senses(Careful("text", lambda turn: declines)))
        subjects = replace(bench.subjects, options=MappingProxyType({"text": entry}))
        result = await Abstention().run(replace(bench, subjects=subjects))
        return result.tables[0].rows[3].metrics["bad"].value

    assert await run("strict", True) == 1
    assert await run("lax", False) == 0
    assert await run("strict", False) == 1


async def test_bad_and_good_inputs_are_kept_apart_and_know_their_rows(
    make_bench: Callable[..., Bench], few: list[Specimen], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Careful("text", lambda turn: not turn.text.strip())
    bad, good = (await Abstention().run(make_bench(*senses(reader)))).kept
    assert (bad.told.tolist(), good.told.tolist()) == ([1] * 4, [0] * 4)
    others = [replace(each, content=f"{each.content}!") for each in few]
    monkeypatch.setattr(Abstention, "_specimens", lambda task, bench: others)
    again = (await Abstention().run(make_bench(*senses(reader)))).kept
    for one, other in zip((bad, good), again, strict=True):
        assert one.name == other.name
        assert not np.array_equal(one.truth, other.truth)
        assert len(set(one.truth.tolist())) == 4
