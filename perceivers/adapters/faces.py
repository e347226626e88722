"""What perceivers of faces share whose expressions are read by somebody else's model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from affectgraph.perceivers.adapters.translation import affect_of
from affectgraph.perceivers.affect import Evidence, Modality, Reading
from affectgraph.perceivers.batching import BatchStats, MicroBatcher
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.face import DetectedFace, FaceDetector
from affectgraph.perceivers.face.person import Person, PersonFinder, Unread, abstention
from affectgraph.perceivers.labels import LabelSet
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.tracing import model_span
from affectgraph.perceivers.turn import Turn

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Search:
    """How the person's face is found in a photo and cut out.

    Numbers out of their ranges are refused with a ``pydantic.ValidationError``.

    Attributes:
        dominance: How many times the area of the next face the person's must have, 1 or more.
        margin: How much of the face's longer side is kept around it, 0 to 1.
        workers: Turns whose photos are searched side by side.
    """

    dominance: float = Field(default=4.0, ge=1, allow_inf_nan=False)
    margin: float = Field(default=0.1, ge=0, le=1)
    workers: int = Field(default=1, ge=1)


SEARCH: Final = Search()


class FaceReader(Protocol):
    """Somebody's model of expressions; the methods block."""

    @property
    def name(self) -> str:
        """Names it in readings."""
        ...

    @property
    def label_set(self) -> LabelSet:
        """The set that it reads over; known once it is loaded."""
        ...

    @property
    def multi_label(self) -> bool:
        """Whether several labels may hold at once; known once it is loaded."""
        ...

    def load(self) -> None:
        """Load it; cheap when done before."""
        ...

    def read(self, items: Sequence[Pixels]) -> list[NDArray[np.float64]]:
        """Probabilities over the label set for each face, RGB, shape (height, width, 3)."""
        ...


class FacePerceiver:
    """Finds the person's face in each photo, cuts it out in colour, has all read in one pass.

    The choice of the face, the reasons to abstain and the measures of quality are those of
    :class:`~affectgraph.perceivers.face.FaceEmotion`.

    Args:
        reader: Reads expressions.
        detector: Finds faces.
        search: How the face is found and cut out.
        max_batch: Faces of concurrent turns that are read in one pass, at most.
        max_wait: Seconds that a face waits for others; 0 for none.
    """

    def __init__(
        self,
        reader: FaceReader,
        detector: FaceDetector,
        search: Search,
        *,
        max_batch: int,
        max_wait: float,
    ) -> None:
        self._reader, self._detector, self._search = reader, detector, search
        self._finder = PersonFinder(detector, dominance=search.dominance)
        self._pool = BlockingPool(search.workers)
        self._warm = False
        self._batcher: MicroBatcher[Pixels, NDArray[np.float64]] = MicroBatcher(
            reader.read, name=reader.name, max_batch=max_batch, max_wait=max_wait
        )

    @property
    def modality(self) -> Modality:
        """Always ``face``."""
        return "face"

    @property
    def model(self) -> str:
        """Name of what reads."""
        return self._reader.name

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """What finds the person's face, and what reads it."""
        return (*models_of(self._finder), ModelUse(self.model))

    @property
    def stats(self) -> BatchStats:
        """How full the passes were."""
        return self._batcher.stats

    async def warm_up(self) -> None:
        """Open the detector and load what reads; a second call does nothing.

        Raises:
            SetupError: If either cannot be used; the message says why.
        """
        if not self._warm:
            await self._pool.run(self._load)
            self._warm = True

    async def perceive(self, turn: Turn) -> Reading:
        """Read the photos of a turn.

        Raises:
            MediaError: If a photo cannot be opened.
            SetupError: If the detector or the model cannot be used.
        """
        if not turn.images:
            return Reading.abstain("face", "absent", "the turn has no image")
        await self.warm_up()
        looks = await self._pool.run(lambda: self._look_at(turn))
        seen = [look for look in looks if isinstance(look, Person)]
        if not seen:
            return abstention(looks)
        margin = self._search.margin
        faces = await self._pool.run(
            lambda: [cut_out(look.photo, look.face, margin) for look in seen]
        )
        with model_span("classify", self.model):
            rows = await self._batcher.run_all(faces)
        affect = affect_of(
            self._reader.label_set,
            np.mean(rows, axis=0),
            turn.at,
            multi_label=self._reader.multi_label,
            evidence=tuple(
                Evidence(kind="box", box=look.face.box, score=min(1.0, look.face.score))
                for look in seen
            ),
        )
        return Reading(modality="face", affect=affect, model=self.model)

    async def close(self) -> None:
        """Wait for what runs; nothing is read afterwards."""
        await self._batcher.close()

    def _load(self) -> None:
        self._finder.load()
        self._reader.load()

    def _look_at(self, turn: Turn) -> list[Person | Unread]:
        return self._finder.find([image.pixels for image in turn.images])


def cut_out(pixels: Pixels, face: DetectedFace, margin: float) -> Pixels:
    """The square around a face's box with a margin, in colour; black outside the photo.

    Args:
        pixels: RGB, uint8, shape (height, width, 3).
        face: The face.
        margin: How much of the box's longer side is added on each side.

    Returns:
        RGB, uint8, shape (side, side, 3), at the photo's own resolution.
    """
    box = face.box
    side = max(1, round(max(box.width, box.height) * (1 + 2 * margin)))
    left = round(box.x + box.width / 2 - side / 2)
    top = round(box.y + box.height / 2 - side / 2)
    square = np.zeros((side, side, 3), np.uint8)
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    square[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0:y1, x0:x1]
    return square
