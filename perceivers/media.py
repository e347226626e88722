"""Media as handles: a path that opens once, is checked whole, and says clearly what is wrong."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
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
MAX_VIDEO_BYTES: Final = 500_000_000
MAX_FRAME_PIXELS: Final = 9_000_000
"""A little more than 3840 x 2160."""


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
                samples = self._decoded(container)
        except av.FFmpegError as error:
            raise MediaError(
                self.path, f"the sound cannot be read ({error.strerror or 'invalid data'})"
            ) from error
        seconds = len(samples) / SAMPLE_RATE
        if seconds < MIN_SECONDS:
            raise MediaError(self.path, f"only {seconds:.2f} seconds of sound")
        return samples

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.samples) / SAMPLE_RATE

    def _decoded(self, container: Any) -> NDArray[np.float32]:
        """All samples; decoding ends where they are too many, however long the sound goes on."""
        import av

        resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
        chunks, count = [np.zeros(0, np.float32)], 0
        # None, at the end, gives what the resampler holds back.
        for frame in chain(container.decode(audio=0), (None,)):
            for out in resampler.resample(frame):
                chunks.append(out.to_ndarray()[0])
                count += len(chunks[-1])
            if count > MAX_SECONDS * SAMPLE_RATE:
                raise MediaError(
                    self.path, f"more than {MAX_SECONDS:.0f} seconds of sound: send a shorter one"
                )
        return np.concatenate(chunks).astype(np.float32)

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


@dataclass(frozen=True)
class VideoInfo:
    """What a check of a video found.

    Attributes:
        width: Of the upright picture, in pixels.
        height: Of the upright picture, in pixels.
        seconds: Duration of the pictures.
        frames: How many pictures.
        has_sound: Whether there is a sound track.
    """

    width: int
    height: int
    seconds: float
    frames: int
    has_sound: bool


@dataclass(frozen=True)
class Frame:
    """One picture of a video.

    Attributes:
        at: Seconds from the first picture.
        pixels: Upright RGB, uint8, shape (height, width, 3).
    """

    at: float
    pixels: NDArray[np.uint8]


class VideoFile(_MediaFile):
    """A video on disk (any container and codec that FFmpeg reads).

    Pictures are decoded as they are asked for and never all held at once.
    """

    @cached_property
    def info(self) -> VideoInfo:
        """Read the whole file once, without decoding every picture; blocking.

        Raises:
            MediaError: If the file is absent, holds no pictures or none with a time, is cut short
                or damaged, is larger than 500 MB or 3840 x 2160 pixels, smaller than 32 pixels on
                a side, or lasts less than 0.1 seconds or more than two minutes.
        """
        import av

        self._must_be_file()
        if (size := self.path.stat().st_size) > MAX_VIDEO_BYTES:
            raise MediaError(
                self.path,
                f"the video has {size / 1e6:.0f} MB, at most {MAX_VIDEO_BYTES / 1e6:.0f} are taken",
            )
        try:
            with av.open(str(self.path), mode="r", metadata_errors="ignore") as container:
                if not container.streams.video:
                    raise MediaError(self.path, "no pictures in this file")
                return self._examined(container)
        except av.FFmpegError as error:
            raise self._unreadable(error) from error

    @cached_property
    def sound(self) -> AudioFile | None:
        """The sound track, if there is one; blocking at the first use as :attr:`info` is."""
        return AudioFile(self.path) if self.info.has_sound else None

    @cached_property
    def sound_delay(self) -> float:
        """Seconds from the first picture to the first sample of the sound; blocking.

        Below zero where the sound comes first, 0 where there is none or no time is told.

        Raises:
            MediaError: As :attr:`info`, or if the sound cannot be decoded.
        """
        if not self.info.has_sound:
            return 0.0
        picture, sound = self._start(video=0), self._start(audio=0)
        return 0.0 if picture is None or sound is None else sound - picture

    def frames(self, fps: float = 5.0, *, max_side: int = 1280) -> Iterator[Frame]:
        """Decode pictures at a steady rate, one at a time; blocking.

        Args:
            fps: Pictures a second; those between are decoded and dropped. A video that has fewer
                gives those it has.
            max_side: Pictures with a longer side are scaled down to it.

        Raises:
            MediaError: As :attr:`info`, or if a picture cannot be decoded.
            ValueError: If ``fps`` is not above zero.
        """
        import av

        if not fps > 0:
            raise ValueError(f"fps must be above 0, not {fps}")
        _ = self.info
        try:
            with av.open(str(self.path), mode="r", metadata_errors="ignore") as container:
                first, taken = None, -1
                for frame in container.decode(video=0):
                    if frame.time is None:
                        continue
                    first = frame.time if first is None else first
                    # The first picture of each tick; a tolerance keeps rounding from skipping one.
                    tick = int((frame.time - first) * fps + 1e-3)
                    if tick > taken:
                        taken = tick
                        yield Frame(frame.time - first, _upright(frame, max_side))
        except av.FFmpegError as error:
            raise self._unreadable(error) from error

    def _examined(self, container: Any) -> VideoInfo:
        """Go through every packet, and decode those pictures that need no other."""
        stream = container.streams.video[0]
        stream.codec_context.skip_frame = "NONKEY"
        told = stream.codec_context.width, stream.codec_context.height
        # What the file says of its pictures is refused before one is decoded; 0 is not known yet.
        if all(told):
            self._must_fit(*told)
        first, last, count = math.inf, -math.inf, 0
        width = height = 0
        for packet in container.demux(stream):
            if packet.pts is not None:
                at = float(packet.pts * packet.time_base)
                first, last, count = min(first, at), max(last, at), count + 1
                self._must_be_short(last - first)
            for frame in packet.decode():
                upright = (frame.width, frame.height)[:: -1 if frame.rotation % 180 else 1]
                self._must_fit(*upright)
                width, height = (width, height) if width else upright
        if not width:
            raise MediaError(self.path, "no picture can be decoded")
        if not count:
            raise MediaError(self.path, "its pictures have no times: save it as MP4 or WebM")
        rate = float(stream.average_rate or 25)
        seconds = last - first + 1 / rate
        if seconds < MIN_SECONDS:
            raise MediaError(self.path, f"only {seconds:.2f} seconds of pictures")
        whole = float(stream.duration * stream.time_base) if stream.duration else seconds
        if seconds < 0.9 * whole - 0.5:
            raise MediaError(
                self.path, f"the video is cut short: {seconds:.1f} of {whole:.1f} seconds"
            )
        return VideoInfo(width, height, seconds, count, bool(container.streams.audio))

    def _start(self, **stream: int) -> float | None:
        """Time in the file of what a stream's decoder gives first."""
        import av

        try:
            with av.open(str(self.path), mode="r", metadata_errors="ignore") as container:
                for frame in container.decode(**stream):
                    if frame.time is not None:
                        return float(frame.time)
        except av.FFmpegError as error:
            raise self._unreadable(error) from error
        return None

    def _must_fit(self, width: int, height: int) -> None:
        if min(width, height) < MIN_SIDE or width * height > MAX_FRAME_PIXELS:
            raise MediaError(
                self.path,
                f"the video is {width}x{height} pixels: from {MIN_SIDE}x{MIN_SIDE} to 3840x2160"
                " are taken",
            )

    def _must_be_short(self, seconds: float) -> None:
        if seconds > MAX_SECONDS:
            raise MediaError(
                self.path, f"more than {MAX_SECONDS:.0f} seconds of video: send a shorter one"
            )

    def _unreadable(self, error: Any) -> MediaError:
        what = error.strerror or "invalid data"
        return MediaError(self.path, f"the video cannot be read ({what})")


def _upright(frame: Any, max_side: int) -> NDArray[np.uint8]:
    """RGB pixels of a decoded picture, scaled and turned as its metadata say."""
    scale = min(1.0, max_side / max(frame.width, frame.height))
    pixels = frame.to_ndarray(
        format="rgb24", width=round(frame.width * scale), height=round(frame.height * scale)
    )
    # Whole quarters, counterclockwise: anything else is not what a camera writes.
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
