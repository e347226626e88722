"""The shipped expression head."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.ferplus import load
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.face import ExpressionHead
from affectgraph.perceivers.face.expression import WEIGHTS

HEAD = ExpressionHead()


def random_faces(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), dtype=np.uint8)


@given(st.integers(1, 5), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_it_gives_distributions_that_do_not_depend_on_the_batch(count: int, seed: int) -> None:
    faces = random_faces(count, seed)
    probs = HEAD.probabilities(faces)
    assert probs.shape == (count, 8)
    assert probs.min() >= 0
    assert probs.sum(axis=1) == pytest.approx(np.ones(count), abs=1e-5)
    assert HEAD.probabilities(faces[-1:]) == pytest.approx(probs[-1:], abs=1e-4)


def test_a_mirror_image_and_another_exposure_read_the_same() -> None:
    faces = (random_faces(4, 1) // 2).astype(np.uint8)
    probs = HEAD.probabilities(faces)
    assert HEAD.probabilities(np.ascontiguousarray(faces[:, :, ::-1])) == pytest.approx(
        probs, abs=1e-4
    )
    assert HEAD.probabilities(faces + np.uint8(100)) == pytest.approx(probs, abs=1e-4)


@pytest.mark.parametrize("shape", [(0, 48, 48), (48, 48), (2, 40, 48)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="faces must have the shape"):
        HEAD.probabilities(np.zeros(shape, np.uint8))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"gone\.onnx is absent"):
        ExpressionHead(tmp_path / "gone.onnx").load()


def test_the_head_is_one_small_file_with_a_card() -> None:
    assert WEIGHTS.stat().st_size < 12_000_000
    assert WEIGHTS.with_suffix(".md").is_file()
    kinds = sorted(path.suffix for path in WEIGHTS.parent.glob(f"{WEIGHTS.stem}.*"))
    assert kinds == [".json", ".md", ".onnx"]


@pytest.mark.data
def test_it_reads_validation_pictures_about_as_well_as_its_card_says(data_root: Path) -> None:
    valid = load(data_root, "valid")
    guesses = HEAD.probabilities(valid.images[::4]).argmax(axis=1)
    assert (guesses == valid.labels[::4]).mean() > 0.84
