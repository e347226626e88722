"""The face perceiver: photos of a turn to one reading of the person's expression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Affect, Distribution, Evidence, Modality, Reading
from affectgraph.perceivers.batching import BatchStats, MicroBatcher
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.face.detected import FaceDetector, version_of
from affectgraph.perceivers.face.detector import MTCNNDetector
from affectgraph.perceivers.face.expression import ExpressionHead
from affectgraph.perceivers.face.person import Person, PersonFinder, Unread, abstention
from affectgraph.perceivers.face.quality import LIMITS, Limits, ReadableHead
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.tracing import model_span
from affectgraph.perceivers.turn import Turn


class FaceEmotion:
    """Reads the expression of the person in the photos of a turn.

    Each photo is looked at alone: the faces are found, the person's is cut out and checked. The
    affect is the mean distribution of the photos that could be read, the evidence their boxes in
    the photos' order. Where none could be read the perceiver abstains: ``absent`` without a
    photo, ``no-face``, ``several-faces`` or ``low-quality`` (too small, dark, bright, flat,
    blurred, noisy, cut off, covered: :class:`~affectgraph.perceivers.face.quality.Limits`).

    In a photo of several people the largest face is taken for the person's own if its area is
    more than ``dominance`` times that of the next; otherwise nobody can say whose face it is.

    Consent is not asked for here: the orchestrator hands no turn with photos to this perceiver
    unless the person agreed to the camera.

    Args:
        detector: Finds faces; MTCNN with the default settings if not given.
        head: Reads expressions; the shipped FER+ head if not given.
        whole: Tells covered and cut faces; the shipped head if not given.
        limits: What cannot be read.
        dominance: See above.
        device: Where the networks run that are not given.
        max_batch: Faces of concurrent turns that go through the head in one pass, at most.
        workers: Turns whose photos are searched side by side; further ones wait.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector | None = None,
        head: ExpressionHead | None = None,
        whole: ReadableHead | None = None,
        limits: Limits = LIMITS,
        dominance: float = 4.0,
        device: Device = CPU,
        max_batch: int = 32,
        workers: int = 1,
    ) -> None:
        self._detector: FaceDetector = detector or MTCNNDetector(device=device)
        self._head = head or ExpressionHead(device=device)
        self._whole = whole or ReadableHead(device=device)
        self._finder = PersonFinder(self._detector, self._whole, limits=limits, dominance=dominance)
        self._pool = BlockingPool(workers)
        self._batcher: MicroBatcher[NDArray[np.uint8], NDArray[np.float64]] = MicroBatcher(
            self._read, name="face", max_batch=max_batch
        )

    @property
    def modality(self) -> Modality:
        """Always ``face``."""
        return "face"

    @property
    def model(self) -> str:
        """Name and version of what reads, with the detector and the head that were given."""
        return f"{version_of(self._detector)}+{version_of(self._head)}"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What the detector and the heads use."""
        return (*models_of(self._detector), *models_of(self._head), *models_of(self._whole))

    @property
    def stats(self) -> BatchStats:
        """How full the passes of the head were."""
        return self._batcher.stats

    async def warm_up(self) -> None:
        """Open the networks; cheap when done before.

        Raises:
            ModelMissingError: If the detector's model is not pulled.
        """
        await self._pool.run(self._load)

    async def perceive(self, turn: Turn) -> Reading:
        """Read the photos of a turn.

        Raises:
            MediaError: If a photo cannot be opened.
            ModelMissingError: If the detector's model is not pulled.
        """
        if not turn.images:
            return Reading.abstain("face", "absent", "the turn has no image")
        looks = await self._pool.run(lambda: self._look_at(turn))
        seen = [look for look in looks if isinstance(look, Person)]
        if not seen:
            return abstention(looks)
        with model_span("classify", self.model):
            rows = await self._batcher.run_all(look.crop for look in seen)
        mean = np.mean(rows, axis=0)
        affect = Affect.read(
            Distribution.over(FERPLUS_8, dict(zip(FERPLUS_8.labels, mean, strict=True))),
            turn.at,
            evidence=tuple(
                Evidence(kind="box", box=look.face.box, score=look.face.score) for look in seen
            ),
        )
        return Reading(modality="face", affect=affect, model=self.model)

    async def close(self) -> None:
        """Wait for what runs; nothing is read afterwards."""
        await self._batcher.close()

    def _load(self) -> None:
        self._finder.load()
        self._head.load()

    def _look_at(self, turn: Turn) -> list[Person | Unread]:
        photos = [image.pixels for image in turn.images]
        with model_span("detect", version_of(self._detector)):
            return self._finder.find(photos)

    def _read(self, crops: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float64]]:
        return list(self._head.probabilities(np.stack(crops)))
