"""Small videos made of the portrait, and a detector that needs no network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from affectgraph.perceivers.face import MTCNNDetector
from affectgraph.perceivers.media import ImageFile
from affectgraph.perceivers.models import ModelStore

PORTRAIT = Path(__file__).parents[3] / "examples" / "portrait.jpg"
Pixels = NDArray[np.uint8]
Film = Callable[..., Path]


@pytest.fixture
def portrait() -> Pixels:
    """RGB, shape (480, 384, 3); one face at about (184, 118), 109 pixels high."""
    return ImageFile(PORTRAIT).pixels


@pytest.fixture
def portrait_path() -> Path:
    return PORTRAIT


@pytest.fixture
def detector(requires_model: Callable[[str], Path], model_store: ModelStore) -> MTCNNDetector:
    requires_model("mtcnn")
    return MTCNNDetector(model_store, min_face=40)


@pytest.fixture
def film(tmp_path: Path) -> Film:
    """Writes pictures (and a sound, mono, 16 kHz, that begins later) in the format of the name."""

    def write(
        pictures: Iterable[Pixels],
        *,
        fps: int = 10,
        sound: NDArray[np.float32] | None = None,
        sound_at: float = 0.0,
        rotation: int = 0,
        name: str = "film.mp4",
        codec: str = "mpeg4",
    ) -> Path:
        path = tmp_path / name
        frames = list(pictures)
        with av.open(str(path), "w") as container:
            video = container.add_stream(codec, rate=fps)
            video.height, video.width = frames[0].shape[:2]
            video.pix_fmt = "yuv420p"
            video.bit_rate = 4_000_000
            if rotation:
                video.set_display_rotation(rotation)
            audio = None if sound is None else container.add_stream("aac", rate=16_000)
            for number, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, fps)
                container.mux(video.encode(frame))
            container.mux(video.encode())
            if audio is not None and sound is not None:
                for at in range(0, len(sound) - 1023, 1024):
                    part = av.AudioFrame.from_ndarray(
                        sound[None, at : at + 1024], format="fltp", layout="mono"
                    )
                    part.sample_rate, part.pts = 16_000, at + round(sound_at * 16_000)
                    container.mux(audio.encode(part))
                container.mux(audio.encode())
        return path

    return write
