"""What the abstention benchmark is made of: recordings, portraits, scenes and messages."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.abstention_photos import (
    Photo,
    Portrait,
    bad_photos,
    good_photos,
    resized,
)
from affectgraph.orchestrator.evaluation.abstention_sounds import Sound, bad_sounds
from affectgraph.orchestrator.evaluation.abstention_texts import GOOD, bad_texts
from affectgraph.perceivers.affect import Modality
from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.perceivers.media import AudioFile

EACH: Final = 8
"""Bad inputs of a kind."""
GOOD_EACH: Final = 120
"""Good inputs of a modality and source at most."""

_HOPPER_FACE: Final = (163, 105, 356, 342)
_PORTRAIT_FACE: Final = (141, 63, 226, 172)
_NATURAL: Final = 64
"""Height of the portrait's own face, in pixels, when a picture of FER+ takes its place."""
_PLACE: Final = 0.9
_FADE: Final = 0.08
_LIKE_MEAN: Final = 0.2
_LIKE_MIRROR: Final = 0.0


@dataclass(frozen=True)
class Specimen:
    """One input.

    Attributes:
        modality: Whose perceiver reads it.
        kind: What is the matter with it, or where it comes from.
        bad: Whether a perceiver should abstain.
        content: A text; a sound, float32, shape (n,); a photo, uint8, shape (h, w, 3).
        hard: Whether it is a good one that is known to be hard to read: told apart, and counted
            neither among the good ones nor among the bad ones.
    """

    modality: Modality
    kind: str
    bad: bool
    content: str | NDArray[Any]
    hard: bool = False

    @property
    def key(self) -> str:
        """What it is known by; says nothing of the content."""
        content = self.content
        raw = content.encode() if isinstance(content, str) else content.tobytes()
        return f"{self.modality} {self.kind} {hashlib.sha256(raw).hexdigest()}"


@dataclass(frozen=True)
class Sources:
    """What specimens are made of.

    Attributes:
        voices: Recordings of speech, mono, 16 kHz.
        portraits: Photos of one person each.
        scenes: Photos without a person.
        faces: Pictures of a face that most raters agree on, grey, uint8, shape (n, 48, 48).
        near: Whether each face is like the mean face: :func:`near_mean`, shape (n,).
        messages: English messages.
    """

    voices: tuple[Sound, ...]
    portraits: tuple[Portrait, ...]
    scenes: tuple[Photo, ...]
    faces: NDArray[np.uint8]
    near: NDArray[np.bool_]
    messages: tuple[str, ...]

    def specimens(self, seed: int, *, each: int = EACH) -> Iterator[Specimen]:
        """Bad and good inputs of all modalities; the same seed gives the same."""
        for kind, sound in bad_sounds(self.voices, each, seed):
            yield Specimen("speech", kind, True, sound)
        for kind, photo in bad_photos(self.portraits, self.scenes, each, seed):
            yield Specimen("face", kind, True, photo)
        for kind, text in bad_texts(each, seed):
            yield Specimen("text", kind, True, text)
        for voice in self.voices:
            yield Specimen("speech", "recording", False, voice)
        for kind, photo in good_photos(self.portraits, 5 * each, seed):
            yield Specimen("face", kind, False, photo)
        for face, near in zip(self.faces, self.near, strict=True):
            kind = "FER+ face, near the mean" if near else "FER+ face, far from the mean"
            photo = in_portrait(face, self.portraits[0])
            yield Specimen("face", kind, False, photo, hard=not near)
        for text in GOOD:
            yield Specimen("text", "invented message", False, text)
        for text in self.messages:
            yield Specimen("text", "GoEmotions message", False, text)


