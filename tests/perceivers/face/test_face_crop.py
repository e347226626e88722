"""Framing of the crop, without any network."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.face import DetectedFace
from affectgraph.perceivers.face.crop import (
    BETWEEN_EYES,
    EYES_TO_MOUTH,
    crop_face,
)


def face_at(x: float, y: float, side: float, roll: float = 0.0) -> DetectedFace:
    """A face whose frame has this centre and side, turned clockwise by ``roll`` radians."""
    eye, mouth, middle = BETWEEN_EYES / 2, EYES_TO_MOUTH / 2, 0.083
    points = [(-eye, middle - mouth), (eye, middle - mouth), (0.0, middle),
              (-0.15, middle + mouth), (0.15, middle + mouth)]  # fmt: skip
    cos, sin = np.cos(roll), np.sin(roll)
    placed = tuple(
        (float(x + side * (a * cos - b * sin)), float(y + side * (a * sin + b * cos)))
        for a, b in points
    )
    edge = max(1, round(side))
    box = Box(x=max(0, round(x - side / 2)), y=max(0, round(y - side / 2)), width=edge, height=edge)
    return DetectedFace(box, 1.0, placed)


def drawing(side: int, at: tuple[int, int], roll: float = 0.0) -> NDArray[np.uint8]:
    """A square of the given side with a bright upper left quarter, on grey, 400 x 300."""
    square = Image.new("RGB", (side, side), (90, 90, 90))
    ImageDraw.Draw(square).rectangle((0, 0, side // 2 - 1, side // 2 - 1), fill=(250, 250, 250))
    canvas = Image.new("RGB", (400, 300), (90, 90, 90))
    canvas.paste(square, (at[0] - side // 2, at[1] - side // 2))
    turned = canvas.rotate(-np.degrees(roll), center=at, resample=Image.Resampling.BICUBIC)
    return np.asarray(turned)


@pytest.mark.parametrize("side", [48, 96, 150, 20])
@pytest.mark.parametrize("roll", [0.0, 0.35, -0.5])
def test_the_frame_is_cut_out_level_at_any_size(side: int, roll: float) -> None:
    crop = crop_face(drawing(side, (200, 150), roll), face_at(200, 150, side, roll))
    assert crop.shape == (48, 48)
    assert crop.dtype == np.uint8
    assert crop[4:20, 4:20].min() > 225
    assert max(crop[4:20, 28:44].max(), crop[28:44, 4:44].max()) < 115


@given(st.integers(-40, 440), st.integers(-40, 340), st.floats(20, 300), st.floats(-1, 1))
@settings(max_examples=40, deadline=None)
def test_a_crop_never_leaves_the_range_of_the_photo(
    x: int, y: int, side: float, roll: float
) -> None:
    crop = crop_face(drawing(120, (200, 150)), face_at(x, y, side, roll))
    assert crop.shape == (48, 48)
    assert 89 <= crop.min() <= crop.max() <= 251


def test_grey_is_luma() -> None:
    green = np.zeros((100, 100, 3), np.uint8)
    green[..., 1] = 200
    assert set(crop_face(green, face_at(50, 50, 60)).ravel()) == {round(200 * 0.587)}
