"""The perceiver of faces for turns with photos, a video, or both."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from threading import Event

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Affect, Distribution, Evidence, Modality, Reading
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.errors import MediaError
from affectgraph.perceivers.face.detected import FaceDetector
from affectgraph.perceivers.face.emotion import FaceEmotion
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.media import Frame, VideoFile
from affectgraph.perceivers.models import ModelUse
from affectgraph.perceivers.turn import Turn
from affectgraph.perceivers.video.reader import Choice, Unread, VideoConfig, VideoReader
from affectgraph.perceivers.video.speaking import from_first_picture
from affectgraph.perceivers.video.track import AffectTrack


class VideoEmotion:
    """Reads the person's expression in the video of a turn, and in its photos.

    The video is one reading: the mean distribution of the pictures of one face, each weighed by its
    quality. Its evidence is the box at the peak (the picture farthest from neutral) with its
    second, and the stretch that was read; ``course`` tells peak and trend. Where too few pictures
    can be read it abstains (``no-face``, ``several-faces``, ``low-quality``, ``too-short``).

    The photos are handed to :class:`~affectgraph.perceivers.face.emotion.FaceEmotion`. Where both
    can be read, the affect is the mean of the two; where one can, it is that one's.

    The camera's consent is the orchestrator's to ask. The sound of the video is used here only to
    tell who speaks among several faces, and only where the person agreed to the microphone.

    Args:
        photos: Reads photos.
        reader: Reads videos.
        detector: Finds faces, for the parts that are not given.
        fps: Pictures a second that are looked at, for a reader that is not given.
        choice: Whose face counts among several in a video, for a reader that is not given; see
            :class:`~affectgraph.perceivers.video.reader.VideoConfig`.
        device: Where the networks run that are not given.
        workers: Turns that are read side by side.
    """

    def __init__(
        self,
        *,
        photos: FaceEmotion | None = None,
        reader: VideoReader | None = None,
        detector: FaceDetector | None = None,
        fps: float = VideoConfig.fps,
        choice: Choice = VideoConfig.choice,
        device: Device = CPU,
        workers: int = 2,
    ) -> None:
        self._photos = photos or FaceEmotion(detector=detector, device=device)
        self._reader = reader or VideoReader(
            detector=detector, config=VideoConfig(fps=fps, choice=choice), device=device
        )
        self._pool = BlockingPool(workers)

    @property
    def modality(self) -> Modality:
        """``face``."""
        return "face"

    @property
    def model(self) -> str:
        """Name and version of what reads a video."""
        return self._reader.model

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What photos and videos are read with, each once."""
        return tuple(dict.fromkeys((*self._photos.models, *self._reader.models)))

    async def warm_up(self) -> None:
        """Open the networks; cheap when done before.

        Raises:
            ModelMissingError: If the detector's model is not pulled.
        """
        await self._photos.warm_up()
        await self._pool.run(self._reader.load)

    async def perceive(self, turn: Turn) -> Reading:
        """Read the photos and the video of a turn.

        Raises:
            MediaError: If a file cannot be used.
            ModelMissingError: If the detector's model is not pulled.
        """
        video = turn.video
        if video is None:
            return await self._photos.perceive(turn)
        left = Event()
        try:
            seen = await self._pool.run(lambda: self._watch(turn, video, left))
        finally:
            # A thread cannot be cancelled; it asks before each picture whether anybody waits.
            left.set()
        reading = self._told(turn, seen)
        if not turn.images:
            return reading
        return _both(reading, await self._photos.perceive(turn))

    async def close(self) -> None:
        """Wait for the photos that are being read; none is read afterwards."""
        await self._photos.close()

    def _watch(self, turn: Turn, video: VideoFile, left: Event) -> AffectTrack | Unread:
        config = self._reader.config
        frames = _while_awaited(video.frames(config.fps, max_side=config.max_side), left)
        heard = turn.consent.microphone
        return self._reader.read(frames, partial(_heard, video) if heard else None)

    def _told(self, turn: Turn, seen: AffectTrack | Unread) -> Reading:
        if isinstance(seen, Unread):
            return Reading.abstain("face", seen.reason, seen.detail)
        info, peak = turn.video.info if turn.video else None, seen.peak()
        assert info is not None
        # The reader saw pictures of at most `max_side`; boxes are told in the video's own pixels.
        scale = max(1.0, max(info.width, info.height) / self._reader.config.max_side)
        box = seen.boxes[peak]
        whole = box.model_copy(
            update={
                "x": int(box.x * scale),
                "y": int(box.y * scale),
                "width": max(1, int(box.width * scale)),
                "height": max(1, int(box.height * scale)),
            }
        )
        at, score = float(seen.times[peak]), float(seen.scores[peak])
        affect = Affect.read(
            seen.pooled(),
            turn.at,
            evidence=(
                Evidence(kind="box", box=whole, start=at, end=at, score=min(1.0, score)),
                Evidence(
                    kind="segment",
                    start=float(seen.times[0]),
                    end=float(seen.times[-1]),
                    score=len(seen) / seen.looked,
                ),
            ),
        )
        return Reading(modality="face", affect=affect, model=self.model, course=seen.course())


class _LeftError(Exception):
    """Nobody waits for the reading any more."""


def _while_awaited(frames: Iterator[Frame], left: Event) -> Iterator[Frame]:
    """The pictures, until nobody waits for what they show."""
    for frame in frames:
        if left.is_set():
            raise _LeftError
        yield frame


def _heard(video: VideoFile) -> NDArray[np.float32] | None:
    """The sound from the first picture on."""
    try:
        sound = video.sound
        return None if sound is None else from_first_picture(sound.samples, video.sound_delay)
    except MediaError:
        # The pictures can be read all the same: what is lost is a hint at who speaks. A sound that
        # is to be read itself was refused before the turn began.
        return None


def _both(video: Reading, photos: Reading) -> Reading:
    """One reading of two: the mean where both say something, else the one that does."""
    if video.affect is None or photos.affect is None:
        return video if photos.affect is None else photos
    mean = {
        label: (video.affect.distribution[label] + photos.affect.distribution[label]) / 2
        for label in FERPLUS_8.labels
    }
    affect = Affect.read(
        Distribution.over(FERPLUS_8, mean),
        video.affect.captured_at,
        evidence=(*video.affect.evidence, *photos.affect.evidence),
    )
    return video.model_copy(update={"affect": affect})
