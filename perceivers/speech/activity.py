"""Where in a sound somebody speaks, by Silero's voice activity detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.models import ModelUse

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class SpeechActivity:
    """Stretches of speech in a sound.

    Attributes:
        spans: First and last second of each stretch, in order, without overlap.
        loudness: Level of the loudest 100 ms in dB relative to full scale, at most about 0.
    """

    spans: tuple[tuple[float, float], ...]
    loudness: float

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
    """

    threshold: float = 0.5
    shortest: float = 0.1
    pause: float = 0.5
    margin: float = 0.1

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Silero's detector, as faster-whisper carries it."""
        return (ModelUse("silero-vad", "MIT"),)

    def find(self, samples: Samples) -> SpeechActivity:
        """Find the speech in a sound; blocking, about 3 ms a second of sound.

        Args:
            samples: Mono sound at 16 kHz in [-1, 1], shape (n,).
        """
        from faster_whisper.vad import VadOptions, get_speech_timestamps

        options = VadOptions(**self.options())
        found: list[dict[str, Any]] = get_speech_timestamps(samples, options)
        spans = tuple((s["start"] / SAMPLE_RATE, s["end"] / SAMPLE_RATE) for s in found)
        return SpeechActivity(spans, loudness(samples))

    def options(self) -> dict[str, float]:
        """The settings under the names of faster-whisper's ``VadOptions``."""
        return {
            "threshold": self.threshold,
            "min_speech_duration_ms": round(self.shortest * 1000),
            "min_silence_duration_ms": round(self.pause * 1000),
            "speech_pad_ms": round(self.margin * 1000),
        }


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
