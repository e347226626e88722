"""MTCNN on the portrait and on pictures without a face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from affectgraph.perceivers.errors import ModelMissingError
from affectgraph.perceivers.face import DetectedFace, MTCNNDetector
from affectgraph.perceivers.models import ModelStore

CENTRE = (184, 118)
"""Middle of the face in the portrait."""


def resized(pixels: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    size = round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def middle(face: DetectedFace) -> tuple[float, float]:
    return face.box.x + face.box.width / 2, face.box.y + face.box.height / 2


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (240, 320, 3), dtype=np.uint8)


def gradient() -> NDArray[np.uint8]:
    return np.tile(np.linspace(0, 255, 320).astype(np.uint8)[None, :, None], (240, 1, 3))


@pytest.mark.models
def test_the_portrait_has_one_face_with_its_points_in_place(
    detector: MTCNNDetector, portrait: NDArray[np.uint8]
) -> None:
    (face,) = detector.detect(portrait)
    assert middle(face) == pytest.approx(CENTRE, abs=8)
    assert 75 < face.box.width < 100
    assert 95 < face.box.height < 125
    assert face.score > 0.95
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.mark.models
@pytest.mark.parametrize("scale", [0.35, 0.7, 1.6, 4.0])
def test_the_box_grows_with_the_photo(
    detector: MTCNNDetector, portrait: NDArray[np.uint8], scale: float
) -> None:
    (face,) = detector.detect(resized(portrait, scale))
    assert middle(face) == pytest.approx((CENTRE[0] * scale, CENTRE[1] * scale), abs=8 * scale)
    assert face.box.height == pytest.approx(109 * scale, rel=0.15)


@pytest.mark.models
def test_a_mirror_image_has_the_mirrored_box(
    detector: MTCNNDetector, portrait: NDArray[np.uint8]
) -> None:
    (face,) = detector.detect(np.ascontiguousarray(portrait[:, ::-1]))
    assert middle(face) == pytest.approx((portrait.shape[1] - CENTRE[0], CENTRE[1]), abs=8)


@pytest.mark.models
def test_a_face_at_the_edge_gets_a_box_inside_the_photo(
    detector: MTCNNDetector, portrait: NDArray[np.uint8]
) -> None:
    cut = np.ascontiguousarray(portrait[75:, 135:])
    (face,) = detector.detect(cut)
    assert face.box.x + face.box.width <= cut.shape[1]
    assert face.box.y + face.box.height <= cut.shape[0]
    assert face.box.height > 70


@pytest.mark.models
def test_two_people_are_two_faces(detector: MTCNNDetector, portrait: NDArray[np.uint8]) -> None:
    faces = detector.detect(np.concatenate([portrait, portrait], axis=1))
    assert len(faces) == 2
    assert abs(middle(faces[0])[0] - middle(faces[1])[0]) == pytest.approx(384, abs=8)


@pytest.mark.models
@pytest.mark.parametrize(
    "pixels",
    [noise(0), noise(1), gradient(), np.zeros((32, 700, 3), np.uint8)],
    ids=["noise", "more noise", "gradient", "black strip"],
)
def test_there_is_no_face_in(detector: MTCNNDetector, pixels: NDArray[np.uint8]) -> None:
    assert detector.detect(pixels) == []


@pytest.mark.models
def test_min_face_sets_what_is_too_small_to_see(
    model_store: ModelStore, detector: MTCNNDetector, portrait: NDArray[np.uint8]
) -> None:
    assert len(detector.detect(portrait)) == 1
    assert MTCNNDetector(model_store, min_face=300).detect(portrait) == []


def test_a_window_below_twelve_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="min_face"):
        MTCNNDetector(min_face=8)


def test_without_the_model_the_error_says_how_to_get_it(
    tmp_path: Path, portrait: NDArray[np.uint8]
) -> None:
    with pytest.raises(ModelMissingError, match="affectgraph models pull mtcnn"):
        MTCNNDetector(ModelStore(tmp_path)).detect(portrait)


@pytest.mark.models
def test_several_images_are_read_as_each_alone(
    detector: MTCNNDetector, portrait: NDArray[np.uint8]
) -> None:
    mirrored = np.ascontiguousarray(portrait[:, ::-1])
    images = [portrait, noise(0), resized(portrait, 0.7), mirrored, gradient()]
    together = detector.detect_all(images)
    alone = [detector.detect(image) for image in images]
    assert [len(faces) for faces in together] == [1, 0, 1, 1, 0]
    for one, other in zip(together, alone, strict=True):
        assert [face.box for face in one] == [face.box for face in other]
        assert np.allclose([f.landmarks for f in one], [f.landmarks for f in other], atol=0.01)
    assert detector.detect_all([]) == []


@pytest.mark.models
def test_a_face_is_found_again_near_where_it_was(
    detector: MTCNNDetector, portrait: NDArray[np.uint8]
) -> None:
    (face,) = detector.detect(portrait)
    moved = np.roll(portrait, 6, axis=1)
    gone = np.full_like(portrait, 90)
    (again,) = detector.refine(moved, [face.box])
    assert again is not None
    assert middle(again)[0] == pytest.approx(middle(face)[0] + 6, abs=6)
    assert detector.refine(gone, [face.box]) == [None]
    assert detector.refine(portrait, []) == []


@pytest.mark.models
def test_a_face_cut_by_the_edge_says_how_much_of_it_is_inside(
    detector: MTCNNDetector, portrait: NDArray[np.uint8]
) -> None:
    (whole,) = detector.detect(portrait)
    (cut,) = detector.detect(np.ascontiguousarray(portrait[:, 165:]))
    assert whole.inside > cut.inside
    assert whole.inside > 0.98


@pytest.mark.models
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_close_up_is_found_at_the_second_look(
    model_store: ModelStore, detector: MTCNNDetector, portrait: NDArray[np.uint8], scale: float
) -> None:
    """Nothing but the face, from the brow to the chin: what is around it is not in the picture."""
    tight = resized(portrait[76:166, 146:222], scale)
    (face,) = detector.detect(tight)
    assert middle(face) == pytest.approx((38 * scale, 42 * scale), abs=12 * scale)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    assert face.margin > 0.05
    (whole,) = detector.detect(portrait)
    assert whole.margin > face.margin
    plain = MTCNNDetector(model_store, close=False)
    assert plain.detect(portrait) == [whole]
    assert len(plain.detect(tight)) <= 1
