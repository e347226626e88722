"""One face over the pictures of a video: what was seen of it, and what it amounts to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Box, Distribution, expected_vad
from affectgraph.perceivers.course import Course
from affectgraph.perceivers.labels import FERPLUS_8, LabelSet

TREND_NEEDS: Final = 3
"""Pictures without which a trend is not told."""


@dataclass(frozen=True)
class AffectTrack:
    """The expression of one face over a video; one row a picture that could be read.

    Attributes:
        times: Seconds from the start, rising, shape (n,).
        boxes: Where the face was, one a row.
        scores: The detector's probability of a face, shape (n,).
        probs: Calibrated probabilities over ``label_set``, shape (n, labels).
        quality: How well the face could be seen, in (0, 1], shape (n,).
        looked: Pictures that were looked at, read or not.
        seconds: From the first picture that was looked at to the last.
        chosen_by: Why this face: ``only``, ``largest`` or ``speaker``.
        label_set: What the columns of ``probs`` are.
    """

    times: NDArray[np.float64]
    boxes: tuple[Box, ...]
    scores: NDArray[np.float64]
    probs: NDArray[np.float64]
    quality: NDArray[np.float64]
    looked: int
    seconds: float
    chosen_by: str
    label_set: LabelSet = FERPLUS_8

    def __post_init__(self) -> None:
        rows = {len(self.times), len(self.boxes), len(self.scores), len(self.probs),
                len(self.quality)}  # fmt: skip
        if len(rows) != 1 or self.probs.shape[1:] != (len(self.label_set),):
            raise ValueError("a track needs one row a picture in each of its arrays")

    def __len__(self) -> int:
        return len(self.times)

    def pooled(self) -> Distribution:
        """The mean distribution, each picture weighed by its quality.

        Raises:
            ValueError: If no picture could be read.
        """
        if not len(self):
            raise ValueError("no picture of this track could be read")
        return self._distribution(self.quality @ self.probs / self.quality.sum())

    def valence(self) -> NDArray[np.float64]:
        """Valence of each picture, derived from its distribution, shape (n,)."""
        return np.array([expected_vad(self._distribution(row)).valence for row in self.probs])

    def peak(self) -> int:
        """The row farthest from neutral, weighed by its quality; the first of equals."""
        neutral = self.probs[:, self.label_set.labels.index("neutral")]
        return int(np.argmax(self.quality * (1 - neutral)))

    def trend(self) -> float:
        """How far valence moves over the video by the line of (weighted) least squares."""
        if len(self) < TREND_NEEDS or self.times[-1] <= self.times[0]:
            return 0.0
        weights = self.quality / self.quality.sum()
        times = self.times - weights @ self.times
        valence = self.valence()
        slope = float((weights * times) @ valence / (weights @ times**2))
        return max(-2.0, min(2.0, slope * float(self.times[-1] - self.times[0])))

    def course(self) -> Course:
        """The track in the few numbers that go with a reading."""
        if not len(self):
            return Course(seconds=self.seconds, looked=self.looked, read=0)
        peak = self.peak()
        seen = self._distribution(self.probs[peak])
        return Course(
            seconds=self.seconds,
            looked=self.looked,
            read=len(self),
            quality=float(self.quality.mean()),
            peak_at=float(self.times[peak]),
            peak=seen.top,
            peak_p=seen.top_p,
            valence_trend=self.trend(),
            chosen_by=self.chosen_by,
        )

    def _distribution(self, row: NDArray[np.float64]) -> Distribution:
        return Distribution.over(
            self.label_set, dict(zip(self.label_set.labels, row.tolist(), strict=True))
        )
