"""What makes a face too poor to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.corpora.ferplus import load
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.face.detected import DetectedFace
from affectgraph.perceivers.face.quality import (
    LIMITS,
    READABLE,
    FaceQuality,
    ReadableHead,
    flat_share,
    grain,
    sharpness,
)

Crop = NDArray[np.uint8]
POINTS = tuple((float(x), float(y)) for x, y in ((30, 40), (60, 40), (45, 60), (32, 78), (58, 78)))


def face(height: int = 110, inside: float = 1.0) -> DetectedFace:
    return DetectedFace(Box(x=0, y=0, width=90, height=height), 0.99, POINTS, inside)


def textured() -> Crop:
    """Noise that is soft enough to pass for the detail of a face."""
    noise = np.random.default_rng(5).normal(120, 200, (48, 48)).clip(0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1.2)))


def blurred() -> Crop:
    """Two slow waves: as much contrast as a face, no edges."""
    at = np.linspace(0, 2 * np.pi, 48)
    waves = 120 + 60 * np.sin(at)[:, None] * np.cos(at)[None, :]
    return np.asarray(waves, dtype=np.uint8)


def noisy() -> Crop:
    grains = np.random.default_rng(0).normal(0, 45, (48, 48))
    return np.clip(blurred() + grains, 0, 255).astype(np.uint8)


def covered() -> Crop:
    crop = textured().copy()
    crop[22:] = 90
    return crop


def test_a_good_crop_has_no_fault_and_scores_high() -> None:
    quality = FaceQuality.of(textured(), face())
    assert quality.fault() is None
    assert quality.score() > 0.5


@pytest.mark.parametrize(
    ("crop", "seen", "fault"),
    [
        (textured(), DetectedFace(Box(x=0, y=0, width=30, height=39), 1.0, POINTS), "39 pixels"),
        ((textured() * 0.1).astype(np.uint8), face(), "too dark"),
        (255 - (textured() * 0.1).astype(np.uint8), face(), "overexposed"),
        (120 + (textured() * 0.05).astype(np.uint8), face(), "too little contrast"),
        (textured(), face(inside=0.5), "cut off"),
        (textured(), replace(face(), margin=-0.1), "cut off"),
        (blurred(), face(), "blurred"),
        (noisy(), face(), "noisy"),
        (covered(), face(), "covered"),
    ],
)
def test_each_fault_is_named(crop: Crop, seen: DetectedFace, fault: str) -> None:
    quality = FaceQuality.of(crop, seen)
    assert fault in (quality.fault() or "")
    assert quality.score() <= FaceQuality.of(textured(), face()).score()


def test_what_the_head_refuses_is_a_fault() -> None:
    quality = FaceQuality.of(textured(), face(), readable=0.01)
    assert "covered, cut or turned" in (quality.fault() or "")
    assert quality.fault(replace(LIMITS, readable=0.0)) is None


@given(st.integers(0, 1000), st.integers(1, 200), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_a_score_is_a_positive_share(seed: int, side: int, inside: float, whole: float) -> None:
    crop = np.random.default_rng(seed).integers(0, 256, (48, 48), dtype=np.uint8)
    seen = DetectedFace(Box(x=0, y=0, width=side, height=side), 1.0, POINTS, inside)
    assert 0 < FaceQuality.of(crop, seen, whole).score() <= 1


def test_sharpness_falls_with_blur_and_ignores_contrast() -> None:
    crop = textured().copy()
    assert sharpness(crop) > 2 * sharpness(blurred())
    assert sharpness(crop) == pytest.approx(sharpness((crop // 2 + 60).astype(np.uint8)), rel=0.05)


def test_grain_rises_with_noise_and_flat_areas_with_plates() -> None:
    assert grain(noisy()) > 3 * grain(textured())
    assert flat_share(covered()) > 0.4
    assert flat_share(noisy()) == 0


def test_an_absent_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gone\.onnx is absent"):
        ReadableHead(tmp_path / "gone.onnx").load()


def test_the_head_is_small_and_has_a_card() -> None:
    assert READABLE.stat().st_size < 400_000
    assert READABLE.with_suffix(".md").is_file()


def half_covered(x: Crop) -> Crop:
    y = x.copy()
    y[:, 22:] = np.linspace(40, 200, 48).astype(np.uint8)[:, None]
    return y


def shifted(x: Crop) -> Crop:
    return np.concatenate([x[:, 20:], np.repeat(x[:, -1:], 20, axis=1)], axis=1)


@pytest.mark.data
@pytest.mark.parametrize(
    ("change", "least", "most"), [(None, 0.0, 0.02), (half_covered, 0.6, 1.0), (shifted, 0.6, 1.0)]
)
def test_the_head_refuses_spoilt_faces_and_keeps_whole_ones(
    data_root: Path, change: Callable[[Crop], Crop] | None, least: float, most: float
) -> None:
    crops = load(data_root, "valid").images[::8]
    if change is not None:
        crops = np.stack([change(crop) for crop in crops])
    refused = (ReadableHead().probabilities(crops) < LIMITS.readable).mean()
    assert least <= refused <= most
