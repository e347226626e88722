"""Media as handles: a path that opens once, is checked whole, and says clearly what is wrong."""

from __future__ import annotations

import struct
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from affectgraph.perceivers.errors import MediaError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE_RATE: Final = 16_000
MIN_SIDE: Final = 32
MAX_PIXELS: Final = 50_000_000
MAX_SECONDS: Final = 120.0
MIN_SECONDS: Final = 0.1


class _MediaFile:
    """A path that pydantic takes as ``str`` or ``Path`` and prints as ``str``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.path == self.path

    def __hash__(self) -> int:
        return hash((type(self), self.path))

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def coerce(value: object) -> _MediaFile:
            if isinstance(value, cls):
                return value
            if isinstance(value, str | Path):
                return cls(value)
            raise ValueError("give a path")

        return core_schema.no_info_plain_validator_function(
            coerce,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda media: str(media.path)
            ),
        )

    def _must_be_file(self) -> None:
        if not self.path.exists():
            raise MediaError(self.path, "no such file")
        if not self.path.is_file():
            raise MediaError(self.path, "not a file")
        if self.path.stat().st_size == 0:
            raise MediaError(self.path, "the file is empty")


class ImageFile(_MediaFile):
    """A still image on disk (any format that Pillow reads)."""

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """Upright RGB pixels, shape (height, width, 3); decoded at the first use, blocking.

        Raises:
            MediaError: If the file is absent, not an image, cut short, smaller than 32 pixels on
                a side, or larger than 50 megapixels.
        """
        from PIL import Image, ImageOps, UnidentifiedImageError

        self._must_be_file()
        try:
            with Image.open(self.path) as image:
                width, height = image.size
                if min(width, height) < MIN_SIDE:
                    raise MediaError(
                        self.path,
                        f"the image is {width}x{height} pixels, at least"
                        f" {MIN_SIDE}x{MIN_SIDE} are needed",
                    )
                if width * height > MAX_PIXELS:
                    raise MediaError(
                        self.path, f"the image is {width}x{height} pixels: scale it down"
                    )
                upright = ImageOps.exif_transpose(image).convert("RGB")
                return np.asarray(upright, dtype=np.uint8)
        except UnidentifiedImageError:
            raise MediaError(self.path, "not an image in a known format") from None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise MediaError(self.path, f"the image cannot be read ({error})") from error


class AudioFile(_MediaFile):
    """A sound file on disk (any container and codec that FFmpeg reads)."""

    @cached_property
    def samples(self) -> NDArray[np.float32]:
        """Mono samples at 16 kHz in [-1, 1], shape (n,); decoded at the first use, blocking.

        Raises:
            MediaError: If the file is absent, holds no sound, is cut short, or lasts less than
                0.1 seconds or more than two minutes.
        """
        import av

        self._must_be_file()
        self._check_riff_size()
        try:
            with av.open(str(self.path), mode="r", metadata_errors="ignore") as container:
                if not container.streams.audio:
                    raise MediaError(self.path, "no sound in this file")
                resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
                chunks = [
                    out.to_ndarray()[0]
                    for frame in container.decode(audio=0)
                    for out in resampler.resample(frame)
                ]
                chunks += [out.to_ndarray()[0] for out in resampler.resample(None)]
        except av.FFmpegError as error:
            raise MediaError(
                self.path, f"the sound cannot be read ({error.strerror or 'invalid data'})"
            ) from error
        samples = np.concatenate(chunks).astype(np.float32) if chunks else np.zeros(0, np.float32)
        seconds = len(samples) / SAMPLE_RATE
        if seconds < MIN_SECONDS:
            raise MediaError(self.path, f"only {seconds:.2f} seconds of sound")
        if seconds > MAX_SECONDS:
            raise MediaError(
                self.path, f"{seconds:.0f} seconds of sound, at most {MAX_SECONDS:.0f} are taken"
            )
        return samples

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def _check_riff_size(self) -> None:
        """Refuse a WAV that ends before its header says: FFmpeg would play what is left."""
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            head = file.read(12)
            if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
                return
            position = 12
            while position + 8 <= size:
                file.seek(position)
                name, length = struct.unpack("<4sI", file.read(8))
                position += 8
                if name == b"data":
                    # 0 and 2**32-1 are what streaming writers leave: the length is unknown.
                    if length not in (0, 0xFFFFFFFF) and position + length > size:
                        raise MediaError(
                            self.path,
                            f"the sound is cut short: {size - position:,} of {length:,} bytes",
                        )
                    return
                position += length + length % 2
        raise MediaError(self.path, "the sound is cut short: no samples in the WAV file")
