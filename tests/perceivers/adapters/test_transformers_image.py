"""Any image classifier of transformers as a reader of faces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from affectgraph.perceivers.adapters import Checkpoint, Search, TransformersImage
from affectgraph.perceivers.adapters.faces import cut_out
from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import MediaError
from affectgraph.perceivers.face import DetectedFace
from affectgraph.perceivers.media import ImageFile
from affectgraph.perceivers.turn import Turn

pytest.importorskip("transformers", reason="the extra 'gpu' is not installed")

AT = datetime(2026, 1, 1, tzinfo=UTC)
PORTRAIT = Path(__file__).parents[3] / "examples" / "portrait.jpg"
Make = Callable[..., Path]


def face(x: int, y: int, side: int, score: float = 0.9) -> DetectedFace:
    """A face of the usual proportions in a box."""
    spots = ((0.31, 0.39), (0.69, 0.39), (0.5, 0.6), (0.35, 0.78), (0.65, 0.78))
    points = tuple((x + a * side, y + b * side) for a, b in spots)
    return DetectedFace(Box(x=x, y=y, width=side, height=side), score, points)


class Finds:
    """A detector that knows where the faces are."""

    def __init__(self, *faces: DetectedFace) -> None:
        self._faces = list(faces)

    def load(self) -> None:
        """Nothing to load."""

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        return self._faces


PERSON = face(136, 65, 100)


def turn(*photos: Path) -> Turn:
    return Turn(text="look", images=tuple(map(ImageFile, photos)), at=AT)


async def test_it_says_what_the_library_says_of_the_cut_out_face(image_checkpoint: Make) -> None:
    import torch
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    folder = image_checkpoint(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"))
    reader = TransformersImage(Checkpoint(folder), detector=Finds(PERSON))
    assert isinstance(reader, Perceiver)
    reading = await reader.perceive(turn(PORTRAIT))

    def by_hand() -> NDArray[np.float64]:
        pixels = np.asarray(Image.open(PORTRAIT).convert("RGB"))[55:175, 126:246]
        inputs = AutoImageProcessor.from_pretrained(folder)(images=pixels, return_tensors="pt")
        with torch.inference_mode():
            logits = AutoModelForImageClassification.from_pretrained(folder)(**inputs).logits
        return np.asarray(logits.softmax(-1)[0].double())

    assert reading.affect is not None
    assert reading.affect.distribution.label_set == "ekman-7"
    expected = await asyncio.to_thread(by_hand)
    told = reading.affect.distribution
    order = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"]
    np.testing.assert_allclose([told[label] for label in order], expected, atol=1e-5)
    assert reading.affect.evidence[0].box == PERSON.box
    assert reading.model == "faces"


async def test_photos_of_several_sessions_share_a_pass(image_checkpoint: Make) -> None:
    reader = TransformersImage(
        Checkpoint(image_checkpoint(), max_wait=0.3),
        detector=Finds(PERSON),
        search=Search(workers=4),
    )
    await reader.warm_up()
    one = (await reader.perceive(turn(PORTRAIT))).affect
    before = reader.stats.batches
    many = await asyncio.gather(*(reader.perceive(turn(PORTRAIT)) for _ in range(4)))
    assert one is not None
    for reading in many:
        assert reading.affect is not None
        np.testing.assert_allclose(
            reading.affect.distribution.probs, one.distribution.probs, atol=1e-5
        )
    assert reader.stats.batches - before < 4
    await reader.close()


async def test_two_photos_are_averaged(image_checkpoint: Make, tmp_path: Path) -> None:
    Image.open(PORTRAIT).rotate(8).save(tmp_path / "other.png")
    reader = TransformersImage(Checkpoint(image_checkpoint()), detector=Finds(PERSON))
    first, second, both = [
        (await reader.perceive(turn(*photos))).affect
        for photos in (
            [PORTRAIT],
            [tmp_path / "other.png"],
            [PORTRAIT, tmp_path / "other.png"],
        )
    ]
    assert first is not None
    assert second is not None
    assert both is not None
    mean = (np.array(first.distribution.probs) + np.array(second.distribution.probs)) / 2
    np.testing.assert_allclose(both.distribution.probs, mean, atol=1e-5)
    assert len(both.evidence) == 2


@pytest.mark.parametrize(
    ("faces", "reason"),
    [
        ((), "no-face"),
        ((face(136, 65, 100), face(10, 10, 90)), "several-faces"),
        ((face(136, 65, 20),), "low-quality"),
    ],
)
async def test_it_abstains_with_the_reason(
    image_checkpoint: Make, faces: tuple[DetectedFace, ...], reason: str
) -> None:
    reading = await TransformersImage(
        Checkpoint(image_checkpoint()), detector=Finds(*faces)
    ).perceive(turn(PORTRAIT))
    assert reading.abstention is not None
    assert reading.abstention.reason == reason


async def test_a_turn_without_photo_and_a_broken_one(
    image_checkpoint: Make, tmp_path: Path
) -> None:
    reader = TransformersImage(Checkpoint(image_checkpoint()), detector=Finds(PERSON))
    absent = await reader.perceive(Turn(text="words", at=AT))
    assert absent.abstention is not None
    assert absent.abstention.reason == "absent"
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(MediaError):
        await reader.perceive(turn(tmp_path / "broken.jpg"))


def test_a_cut_out_is_square_and_black_outside() -> None:
    pixels = np.full((40, 50, 3), 200, np.uint8)
    square = cut_out(pixels, face(0, 10, 20), margin=0.25)
    assert square.shape == (30, 30, 3)
    assert (square[:, :5] == 0).all()
    assert (square[:, 5:] == 200).all()
    assert cut_out(pixels, face(10, 10, 20), margin=0).shape == (20, 20, 3)


@pytest.mark.parametrize(
    "wrong", [{"margin": 2.0}, {"margin": -0.1}, {"dominance": 0.5}, {"workers": 0}]
)
def test_a_search_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Search(**wrong)
