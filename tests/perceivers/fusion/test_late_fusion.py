from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.affect import (
    VAD,
    Affect,
    Distribution,
    Modality,
    Reading,
    expected_vad,
)
from affectgraph.perceivers.errors import BuildError, ModelCorruptError
from affectgraph.perceivers.fusion import LateFusion
from affectgraph.perceivers.labels import EKMAN_7, FERPLUS_8, GOEMOTIONS_28, RAVDESS_8, LabelSet

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def reading(modality: Modality, p: dict[str, float], labels: LabelSet = EKMAN_7) -> Reading:
    return Reading(modality=modality, affect=Affect.read(Distribution.over(labels, p), NOW))


async def test_no_reading_no_affect() -> None:
    silent = Reading.abstain("speech", "silence", "nothing was heard")
    assert await LateFusion().fuse([]) is None
    assert await LateFusion().fuse([silent]) is None


async def test_text_alone_is_taken_at_its_word() -> None:
    fused = await LateFusion().fuse([reading("text", {"joy": 0.7, "neutral": 0.3})])
    assert fused is not None
    assert fused.top == "joy"
    assert fused.confidence == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("label_set", [EKMAN_7, FERPLUS_8, RAVDESS_8], ids=lambda s: s.name)
async def test_one_reading_is_taken_as_it_is(label_set: LabelSet) -> None:
    p = {label_set.labels[0]: 0.55, label_set.labels[2]: 0.45}
    alone = reading("speech", p, label_set)
    fused = await LateFusion().fuse([alone, Reading.abstain("face", "no-face", "none")])
    assert fused is not None
    assert alone.affect is not None
    assert fused.distribution == alone.affect.distribution.to(EKMAN_7)
    assert fused.confidence == fused.distribution.top_p
    assert fused.evidence == alone.affect.evidence
    assert fused.captured_at == NOW


async def test_a_confidence_that_is_not_the_distributions_stays() -> None:
    p = {"joy": 0.42, "neutral": 0.38, "fear": 0.2}
    several = Affect.read(Distribution.over(EKMAN_7, p), NOW).model_copy(update={"confidence": 0.9})
    fused = await LateFusion().fuse([Reading(modality="text", affect=several)])
    assert fused == several


async def test_a_confidence_over_another_set_follows_from_what_it_is_told_as() -> None:
    p = {"admiration": 0.4, "joy": 0.35, "anger": 0.25}
    several = Affect.read(Distribution.over(GOEMOTIONS_28, p), NOW).model_copy(
        update={"confidence": 0.9}
    )
    fused = await LateFusion().fuse([Reading(modality="text", affect=several)])
    assert fused is not None
    assert (fused.top, fused.confidence) == ("joy", fused.distribution["joy"])


@pytest.mark.parametrize("other", [reading("face", {"fear": 1.0}), None], ids=["two", "one"])
async def test_of_two_readings_of_one_modality_the_wider_counts_in_any_order(
    other: Reading | None,
) -> None:
    typed = reading("text", {"joy": 1.0}).model_copy(update={"covers": 40})
    heard = reading("text", {"anger": 1.0}).model_copy(update={"covers": 10})
    rest = [other] if other else []
    alone = await LateFusion().fuse([typed, *rest])
    assert alone is not None
    for order in itertools.permutations([typed, heard, *rest]):
        assert await LateFusion().fuse(order) == alone


async def test_what_was_measured_of_one_reading_stays() -> None:
    felt = VAD(valence=-0.4, arousal=0.1, dominance=-0.2)
    words = Affect.read(Distribution.over(EKMAN_7, {"joy": 0.7, "fear": 0.3}), NOW, vad=felt)
    fused = await LateFusion().fuse([Reading(modality="text", affect=words)])
    assert fused is not None
    assert fused.vad == felt
    assert fused.vad_source == "measured"


async def test_a_measured_vad_is_weighed_with_the_others() -> None:
    felt = VAD(valence=-1, arousal=0, dominance=0)
    words = Affect.read(Distribution.over(EKMAN_7, {"sadness": 1}), NOW, vad=felt)
    smile = reading("face", {"happiness": 1.0}, FERPLUS_8)
    fused = await LateFusion({"text": 1.0, "face": 0.5}).fuse(
        [Reading(modality="text", affect=words), smile]
    )
    assert fused is not None
    assert fused.vad_source == "measured"
    assert fused.vad.valence == pytest.approx((-1 + 0.5 * 0.81) / 1.5)


