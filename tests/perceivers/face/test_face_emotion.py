"""The face perceiver: what it reads and when it abstains."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from affectgraph.perceivers.affect import Box, Reading
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import MediaError, ModelMissingError, NodeError
from affectgraph.perceivers.face import DetectedFace, FaceEmotion, MTCNNDetector, emotion
from affectgraph.perceivers.face.quality import Limits, ReadableHead
from affectgraph.perceivers.media import ImageFile
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.perceivers.turn import Turn

Save = Callable[[str, NDArray[np.uint8]], Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(name: str, pixels: NDArray[np.uint8]) -> Path:
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        return path

    return write


def turn_of(*paths: Path) -> Turn:
    return Turn(images=tuple(ImageFile(path) for path in paths))


def reason(reading: Reading) -> str:
    assert reading.abstention is not None
    assert reading.affect is None
    return reading.abstention.reason


LENIENT = Limits(grain=9.0, flat=1.0, readable=0.0)
"""Textures stand for faces here, and noise for texture."""


class Scripted:
    """A detector that finds what it is told to find."""

    def __init__(self, *heights: int) -> None:
        self._faces = [self._face(height) for height in heights]

    @staticmethod
    def _face(height: int) -> DetectedFace:
        def at(x: float, y: float) -> tuple[float, float]:
            return x * height, y * height

        return DetectedFace(
            Box(x=0, y=0, width=height, height=height),
            0.99,
            (at(0.32, 0.39), at(0.69, 0.39), at(0.5, 0.6), at(0.36, 0.78), at(0.67, 0.78)),
        )

    def load(self) -> None:
        return

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        return self._faces


def test_it_is_a_perceiver_of_the_face() -> None:
    perceiver = FaceEmotion(detector=Scripted())
    assert isinstance(perceiver, Perceiver)
    assert perceiver.modality == "face"


class Named(Scripted):
    """A detector that tells its models, one of them from the table of pinned ones."""

    models = (ModelUse("finder.v3", "MIT"), ModelUse.pinned("mtcnn"))


async def test_readings_and_spans_name_the_detector_that_was_given(
    save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = list[str]()

    def noted(operation: str, model: str) -> AbstractContextManager[None]:
        spans.append(f"{operation} {model}")
        return nullcontext()

    monkeypatch.setattr(emotion, "model_span", noted)
    turn = turn_of(save("texture", texture()))
    named = FaceEmotion(detector=Named(100), limits=LENIENT)
    plain = FaceEmotion(detector=Scripted(100), limits=LENIENT)
    assert (await named.perceive(turn)).model == "finder.v3+mtcnn-1.0.0+ferplus.v2"
    assert (await plain.perceive(turn)).model == "Scripted+ferplus.v2"
    assert "detect finder.v3+mtcnn-1.0.0" in spans
    assert "detect Scripted" in spans


def test_it_tells_all_its_models(tmp_path: Path) -> None:
    names = [use.name for use in FaceEmotion(detector=Named()).models]
    assert names == ["finder.v3", "mtcnn", "ferplus.v2", "readable.v1"]
    assert all(use.licence != "unknown" for use in FaceEmotion().models)
    own = FaceEmotion(detector=Named(), whole=ReadableHead(tmp_path / "own.onnx"))
    assert [use.name for use in own.models][-1] == "own.onnx"


async def test_a_turn_without_a_photo_is_absent() -> None:
    reading = await FaceEmotion(detector=Scripted()).perceive(Turn(text="hello"))
    assert reason(reading) == "absent"


def texture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(20, 220, (200, 200, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ((), "no-face"),
        ((100, 90), "several-faces"),
        ((100, 51), "several-faces"),
        ((39,), "low-quality"),
        ((100, 49), None),
        ((100,), None),
    ],
)
async def test_how_many_faces_and_how_large(
    save: Save, heights: Sequence[int], expected: str | None
) -> None:
    reading = await FaceEmotion(detector=Scripted(*heights), limits=LENIENT).perceive(
        turn_of(save("texture", texture()))
    )
    if expected is None:
        assert reading.affect is not None
        assert [e.box.height for e in reading.affect.evidence if e.box] == [100]
    else:
        assert reason(reading) == expected


async def test_several_photos_give_their_mean_and_each_its_box(save: Save) -> None:
    perceiver = FaceEmotion(detector=Scripted(100), limits=LENIENT)
    paths = [save(f"photo{seed}", texture(seed)) for seed in range(3)]
    alone = [await perceiver.perceive(turn_of(path)) for path in paths]
    together = await perceiver.perceive(turn_of(*paths))
    assert together.affect is not None
    probs = [r.affect.distribution.probs for r in alone if r.affect is not None]
    assert len(probs) == 3
    mean = np.mean(probs, axis=0)
    assert together.affect.distribution.probs == pytest.approx(mean, abs=1e-4)
    assert [e.score for e in together.affect.evidence] == [0.99] * 3


async def test_the_reading_is_dated_by_the_turn(save: Save) -> None:
    turn = turn_of(save("texture", texture()))
    reading = await FaceEmotion(detector=Scripted(100), limits=LENIENT).perceive(turn)
    assert reading.affect is not None
    assert reading.affect.captured_at == turn.at
    assert reading.affect.confidence == reading.affect.distribution.top_p


async def test_a_broken_photo_raises(tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"not an image")
    with pytest.raises(MediaError, match="not an image"):
        await FaceEmotion(detector=Scripted(100), limits=LENIENT).perceive(turn_of(path))


async def test_warm_up_says_which_model_is_missing(tmp_path: Path) -> None:
    perceiver = FaceEmotion(detector=MTCNNDetector(ModelStore(tmp_path)))
    with pytest.raises(ModelMissingError, match="mtcnn"):
        await perceiver.warm_up()


@pytest.mark.models
async def test_the_portrait_smiles(detector: MTCNNDetector, portrait_path: Path) -> None:
    perceiver = FaceEmotion(detector=detector)
    await perceiver.warm_up()
    reading = await perceiver.perceive(turn_of(portrait_path))
    assert reading.affect is not None
    assert reading.affect.top == "happiness"
    assert reading.affect.confidence > 0.9
    assert reading.affect.vad.valence > 0.5
    (evidence,) = reading.affect.evidence
    assert evidence.kind == "box"
    assert evidence.box is not None
    assert 75 < evidence.box.width < 100
    assert evidence.score is not None
    assert evidence.score > 0.95


@pytest.mark.models
@pytest.mark.parametrize("scale", [0.5, 3.0])
async def test_the_size_of_the_photo_does_not_change_the_reading(
    detector: MTCNNDetector, portrait: NDArray[np.uint8], save: Save, scale: float
) -> None:
    size = round(384 * scale), round(480 * scale)
    scaled = Image.fromarray(portrait).resize(size, Image.Resampling.LANCZOS)
    reading = await FaceEmotion(detector=detector).perceive(
        turn_of(save("scaled", np.asarray(scaled)))
    )
    assert reading.affect is not None
    assert reading.affect.top == "happiness"


def collage(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([portrait, portrait], axis=1)


def dark(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (portrait * 0.15).astype(np.uint8)


def tiny(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(portrait).resize((128, 160), Image.Resampling.LANCZOS))


def blurred(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(portrait).filter(ImageFilter.GaussianBlur(5)))


def cut_at_the_edge(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(portrait[:, 200:])


def masked(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    changed = portrait.copy()
    changed[120:185, 130:240] = (150, 180, 200)
    return changed


def grainy(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    small = Image.fromarray(portrait).resize((230, 288), Image.Resampling.LANCZOS)
    noise = np.random.default_rng(0).normal(0, 60, (288, 230, 3))
    return np.clip(np.asarray(small) + noise, 0, 255).astype(np.uint8)


def headless(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(portrait[200:])


@pytest.mark.models
@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        (collage, "several-faces", "2 faces"),
        (dark, "low-quality", "dark"),
        (tiny, "low-quality", "pixels high"),
        (blurred, "low-quality", "blurred"),
        (headless, "no-face", "no face"),
    ],
)
async def test_it_abstains_rather_than_guess(
    detector: MTCNNDetector,
    portrait: NDArray[np.uint8],
    save: Save,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    expected: str,
    said: str,
) -> None:
    path = save("changed", change(portrait))
    reading = await FaceEmotion(detector=detector).perceive(turn_of(path))
    assert reason(reading) == expected
    assert reading.abstention is not None
    assert said in reading.abstention.detail


@pytest.mark.models
@pytest.mark.parametrize("change", [cut_at_the_edge, masked, grainy])
async def test_a_face_that_cannot_be_seen_whole_is_not_read(
    detector: MTCNNDetector,
    portrait: NDArray[np.uint8],
    save: Save,
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
) -> None:
    path = save("changed", change(portrait))
    reading = await FaceEmotion(detector=detector).perceive(turn_of(path))
    assert reason(reading) in ("low-quality", "no-face")


@pytest.mark.models
async def test_a_bystander_in_the_background_does_not_count(
    detector: MTCNNDetector, portrait: NDArray[np.uint8], save: Save
) -> None:
    scene = np.asarray(
        Image.fromarray(portrait).resize((768, 960), Image.Resampling.LANCZOS)
    ).copy()
    small = Image.fromarray(portrait).resize((307, 384), Image.Resampling.LANCZOS)
    scene[-384:, :307] = np.asarray(small)
    assert len(await asyncio.to_thread(detector.detect, scene)) == 2
    reading = await FaceEmotion(detector=detector).perceive(turn_of(save("scene", scene)))
    assert reading.affect is not None
    (evidence,) = reading.affect.evidence
    assert evidence.box is not None
    assert evidence.box.y < 300


@pytest.mark.models
async def test_one_readable_photo_is_enough(
    detector: MTCNNDetector, portrait: NDArray[np.uint8], save: Save
) -> None:
    perceiver = FaceEmotion(detector=detector)
    good, without = save("good", portrait), save("without", headless(portrait))
    reading = await perceiver.perceive(turn_of(without, good))
    assert reading.affect is not None
    assert len(reading.affect.evidence) == 1
    none = await perceiver.perceive(turn_of(without, save("two", collage(portrait))))
    assert reason(none) == "several-faces"


@pytest.mark.models
async def test_faces_of_turns_at_once_share_a_pass(
    detector: MTCNNDetector, portrait_path: Path
) -> None:
    perceiver = FaceEmotion(detector=detector, workers=4)
    await perceiver.warm_up()
    alone = await perceiver.perceive(turn_of(portrait_path))
    turns = [turn_of(portrait_path, portrait_path) for _ in range(4)]
    together = await asyncio.gather(*(perceiver.perceive(turn) for turn in turns))
    assert perceiver.stats.items == 1 + 8
    assert perceiver.stats.batches < 1 + 8
    assert alone.affect is not None
    for reading in together:
        assert reading.affect is not None
        probs = reading.affect.distribution.probs
        assert probs == pytest.approx(alone.affect.distribution.probs, abs=1e-4)
    await perceiver.close()
    with pytest.raises(NodeError, match="closed"):
        await perceiver.perceive(turn_of(portrait_path))
