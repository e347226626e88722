"""DeepFace's detectors and emotion model, by DeepFace itself, on a model file made on the spot."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from affectgraph.perceivers.adapters import DeepFaceDetector, DeepFaceEmotion, Search
from affectgraph.perceivers.adapters.deep_face import _points
from affectgraph.perceivers.affect import Box
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.face import DetectedFace, FaceDetector, FaceEmotion
from affectgraph.perceivers.face.crop import crop_face
from affectgraph.perceivers.media import ImageFile
from affectgraph.perceivers.turn import Turn

pytest.importorskip("deepface", reason="the extra 'gpu' is not installed")
pytest.importorskip("cv2", reason="the extra 'gpu' is not installed")

AT = datetime(2026, 1, 1, tzinfo=UTC)
PORTRAIT = Path(__file__).parents[3] / "examples" / "portrait.jpg"
LABELS = {
    "angry": "anger", "disgust": "disgust", "fear": "fear", "happy": "joy", "sad": "sadness",
    "surprise": "surprise", "neutral": "neutral",
}  # fmt: skip


def emotion_model(path: Path) -> None:
    """A graph of DeepFace's shape whose answer depends on the face's upper and lower half."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(3)
    weights = rng.normal(size=(48, 7)).astype(np.float32)
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, ["n", 48, 48, 1])
    emotions = helper.make_tensor_value_info("emotions", TensorProto.FLOAT, ["n", 7])
    axes = numpy_helper.from_array(np.array([2, 3]), "axes")
    nodes = [
        helper.make_node("ReduceMean", ["face", "axes"], ["rows"], keepdims=0),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["emotions"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes, "emotion", [face], [emotions], [axes, numpy_helper.from_array(weights, "weights")]
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """DeepFace's home for this process, apart from any that this machine has."""
    home = tmp_path_factory.mktemp("deepface")
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True)
    emotion_model(weights / "facial_expression_model_weights.onnx")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEEPFACE_HOME", str(home))
        patch.setenv("DEEPFACE_BACKEND_ENGINE", "onnx")
        yield home


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.asarray(Image.open(PORTRAIT).convert("RGB"))


def turn(*photos: Path) -> Turn:
    return Turn(text="look", images=tuple(map(ImageFile, photos)), at=AT)


def test_the_detector_finds_the_face_with_its_points(home: Path, pixels: NDArray[np.uint8]) -> None:
    detector = DeepFaceDetector(home=home)
    wanted: FaceDetector = detector
    (face,) = wanted.detect(pixels)
    assert 120 < face.box.x < 150
    assert 80 < face.box.width < 115
    assert 0.5 < face.score <= 1
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1] < face.box.y + face.box.height


def test_where_there_is_no_face_none_is_found(home: Path) -> None:
    detector = DeepFaceDetector(home=home)
    assert detector.detect(np.full((200, 200, 3), 127, np.uint8)) == []


@pytest.mark.models
async def test_the_detector_stands_before_our_own_head(home: Path, requires_model: object) -> None:
    """Our network reads a face that DeepFace found."""
    del requires_model
    reading = await FaceEmotion(detector=DeepFaceDetector(home=home)).perceive(turn(PORTRAIT))
    assert reading.affect is not None
    assert reading.affect.distribution.label_set == "ferplus-8"


async def test_it_says_what_deepface_says(home: Path, pixels: NDArray[np.uint8]) -> None:
    from deepface import DeepFace

    reader = DeepFaceEmotion(home=home)
    assert isinstance(reader, Perceiver)
    reading = await reader.perceive(turn(PORTRAIT))
    assert reading.affect is not None
    box = reading.affect.evidence[0].box
    assert box is not None
    side = max(box.width, box.height)
    face = pixels[box.y : box.y + side, box.x : box.x + side, ::-1]

    def by_deepface() -> dict[str, float]:
        (told,) = DeepFace.analyze(
            np.ascontiguousarray(face), actions=("emotion",), detector_backend="skip"
        )
        return dict(told["emotion"])

    said = await asyncio.to_thread(by_deepface)
    for label, ours in LABELS.items():
        assert reading.affect.distribution[ours] == pytest.approx(said[label] / 100, abs=1e-4)


