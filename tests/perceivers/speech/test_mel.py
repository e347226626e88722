from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectgraph.perceivers.speech.mel import BANDS, HOP, log_mel


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(400, 20_000), tone=st.floats(50, 7_900))
def test_equals_the_features_that_whisper_gets_from_faster_whisper(
    seed: int, length: int, tone: float
) -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    rng = np.random.default_rng(seed)
    samples = 0.3 * np.sin(2 * np.pi * tone * np.arange(length) / 16_000)
    samples = (samples + rng.normal(0, 0.05, length)).astype(np.float32)
    expected = FeatureExtractor()(samples, padding=0)
    got = log_mel(samples)
    assert got.shape == expected.shape == (BANDS, length // HOP)
    np.testing.assert_allclose(got, expected, atol=2e-4)


def test_a_tone_is_loudest_in_the_band_that_holds_it() -> None:
    samples = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    # 1000 Hz is 15 mels; the bands are 45.2456 / 81 mels apart.
    assert log_mel(samples).mean(axis=1).argmax() == round(15 / (45.2456 / 81)) - 1


def test_silence_is_flat() -> None:
    mel = log_mel(np.zeros(1600, dtype=np.float32))
    assert np.all(mel == mel[0, 0])


@pytest.mark.parametrize("shape", [(0,), (200,), (2, 1000)])
def test_refuses_what_has_no_frames(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="more than 200"):
        log_mel(np.zeros(shape))
