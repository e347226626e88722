"""Photos that say nothing of a person, made from a seed, some portraits and some scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
Corners = tuple[int, int, int, int]

_TURNS: Final = 4


@dataclass(frozen=True)
class Portrait:
    """A photo of one person.

    Attributes:
        photo: RGB, uint8, shape (height, width, 3).
        face: Left, top, right, bottom of the face, from the brow to the chin, in pixels.
    """

    photo: Photo
    face: Corners


Make = Callable[[np.random.Generator, Sequence[Portrait], Sequence[Photo]], NDArray[Any]]


def resized(photo: Photo, scale: float) -> Photo:
    """A photo at another size."""
    from PIL import Image

    height, width = photo.shape[:2]
    size = max(32, round(width * scale)), max(32, round(height * scale))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))


def blurred(photo: Photo, radius: float) -> Photo:
    """A photo out of focus; the radius is the Gaussian's deviation in pixels."""
    from PIL import Image, ImageFilter

    return np.asarray(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(radius)))


def _of(rng: np.random.Generator, portraits: Sequence[Portrait]) -> Portrait:
    return portraits[int(rng.integers(len(portraits)))]


def _dark(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    del scenes
    photo = _of(rng, portraits).photo * float(rng.uniform(0.01, 0.08))
    return np.asarray(photo + rng.normal(0, 1.5, photo.shape))


def _bright(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    del scenes
    return np.asarray(_of(rng, portraits).photo * float(rng.uniform(1, 3)) + rng.uniform(190, 235))


def _blurred(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    del scenes
    portrait = _of(rng, portraits)
    side = portrait.face[3] - portrait.face[1]
    return blurred(portrait.photo, side * float(rng.uniform(0.06, 0.2)))


def _noisy(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    del scenes
    photo = _of(rng, portraits).photo
    return np.asarray(photo * 0.5 + 64 + rng.normal(0, float(rng.uniform(110, 180)), photo.shape))


def _cut(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """At most half of the face is left at one of the photo's edges."""
    del scenes
    portrait = _of(rng, portraits)
    left, top, right, bottom = portrait.face
    share, photo = float(rng.uniform(0.3, 0.5)), portrait.photo
    x, y = round((right - left) * share), round((bottom - top) * share)
    edges = (photo[:, right - x :], photo[:, : left + x], photo[bottom - y :], photo[: top + y])
    part = edges[int(rng.integers(_TURNS))]
    return _at_least(part, 48)


def _at_least(photo: Photo, side: int) -> Photo:
    """A photo enlarged until no side is shorter than that."""
    return resized(photo, max(1.0, side / min(photo.shape[:2])))


def _tiny(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """A face of 8 to 20 pixels in a scene."""
    portrait = _of(rng, portraits)
    scene = scenes[int(rng.integers(len(scenes)))].copy()
    height = portrait.face[3] - portrait.face[1]
    small = resized(portrait.photo, float(rng.uniform(8, 20)) / height)
    y = int(rng.integers(0, scene.shape[0] - small.shape[0]))
    x = int(rng.integers(0, scene.shape[1] - small.shape[1]))
    scene[y : y + small.shape[0], x : x + small.shape[1]] = small
    return scene


def _covered(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """Two thirds of the face or more lie behind a flat board or a piece of another scene."""
    portrait = _of(rng, portraits)
    photo = portrait.photo.copy()
    left, top, right, bottom = portrait.face
    share = round((bottom - top) * float(rng.uniform(0.66, 0.95)))
    y = top if rng.random() < 0.5 else bottom - share
    place = photo[y : y + share, max(0, left - 10) : right + 10]
    if rng.random() < 0.5:
        place[:] = rng.integers(0, 256, 3)
    else:
        scene = scenes[int(rng.integers(len(scenes)))]
        place[:] = scene[: place.shape[0], : place.shape[1]]
    return photo


def _headless(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """What is below the chin."""
    del scenes
    portrait = _of(rng, portraits)
    start = portrait.face[3] + round(0.15 * (portrait.face[3] - portrait.face[1]))
    below = portrait.photo[start:]
    return np.roll(below, int(rng.integers(below.shape[1])), axis=1)


def _scene(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """A piece of a scene, turned and mirrored."""
    del portraits
    scene = scenes[int(rng.integers(len(scenes)))]
    side = int(rng.integers(120, min(scene.shape[:2])))
    y = int(rng.integers(0, scene.shape[0] - side))
    x = int(rng.integers(0, scene.shape[1] - side))
    return np.rot90(scene[y : y + side, x : x + side], int(rng.integers(_TURNS)))


def _texture(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """Stripes, checks, clouds or plain noise."""
    del portraits, scenes
    height, width = 240, 320
    y, x = np.mgrid[0:height, 0:width]
    kind = int(rng.integers(_TURNS))
    if kind == 0:
        waves = np.sin(x / rng.uniform(2, 20) + y / rng.uniform(2, 20)) * 120 + 128
    elif kind == 1:
        step = int(rng.integers(6, 40))
        waves = ((x // step + y // step) % 2) * 200.0 + 20
    elif kind == 2:
        small = rng.integers(0, 256, (8, 10, 3)).astype(np.uint8)
        return resized(small.repeat(8, axis=0).repeat(8, axis=1), 4.0)
    else:
        waves = rng.normal(128, 60, (height, width))
    return np.repeat(waves[:, :, None], 3, axis=2)


def _plain(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """One colour, or one that fades into another."""
    del portraits, scenes
    one, two = rng.integers(0, 256, (2, 3))
    fade = np.linspace(0, 1, 320)[None, :, None] * float(rng.integers(2))
    return np.asarray(np.tile(one + fade * (two - one), (240, 1, 1)))


def _shapes(
    rng: np.random.Generator, portraits: Sequence[Portrait], scenes: Sequence[Photo]
) -> NDArray[Any]:
    """Discs and boxes of any colour."""
    del portraits, scenes
    photo = np.full((240, 320, 3), rng.integers(0, 256, 3), dtype=np.float64)
    y, x = np.mgrid[0:240, 0:320]
    for _ in range(int(rng.integers(3, 12))):
        centre, size = rng.integers(0, 240, 2), float(rng.uniform(8, 70))
        away = np.abs(y - centre[0]), np.abs(x - centre[1])
        inside = np.hypot(*away) < size if rng.random() < 0.5 else np.maximum(*away) < size
        photo[inside] = rng.integers(0, 256, 3)
    return photo


BAD: Final[Mapping[str, Make]] = MappingProxyType(
    {
        "dark": _dark,
        "overexposed": _bright,
        "blurred": _blurred,
        "noisy": _noisy,
        "cut by the edge": _cut,
        "tiny": _tiny,
        "covered": _covered,
        "below the chin": _headless,
        "scene": _scene,
        "texture": _texture,
        "plain": _plain,
        "shapes": _shapes,
    }
)
"""Kind -> what makes one."""


def bad_photos(
    portraits: Sequence[Portrait], scenes: Sequence[Photo], each: int, seed: int
) -> Iterator[tuple[str, Photo]]:
    """Kind and photo (RGB), ``each`` of every kind; the same seed gives the same photos."""
    for place, (kind, make) in enumerate(BAD.items()):
        for number in range(each):
            rng = np.random.default_rng((seed, place, number))
            made = make(rng, portraits, scenes)
            yield kind, np.ascontiguousarray(np.clip(made, 0, 255).astype(np.uint8))


def good_photos(portraits: Sequence[Portrait], each: int, seed: int) -> Iterator[tuple[str, Photo]]:
    """Portraits as cameras take them: other sizes, light, tilt, a mirror, a coarse JPEG.

    Args:
        portraits: Photos of one person each.
        each: Photos of a portrait.
        seed: The same seed gives the same photos.
    """
    from PIL import Image

    for place, portrait in enumerate(portraits):
        for number in range(each):
            rng = np.random.default_rng((seed, place, number))
            image = Image.fromarray(resized(portrait.photo, float(rng.uniform(0.6, 1.5))))
            image = image.rotate(
                float(rng.uniform(-10, 10)), Image.Resampling.BICUBIC, fillcolor=(96, 96, 96)
            )
            pixels = np.asarray(image, dtype=np.float64)[:, :: 1 if rng.random() < 0.5 else -1]
            pixels = 255 * (pixels / 255) ** float(rng.uniform(0.7, 1.4))
            pixels = pixels + rng.normal(0, float(rng.uniform(0, 5)), pixels.shape)
            yield "portrait", np.ascontiguousarray(np.clip(pixels, 0, 255).astype(np.uint8))
