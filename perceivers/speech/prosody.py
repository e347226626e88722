"""Measures prosody: pitch by YIN, syllable nuclei by intensity, pauses by voice activity."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.prosody import Prosody
from affectgraph.perceivers.speech.activity import SpeechActivity
from affectgraph.perceivers.speech.pitch import HOP_SECONDS, PitchTracker

_WINDOW: Final = SAMPLE_RATE * 25 // 1000
_HOP: Final = round(SAMPLE_RATE * HOP_SECONDS)
_SMOOTH: Final = np.hanning(9)[1:-1] / np.hanning(9)[1:-1].sum()
_FEWEST_VOICED: Final = 10
"""Frames of 10 ms."""


@dataclass(frozen=True)
class ProsodyMeter:
    """Measures how something was said; blocking, about 3 ms a second of speech.

    Attributes:
        tracker: Of the pitch.
        dip_db: A syllable's peak of intensity stands this far above the dips beside it.
        floor_db: Peaks this far below the loudest moments are no syllables; both limits as in
            de Jong and Wempe (2009), who count voiced peaks of intensity.
    """

    tracker: PitchTracker = field(default_factory=PitchTracker)
    dip_db: float = 2.0
    floor_db: float = 25.0

    def measure(
        self,
        samples: NDArray[np.floating[Any]],
        activity: SpeechActivity,
        *,
        words: str | None = None,
    ) -> Prosody | None:
        """Measure a sound.

        Args:
            samples: Mono sound at 16 kHz in [-1, 1], shape (n,).
            activity: Where somebody speaks in it.
            words: What was said, if it is known.

        Returns:
            ``None`` if nobody speaks for 25 ms.
        """
        speech = activity.cut(np.asarray(samples, dtype=np.float32))
        if len(speech) < _WINDOW:
            return None
        seconds = len(speech) / SAMPLE_RATE
        track = self.tracker.track(speech)
        level = _levels(speech)
        voiced = track.voiced & (level[: len(track.hertz)] > level.max() - 40.0)
        pitch = track.hertz[voiced]
        heard = pitch if len(pitch) >= _FEWEST_VOICED else pitch[:0]
        gaps = [
            after[0] - before[1]
            for before, after in zip(activity.spans, activity.spans[1:], strict=False)
        ]
        whole = activity.spans[-1][1] - activity.spans[0][0]
        count = len(words.split()) if words else 0
        low, high = np.percentile(level, (10, 90))
        return Prosody(
            speech_seconds=seconds,
            pauses=len(gaps),
            pause_seconds=max(0.0, float(sum(gaps))),
            pitch_hz=float(np.median(heard)) if len(heard) else None,
            pitch_range=_semitones(heard) if len(heard) else None,
            voiced=float(voiced.mean()) if len(voiced) else 0.0,
            level_db=_level(speech),
            level_range_db=float(high - low),
            syllables_per_second=len(self._nuclei(level, voiced)) / seconds,
            words_per_minute=60.0 * count / whole if count and whole > 0 else None,
        )

    def _nuclei(self, level: NDArray[np.float64], voiced: NDArray[np.bool_]) -> list[int]:
        """Frames at which a syllable is loudest."""
        smooth = np.convolve(np.pad(level, len(_SMOOTH) // 2, mode="edge"), _SMOOTH, "valid")
        floor = np.percentile(smooth, 99) - self.floor_db
        rises = np.flatnonzero((smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:])) + 1
        found: list[int] = []
        for peak in rises:
            if peak >= len(voiced) or not voiced[peak] or smooth[peak] < floor:
                continue
            if found and smooth[peak] - smooth[found[-1] : peak].min() < self.dip_db:
                # No dip between them: one syllable, at the louder of the two.
                if smooth[peak] > smooth[found[-1]]:
                    found[-1] = int(peak)
                continue
            found.append(int(peak))
        return found


def _semitones(pitch: NDArray[np.float64]) -> float:
    low, high = np.percentile(pitch, (10, 90))
    return float(12.0 * np.log2(high / low))


def _level(speech: NDArray[np.floating[Any]]) -> float:
    power = float(np.mean(np.square(speech, dtype=np.float64)))
    return 10.0 * math.log10(max(power, 1e-12))


def _levels(speech: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Level of each 25 ms in dB, every 10 ms."""
    total = np.concatenate([[0.0], np.cumsum(speech.astype(np.float64) ** 2)])
    starts = np.arange(0, len(speech) - _WINDOW + 1, _HOP)
    power = (total[starts + _WINDOW] - total[starts]) / _WINDOW
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-12)))