def in_portrait(face: NDArray[np.uint8], portrait: Portrait) -> Photo:
    """A grey face at about its natural size in the place of a portrait's own, with soft edges.

    FER+ pictures are cut close around the face, as no camera does; the portrait gives the head, the
    shoulders and the room around it.
    """
    from PIL import Image

    left, top, right, bottom = portrait.face
    scale = _NATURAL / max(right - left, bottom - top)
    photo = resized(portrait.photo, scale) @ np.array([0.299, 0.587, 0.114])
    side = round(_NATURAL * _PLACE)
    x = max(0, round((left + right) / 2 * scale) - side // 2)
    y = max(0, round((top + bottom) / 2 * scale) - side // 2)
    own = np.asarray(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC))
    from_edge = np.minimum(np.arange(side) + 1, side - np.arange(side)) / (_FADE * side)
    shown = np.clip(np.minimum.outer(from_edge, from_edge), 0, 1)
    place = photo[y : y + side, x : x + side]
    place[:] = shown * own + (1 - shown) * place
    grey = np.clip(photo, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


def near_mean(faces: NDArray[np.uint8], mean: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Whether faces are upright and turned to the camera, as far as no detector need be asked.

    Inside an oval such a face resembles the mean of many faces, and is no negative of its own
    mirror image; limits of the correlations are 0.2 and 0. It is a coarse measure: light from one
    side, or a dark skin among mostly pale ones, makes a face unlike the mean too.

    Args:
        faces: Grey, shape (n, 48, 48).
        mean: The mean of many others, shape (48, 48).
    """
    side = len(mean)
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    oval = (x / (0.42 * side)) ** 2 + (y / (0.46 * side)) ** 2 < 1

    def alike(one: NDArray[Any], other: NDArray[Any]) -> float:
        return float(np.corrcoef(one[oval].astype(float), other[oval].astype(float))[0, 1])

    return np.array(
        [
            alike(face, mean) >= _LIKE_MEAN and alike(face, face[:, ::-1]) >= _LIKE_MIRROR
            for face in faces
        ],
        dtype=np.bool_,
    )


def gather(data: Path, examples: Path, seed: int, *, most: int = GOOD_EACH) -> Sources:
    """Read what there is: the examples, two libraries' free photos, and corpora if present.

    The photos are Grace Hopper's portrait in matplotlib (public domain) and the two scenes in
    scikit-learn (CC BY). RAVDESS, FER+ and GoEmotions are used where their folders are.

    Args:
        data: Folder of corpora.
        examples: Folder with ``portrait.jpg`` and ``voice.flac``.
        seed: Of the draws.
        most: Inputs of a corpus at most.

    Raises:
        ExtraMissingError: If matplotlib or scikit-learn is absent.
        SetupError: If there is neither an example nor a corpus of voices.
    """
    if find_spec("matplotlib") is None or find_spec("sklearn") is None:
        raise ExtraMissingError("the abstention benchmark", "eval")
    voices = [*_example_voice(examples), *_recordings(data, most, seed)]
    if not voices:
        raise SetupError(
            f"no recording of a voice: neither {examples / 'voice.flac'} nor {data / 'ravdess'} is"
            " here. Run it from the project's folder, or name the data with --data"
        )
    faces, near = _faces(data, most, seed)
    return Sources(
        voices=tuple(voices),
        portraits=tuple(_portraits(examples)),
        scenes=tuple(_scenes()),
        faces=faces,
        near=near,
        messages=_messages(data, most, seed),
    )


def _example_voice(examples: Path) -> list[Sound]:
    file = examples / "voice.flac"
    return [AudioFile(file).samples] if file.is_file() else []


def _recordings(data: Path, most: int, seed: int) -> list[Sound]:
    """RAVDESS, every actor and emotion about as often."""
    from affectgraph.perceivers.corpora.ravdess import load

    if not (data / "ravdess").is_dir():
        return []
    return [AudioFile(file).samples for file in load(data, limit=most, seed=seed).files]


def _portraits(examples: Path) -> Iterator[Portrait]:
    from matplotlib import get_data_path
    from PIL import Image

    with Image.open(Path(get_data_path()) / "sample_data" / "grace_hopper.jpg") as image:
        yield Portrait(np.asarray(image.convert("RGB")), _HOPPER_FACE)
    file = examples / "portrait.jpg"
    if file.is_file():
        with Image.open(file) as image:
            yield Portrait(np.asarray(image.convert("RGB")), _PORTRAIT_FACE)


def _scenes() -> Iterator[Photo]:
    from sklearn.datasets import load_sample_images

    for photo in load_sample_images().images:
        yield np.asarray(photo, dtype=np.uint8)


def _faces(data: Path, most: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Test pictures of FER+ on whose emotion nearly all raters agree; which are near the mean."""
    from affectgraph.perceivers.corpora.ferplus import load

    if not (data / "ferplus").is_dir():
        return np.zeros((0, 48, 48), np.uint8), np.zeros(0, np.bool_)
    read = load(data, "test")
    clear = np.flatnonzero(read.targets.max(axis=1) >= 0.9)
    rows = np.random.default_rng(seed).permutation(clear)
    faces = np.asarray(read.images[rows], dtype=np.uint8)
    near = near_mean(faces, load(data, "valid").images.mean(axis=0))
    # As many as asked for that are near it, and whatever else was drawn on the way.
    chosen = np.cumsum(near) <= most
    return faces[chosen], near[chosen]


def _messages(data: Path, most: int, seed: int) -> tuple[str, ...]:
    from affectgraph.perceivers.corpora.goemotions import load

    if not (data / "goemotions").is_dir():
        return ()
    texts: Sequence[str] = load(data, "test").texts
    rows = np.random.default_rng(seed).permutation(len(texts))[:most]
    return tuple(texts[row] for row in np.sort(rows).tolist())
