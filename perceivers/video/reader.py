"""From a video to the track of one person's expression."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.face.crop import crop_face
from affectgraph.perceivers.face.detected import DetectedFace, FaceDetector, version_of
from affectgraph.perceivers.face.detector import MTCNNDetector
from affectgraph.perceivers.face.expression import ExpressionHead
from affectgraph.perceivers.face.quality import LIMITS, FaceQuality, Limits, ReadableHead
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.media import Frame
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.tracing import model_span
from affectgraph.perceivers.video.speaking import loudness_at, motion_of, mouth_of, speaker
from affectgraph.perceivers.video.track import AffectTrack
from affectgraph.perceivers.video.tracking import FacePath, FaceTracker

Choice = Literal["largest", "speaker"]
Reason = Literal["no-face", "several-faces", "low-quality", "too-short"]

TRACK: Final = "track.v1"
"""Version of how the pictures of a face become one reading."""


@dataclass(frozen=True)
class VideoConfig:
    """How a video is read.

    Attributes:
        fps: Pictures a second that are looked at.
        max_side: Pictures are scaled down to it first.
        every: Pictures from one search of the whole picture to the next.
        least_read: Pictures that must be readable.
        least_share: Share of the pictures that were looked at that must be readable.
        choice: Whose face counts if there are several. ``speaker``: the one whose mouth moves
            with the sound, where the turn lets the sound be heard and one stands out; else as
            ``largest``: the one whose area is ``dominance`` times the next, or nobody's. Faces that
            are never in the same picture do not compete: the one that is there most is read.
        dominance: See ``choice``.
        limits: What cannot be read.
    """

    fps: float = 5.0
    max_side: int = 960
    every: int = 5
    least_read: int = 3
    least_share: float = 0.25
    choice: Choice = "speaker"
    dominance: float = 4.0
    limits: Limits = LIMITS


@dataclass(frozen=True)
class Unread:
    """Why a video says nothing of the person.

    Attributes:
        reason: As in :class:`~affectgraph.perceivers.affect.Abstention`.
        detail: One line for a person.
        looked: Pictures that were looked at.
        seconds: From the first to the last.
    """

    reason: Reason
    detail: str
    looked: int = 0
    seconds: float = 0.0


@dataclass
class _Look:
    """What is kept of one face in one picture; the picture itself is not."""

    crop: NDArray[np.uint8]
    mouth: NDArray[np.float64]
    face: DetectedFace


class VideoReader:
    """Follows the faces of a video, chooses one and reads its expression; blocking.

    Of every picture only small crops of the faces are kept, so memory does not grow with the
    video's resolution.

    Args:
        detector: Finds faces; MTCNN for faces of 40 pixels or more if not given.
        head: Reads expressions.
        whole: Tells covered and cut faces.
        config: How to read.
        device: Where the networks run that are not given.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector | None = None,
        head: ExpressionHead | None = None,
        whole: ReadableHead | None = None,
        config: VideoConfig | None = None,
        device: Device = CPU,
    ) -> None:
        self._detector = detector or MTCNNDetector(min_face=40, device=device)
        self._head = head or ExpressionHead(device=device)
        self._whole = whole or ReadableHead(device=device)
        self.config = config or VideoConfig()

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the detector and the heads use."""
        return tuple(use for part in (self._detector, self._head, self._whole)
                     for use in models_of(part))  # fmt: skip

    @property
    def model(self) -> str:
        """Name and version of what reads, with the detector and the head that were given."""
        return f"{version_of(self._detector)}+{version_of(self._head)}+{TRACK}"

    def load(self) -> None:
        """Open the networks; cheap when done before.

        Raises:
            ModelMissingError: If the detector's model is not pulled.
        """
        self._detector.load()
        self._head.load()
        self._whole.load()

    def read(
        self,
        frames: Iterable[Frame],
        sound: Callable[[], NDArray[np.float32] | None] | None = None,
    ) -> AffectTrack | Unread:
        """Read a video.

        Args:
            frames: Its pictures in order, as :meth:`VideoFile.frames` gives them.
            sound: Gives its sound from the first picture on, mono, 16 kHz; asked only where several
                faces compete. ``None`` where there is none or it must not be heard.
        """
        # Away for a second at most, and back where it was, a face is the same one.
        patience = max(1, round(self.config.fps))
        tracker = FaceTracker(self._detector, every=self.config.every, patience=patience)
        detector = version_of(self._detector)
        times: list[float] = []
        kept: dict[int, dict[int, _Look]] = {}
        for number, frame in enumerate(frames):
            times.append(frame.at)
            with model_span("detect", detector):
                tracker.step(frame.pixels)
            for row, path in enumerate(tracker.paths):
                face = path.seen.get(number)
                if face is not None:
                    look = _Look(crop_face(frame.pixels, face), mouth_of(frame.pixels, face), face)
                    kept.setdefault(row, {})[number] = look
        at = np.array(times)
        seconds = float(at[-1] - at[0]) if times else 0.0
        if len(times) < self.config.least_read:
            return Unread(
                "too-short",
                f"{len(times)} pictures, {self.config.least_read} are needed",
                len(times),
                seconds,
            )
        chosen = self._choose(tracker.paths, kept, at, sound)
        if isinstance(chosen, Unread):
            return replace(chosen, looked=len(times), seconds=seconds)
        row, why = chosen
        return self._track(kept[row], at, seconds, why)

    def _choose(
        self,
        paths: Sequence[FacePath],
        kept: dict[int, dict[int, _Look]],
        at: NDArray[np.float64],
        sound: Callable[[], NDArray[np.float32] | None] | None,
    ) -> tuple[int, str] | Unread:
        """Which path is the person's and why, or what keeps one from knowing."""
        rows = [row for row, path in enumerate(paths) if len(path.seen) >= self.config.least_read]
        if not rows:
            detail = "no face stays long enough" if paths else "no face was found"
            return Unread("no-face", detail)
        if len(rows) == 1:
            return rows[0], "only"
        # How long a face is there counts as its size does: a passer-by is not the person.
        weight = {row: paths[row].area() * len(paths[row].seen) / len(at) for row in rows}
        first = max(rows, key=weight.__getitem__)
        # Who leaves and comes back is followed twice, and is nobody's rival: both are never there.
        rivals = [row for row in rows if row != first and paths[row].meets(paths[first])]
        if not rivals:
            return first, "largest"
        speaks = self._speaker([first, *rivals], kept, at, sound)
        if speaks is not None:
            return speaks, "speaker"
        if weight[first] > self.config.dominance * max(weight[row] for row in rivals):
            return first, "largest"
        count = max(sum(n in paths[row].seen for row in rows) for n in paths[first].seen)
        return Unread("several-faces", f"{count} faces, none clearly the person's")

    def _speaker(
        self,
        rows: Sequence[int],
        kept: dict[int, dict[int, _Look]],
        at: NDArray[np.float64],
        sound: Callable[[], NDArray[np.float32] | None] | None,
    ) -> int | None:
        """Which of the faces speaks, where that counts and can be heard."""
        if self.config.choice != "speaker" or sound is None or (heard := sound()) is None:
            return None
        motions = [
            motion_of([look.mouth if (look := kept[row].get(n)) else None for n in range(len(at))])
            for row in rows
        ]
        who = speaker(motions, loudness_at(heard, at))
        return None if who is None else rows[who]

    def _track(
        self, looks: dict[int, _Look], at: NDArray[np.float64], seconds: float, why: str
    ) -> AffectTrack | Unread:
        numbers = sorted(looks)
        crops = np.stack([looks[number].crop for number in numbers])
        whole = self._whole.probabilities(crops)
        measured = [
            FaceQuality.of(looks[n].crop, looks[n].face, float(p))
            for n, p in zip(numbers, whole, strict=True)
        ]
        faults = [quality.fault(self.config.limits) for quality in measured]
        good = [row for row, fault in enumerate(faults) if fault is None]
        if len(good) < max(self.config.least_read, self.config.least_share * len(at)):
            said = next((fault for fault in faults if fault is not None), "the face is away")
            detail = f"{len(good)} of {len(at)} pictures can be read: {said}"
            return Unread("low-quality", detail, len(at), seconds)
        with model_span("classify", version_of(self._head)):
            probs = self._head.probabilities(crops[good])
        faces = [looks[numbers[row]].face for row in good]
        return AffectTrack(
            times=at[[numbers[row] for row in good]],
            boxes=tuple(face.box for face in faces),
            scores=np.array([face.score for face in faces]),
            probs=probs,
            quality=np.array([measured[row].score(self.config.limits) for row in good]),
            looked=len(at),
            seconds=seconds,
            chosen_by=why,
            label_set=FERPLUS_8,
        )
