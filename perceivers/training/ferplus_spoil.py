"""Ways in which a picture of a face becomes unreadable, made from good pictures.

Needs NumPy and Pillow alone. The amounts are such that the expression head's accuracy on the spoilt
pictures is far below that on whole ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.face.crop import SIDE

Picture = NDArray[np.uint8]
Dice = np.random.Generator

REGIONS: Final = (
    (10, 2, 16, 44),
    (29, 8, 18, 32),
    (0, 0, 48, 25),
    (0, 23, 48, 25),
    (24, 0, 24, 48),
)
"""Top, left, height, width of what gets covered: eyes, mouth, a half left, right, below."""


def _cover(picture: Picture, other: Picture, dice: Dice) -> Picture:
    """A plate, a scarf, a hand: an even, shaded, noisy or textured patch over a region."""
    top, left, height, width = REGIONS[dice.integers(len(REGIONS))]
    if dice.random() < 0.3:
        height, width = dice.integers(20, 36, 2)
        top, left = dice.integers(0, SIDE - height + 1), dice.integers(0, SIDE - width + 1)
    shade = float(dice.integers(0, 256))
    kind = dice.integers(4)
    if kind == 0:
        patch = np.full((height, width), shade)
    elif kind == 1:
        slope = dice.uniform(-2, 2, 2)
        rows, columns = np.mgrid[:height, :width]
        patch = shade + slope[0] * (rows - height / 2) + slope[1] * (columns - width / 2)
    elif kind == 2:
        patch = dice.normal(shade, dice.uniform(5, 60), (height, width))
    else:
        # A piece of another picture, turned and enlarged, stands for skin, hair or cloth.
        side = int(dice.integers(8, 20))
        y, x = dice.integers(0, SIDE - side, 2)
        piece = np.rot90(other[y : y + side, x : x + side], int(dice.integers(4)))
        rows = np.arange(height) * side // height
        columns = np.arange(width) * side // width
        patch = piece[np.ix_(rows, columns)].astype(np.float64)
    result = picture.copy()
    result[top : top + height, left : left + width] = np.clip(patch, 0, 255)
    return result


def _cut(picture: Picture, other: Picture, dice: Dice) -> Picture:
    """A part of the face lies outside; in its place an edge that repeats, one shade, or a thing."""
    quarters, shift = int(dice.integers(4)), int(dice.integers(15, 28))
    turned = np.rot90(picture, quarters)
    fill = dice.integers(3)
    if fill == 0:
        result = np.full_like(turned, dice.integers(0, 256))
    elif fill == 1:
        result = np.repeat(turned[:, -1:], SIDE, axis=1)
    else:
        result = np.rot90(other, int(dice.integers(4))).copy()
    result[:, : SIDE - shift] = turned[:, shift:]
    return np.rot90(result, -quarters)


def _noise(picture: Picture, dice: Dice) -> Picture:
    """Grain of a dark room, or pixels that fell out."""
    if dice.random() < 0.5:
        noisy = picture + dice.normal(0, dice.uniform(25, 80), picture.shape)
        return np.clip(noisy, 0, 255).astype(np.uint8)
    share = dice.uniform(0.15, 0.5)
    lost = dice.random(picture.shape) < share
    return np.where(lost, dice.choice([0, 255], picture.shape), picture).astype(np.uint8)


def _blur(picture: Picture, dice: Dice) -> Picture:
    """Out of focus, moved, or far too small."""
    from PIL import Image, ImageFilter

    image, kind = Image.fromarray(picture), dice.integers(3)
    if kind == 0:
        soft = image.filter(ImageFilter.GaussianBlur(dice.uniform(1.8, 4)))
        return np.asarray(soft, dtype=np.uint8)
    if kind == 1:
        small = int(dice.integers(6, 14))
        coarse = image.resize((small, small)).resize((SIDE, SIDE))
        return np.asarray(coarse, dtype=np.uint8)
    length = int(dice.integers(9, 18))
    moved = np.mean([np.roll(picture, k, axis=1) for k in range(length)], axis=0)
    return np.asarray(moved, dtype=np.uint8)


def _turn(picture: Picture, dice: Dice) -> Picture:
    """On its side or upside down."""
    return np.asarray(np.rot90(picture, int(dice.integers(1, 4))))


def _nothing(picture: Picture, dice: Dice) -> Picture:
    """No face: shaded noise, a texture, or the pieces of a picture in another order."""
    if dice.random() < 0.5:
        rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
        waves = sum(
            dice.normal() * np.sin(2 * np.pi * (a * rows + b * columns) + dice.uniform(0, 6.3))
            for a, b in dice.uniform(-5, 5, (4, 2))
        )
        shaded = 128 + 40 * waves + dice.normal(0, dice.uniform(0, 20), picture.shape)
        return np.asarray(np.clip(shaded, 0, 255), dtype=np.uint8)
    blocks = picture.reshape(3, 16, 3, 16).transpose(0, 2, 1, 3).reshape(9, 16, 16)
    mixed = blocks[dice.permutation(9)].reshape(3, 3, 16, 16).transpose(0, 2, 1, 3)
    return np.asarray(mixed.reshape(SIDE, SIDE))


_SPOIL: Final[dict[str, Callable[[Picture, Picture, Dice], Picture]]] = {
    "covered": _cover,
    "cut": _cut,
    "noisy": lambda picture, _, dice: _noise(picture, dice),
    "blurred": lambda picture, _, dice: _blur(picture, dice),
    "turned": lambda picture, _, dice: _turn(picture, dice),
    "no face": lambda picture, _, dice: _nothing(picture, dice),
}
_SHARES: Final = (0.45, 0.2, 0.1, 0.1, 0.05, 0.1)
KINDS: Final = tuple(_SPOIL)
"""Kinds of damage; covered faces are the hardest and come most often."""


def spoil(pictures: Picture, dice: Dice, kind: str = "") -> Picture:
    """Spoil each picture.

    Args:
        pictures: Grey, uint8, shape (n, 48, 48).
        dice: Source of chance.
        kind: One of :data:`KINDS`; by default of any kind, drawn for each.
    """
    kinds = [kind] * len(pictures) if kind else dice.choice(KINDS, len(pictures), p=_SHARES)
    others = pictures[dice.permutation(len(pictures))]
    return np.stack(
        [
            _SPOIL[str(name)](picture, other, dice)
            for name, picture, other in zip(kinds, pictures, others, strict=True)
        ]
    )
