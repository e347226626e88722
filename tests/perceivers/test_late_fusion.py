from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.perceivers.affect import Affect, Distribution, Modality, Reading
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.fusion import LateFusion
from affectgraph.perceivers.labels import EKMAN_7, FERPLUS_8, RAVDESS_8, LabelSet

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


async def test_a_voice_alone_is_less_sure_than_it_sounds() -> None:
    alone = reading("speech", {"angry": 0.9, "happy": 0.1}, RAVDESS_8)
    fused = await LateFusion().fuse([alone])
    assert fused is not None
    assert fused.top == "anger"
    assert fused.confidence < 0.75


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