class Knows:
    """A detector that knows where the face is."""

    def load(self) -> None:
        """Nothing to load."""

    def detect(self, pixels: NDArray[np.uint8]) -> list[DetectedFace]:
        box = Box(x=136, y=65, width=97, height=97)
        first, second, *rest = _points(box, None)
        return [DetectedFace(box, 1.0, (first, second, *rest))]


async def test_faces_of_several_sessions_share_a_pass(home: Path, tmp_path: Path) -> None:
    photos = [PORTRAIT]
    for factor in (0.7, 0.85, 1.15):
        photos.append(tmp_path / f"{factor}.png")
        ImageEnhance.Brightness(Image.open(PORTRAIT)).enhance(factor).save(photos[-1])
    reader = DeepFaceEmotion(
        home=home, detector=Knows(), search=Search(margin=0.0, workers=4), max_wait=0.5
    )
    alone = [(await reader.perceive(turn(photo))).affect for photo in photos]
    before = reader.stats.batches
    together = await asyncio.gather(*(reader.perceive(turn(photo)) for photo in photos))
    assert reader.stats.batches - before < 4
    for one, other in zip(alone, together, strict=True):
        assert one is not None
        assert other.affect is not None
        np.testing.assert_allclose(
            other.affect.distribution.probs, one.distribution.probs, atol=1e-5
        )
    assert len({one.distribution.probs for one in alone if one}) == 4
    await reader.close()


async def test_the_temperature_softens(home: Path) -> None:
    sharp = (await DeepFaceEmotion(home=home).perceive(turn(PORTRAIT))).affect
    soft = (await DeepFaceEmotion(home=home, temperature=3).perceive(turn(PORTRAIT))).affect
    assert sharp is not None
    assert soft is not None
    assert soft.top == sharp.top
    assert soft.confidence < sharp.confidence


def test_what_deepface_would_download_is_asked_for(home: Path) -> None:
    with pytest.raises(SetupError, match=r"needs face_detection_yunet_2023mar\.onnx in "):
        DeepFaceDetector("yunet", home=home).load()
    with pytest.raises(SetupError, match=r"needs yolov8n-face\.pt"):
        DeepFaceDetector("yolov8n", home=home).load()


def test_weights_that_are_absent_are_asked_for(home: Path) -> None:
    DeepFaceDetector(home=home).load()
    file = home / ".deepface" / "weights" / "facial_expression_model_weights.onnx"
    away = file.rename(file.with_suffix(".away"))
    try:
        with pytest.raises(SetupError, match=r"needs facial_expression_model_weights\.onnx"):
            asyncio.run(DeepFaceEmotion(home=home).warm_up())
    finally:
        away.rename(file)


def test_one_process_has_one_engine_and_one_home(home: Path, tmp_path: Path) -> None:
    DeepFaceDetector(home=home).load()
    with pytest.raises(SetupError, match="already runs on onnx"):
        DeepFaceDetector(home=home, engine="pytorch").load()
    with pytest.raises(SetupError, match="already has its weights under"):
        DeepFaceDetector(home=tmp_path).load()


@pytest.mark.parametrize("eyes", [None, ((40, 60), (76, 60)), ((42, 70), (78, 60))])
def test_points_that_nobody_told_make_a_face(eyes: Any) -> None:
    box = Box(x=10, y=20, width=100, height=100)
    points = np.array(_points(box, eyes))
    across = points[1] - points[0]
    down = points[3:].mean(0) - points[:2].mean(0)
    assert across @ down == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(down) / np.linalg.norm(across) == pytest.approx(0.39 / 0.37)
    if eyes is None:
        assert points[:2].mean(0) == pytest.approx([60, 59])
    noise = np.random.default_rng(0).integers(0, 255, (140, 140, 3), dtype=np.uint8)
    landmarks = tuple((float(x), float(y)) for x, y in points)
    assert crop_face(noise, DetectedFace(box, 1.0, landmarks)).std() > 5


def test_numbers_out_of_range_are_refused(home: Path) -> None:
    with pytest.raises(SetupError, match="temperature"):
        DeepFaceEmotion(home=home, temperature=0)
