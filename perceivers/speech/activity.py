"""Where in a sound somebody speaks, by Silero's voice activity detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.models import ModelUse
from affectgraph.perceivers.speech.pitch import PitchTracker

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class SpeechActivity:
    """Stretches of speech in a sound.

    Attributes:
        spans: First and last second of each stretch, in order, without overlap.
        loudness: Level of the loudest 100 ms in dB relative to full scale, at most about 0.
        threshold: Probability of speech above which the stretches were found.
    """

    spans: tuple[tuple[float, float], ...]
    loudness: float
    threshold: float = 0.5

    @property
    def seconds(self) -> float:
        """Seconds of speech in all."""
        return sum(end - start for start, end in self.spans)

    def cut(self, samples: Samples) -> Samples:
        """The stretches of speech one after the other, without what lies between."""
        parts = [
            samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
            for start, end in self.spans
        ]
        return np.concatenate(parts) if parts else samples[:0]


@dataclass(frozen=True)
class ActivityDetector:
    """Finds speech with the Silero model that faster-whisper carries (MIT licence).

    Attributes:
        threshold: Probability of speech in 32 ms above which a stretch begins.
        shortest: Seconds below which a stretch is taken for a click or a breath.
        pause: Seconds of silence that end a stretch.
        margin: Seconds kept on either side of a stretch.
        faint: Threshold of a second search where the first finds less than ``enough`` seconds: a
            shrill or breathy voice is taken for no voice. ``None`` searches once.
        enough: Seconds of speech with which the first search is content.
        voiced: Share of a stretch of the second search that must be voiced, or it is no voice.
    """

    threshold: float = 0.5
    shortest: float = 0.1
    pause: float = 0.5
    margin: float = 0.1
    faint: float | None = 0.15
    enough: float = 0.6
    voiced: float = 0.25

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Silero's detector, as faster-whisper carries it."""
        return (ModelUse("silero-vad", "MIT"),)

    def find(self, samples: Samples) -> SpeechActivity:
        """Find the speech in a sound; blocking, about 3 ms a second of sound.

        Args:
            samples: Mono sound at 16 kHz in [-1, 1], shape (n,).
        """
        level = loudness(samples)
        found = SpeechActivity(self._search(samples, self.threshold), level, self.threshold)
        if self.faint is None or found.seconds >= self.enough:
            return found
        spans = self._search(samples, self.faint)
        spans = tuple(span for span in spans if self._is_voice(samples, span))
        again = SpeechActivity(spans, level, self.faint)
        return again if again.seconds > found.seconds else found

    def _search(self, samples: Samples, threshold: float) -> tuple[tuple[float, float], ...]:
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        options = VadOptions(**self.options(threshold))
        found: list[dict[str, Any]] = get_speech_timestamps(samples, options)
        return tuple((s["start"] / SAMPLE_RATE, s["end"] / SAMPLE_RATE) for s in found)

    def _is_voice(self, samples: Samples, span: tuple[float, float]) -> bool:
        """Whether a stretch has a pitch that moves: a hum has one that does not."""
        start, end = (round(second * SAMPLE_RATE) for second in span)
        track = PitchTracker().track(samples[start:end])
        pitch = track.hertz[track.voiced]
        if not len(pitch) or len(pitch) < self.voiced * len(track.hertz):
            return False
        low, high = np.percentile(pitch, (10, 90))
        return bool(high > _MOVES * low)

    def options(self, threshold: float | None = None) -> dict[str, float]:
        """The settings under the names of faster-whisper's ``VadOptions``.

        Args:
            threshold: In place of the detector's own.
        """
        return {
            "threshold": self.threshold if threshold is None else threshold,
            "min_speech_duration_ms": round(self.shortest * 1000),
            "min_silence_duration_ms": round(self.pause * 1000),
            "speech_pad_ms": round(self.margin * 1000),
        }


_MOVES: Final = 1.03
"""Half a semitone between the 10th and the 90th percentile of the pitch."""
_FRAME: Final = SAMPLE_RATE // 10
_FLOOR_DB: Final = -120.0


def loudness(samples: Samples) -> float:
    """Level of the loudest 100 ms, in dB relative to a full-scale square wave; -120 at least."""
    if not len(samples):
        return _FLOOR_DB
    count = max(1, len(samples) // _FRAME)
    frames = samples[: count * _FRAME] if len(samples) >= _FRAME else samples
    power = np.square(frames.reshape(count, -1), dtype=np.float64).mean(axis=1).max()
    return max(_FLOOR_DB, 10.0 * float(np.log10(max(power, 1e-12))))