async def test_without_a_measured_vad_it_follows_from_the_pool() -> None:
    fused = await LateFusion().fuse(
        [
            reading("text", {"joy": 0.6, "sadness": 0.4}),
            reading("face", {"happiness": 1}, FERPLUS_8),
        ]
    )
    assert fused is not None
    assert fused.vad_source == "derived"
    assert fused.vad == expected_vad(fused.distribution)


async def test_agreement_raises_confidence_and_dissent_lowers_it() -> None:
    text = reading("text", {"joy": 0.6, "sadness": 0.4})
    smile = reading("face", {"happiness": 0.8, "sadness": 0.2}, FERPLUS_8)
    frown = reading("face", {"happiness": 0.2, "sadness": 0.8}, FERPLUS_8)
    alone, agreed, torn = [
        await LateFusion().fuse(rs) for rs in ([text], [text, smile], [text, frown])
    ]
    assert alone is not None
    assert agreed is not None
    assert torn is not None
    assert torn.distribution["joy"] < alone.distribution["joy"] < agreed.distribution["joy"]


async def test_a_posed_smile_does_not_outweigh_plain_words() -> None:
    words = reading("text", {"sadness": 0.8, "neutral": 0.1, "joy": 0.03, "fear": 0.07})
    smile = reading("face", {"happiness": 0.9999, "neutral": 0.0001}, FERPLUS_8)
    fused = await LateFusion().fuse([words, smile])
    assert fused is not None
    assert fused.top == "sadness"


async def test_the_order_of_readings_does_not_matter() -> None:
    readings = [
        reading("text", {"joy": 0.6, "sadness": 0.4}),
        reading("face", {"fear": 0.9, "anger": 0.1}),
        reading("speech", {"calm": 0.5, "sad": 0.5}, RAVDESS_8),
    ]
    tops = set()
    for order in itertools.permutations(readings):
        fused = await LateFusion().fuse(order)
        assert fused is not None
        tops.add(tuple(round(p, 9) for p in fused.distribution.probs))
    assert len(tops) == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=7, max_size=7))
async def test_what_two_sources_agree_on_keeps_its_top(ws: list[float]) -> None:
    p = dict(zip(EKMAN_7.labels, ws, strict=True))
    fused = await LateFusion().fuse([reading("text", p), reading("face", p)])
    assert fused is not None
    assert fused.distribution.top_p == pytest.approx(
        fused.distribution[Distribution.over(EKMAN_7, p).top]
    )


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.5])
def test_weights_outside_zero_to_one_are_refused(weight: float) -> None:
    with pytest.raises(BuildError, match="face="):
        LateFusion({"face": weight})


def test_weights_and_a_file_of_them_are_one_too_many(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="or a file"):
        LateFusion({"face": 0.5}, file=tmp_path / "late.json")
    with pytest.raises(BuildError, match="one modality or more"):
        LateFusion({})


async def test_a_modality_without_a_weight_of_its_own_is_not_heard() -> None:
    fusion = LateFusion({"text": 1.0})
    assert await fusion.fuse([reading("face", {"joy": 1.0})]) is None
    both = await fusion.fuse([reading("face", {"joy": 1.0}), reading("text", {"fear": 1.0})])
    assert both is not None
    assert both.top == "fear"


async def test_learned_weights_of_ones_own_are_read(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    weights = {"face+text": {"face": 1.0, "text": 0.0}}
    stored = {"label_set": "ekman-7", "temperature": {}, "weights": weights}
    file.write_text(json.dumps(stored))
    fused = await LateFusion(file=file).fuse(
        [reading("face", {"joy": 0.9, "anger": 0.1}), reading("text", {"anger": 1.0})]
    )
    assert fused is not None
    assert fused.top == "joy"


async def test_a_file_that_is_no_weights_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text("[]")
    both = [reading("face", {"joy": 1.0}), reading("text", {"joy": 1.0})]
    with pytest.raises(ModelCorruptError, match=r"mine\.json"):
        await LateFusion(file=file).fuse(both)
