"""How good a sound is as a recording of a voice: level, signal to noise, clipping, offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE

Samples = NDArray[np.floating[Any]]
Fault = Literal["silence", "noise", "low-quality"]

_WINDOW: Final = SAMPLE_RATE * 25 // 1000
_STRETCH: Final = SAMPLE_RATE // 10
_HOP: Final = SAMPLE_RATE // 100
_FLOOR: Final = 1e-12
_SPEECH, _NOISE = 95.0, 10.0
_FLAT: Final = 1e-4
"""Two samples at the rail that differ by less are one flat top."""


@dataclass(frozen=True)
class SignalQuality:
    """What can be measured of a sound without knowing what is in it.

    Attributes:
        level_db: Level of the loudest twentieth of 25 ms frames, in dB of a full-scale square
            wave, -120 to 0, without the constant offset.
        snr_db: How far that level lies above the quietest tenth of the 100 ms stretches, in dB, 0
            or more. Speech falls by 20 dB and more between and within words, so this reads the
            noise there; steady sounds give nearly 0 at any level. After NIST's signal-to-noise
            measure ``stnr``, which takes two percentiles of frame power. The longer stretches tell
            one voice, which pauses, from several at once, which fill each other's gaps.
        clipped: Share of the samples, 0 to 1, in flat tops at the rail.
        offset: Mean of the samples, -1 to 1.
    """

    level_db: float
    snr_db: float
    clipped: float
    offset: float


@dataclass(frozen=True)
class QualityLimits:
    """What a recording must reach for its voice to be read.

    Attributes:
        quiet_db: Below this level a sound is silence.
        snr_db: Below this ratio a sound is noise, or a voice lost in it.
        clipped: Above this share of clipped samples a voice is distorted.
        offset: Above this constant offset, in either direction, the microphone is at fault.
    """

    quiet_db: float = -60.0
    snr_db: float = 15.0
    clipped: float = 0.05
    offset: float = 0.25

    def fault(self, quality: SignalQuality) -> tuple[Fault, str] | None:
        """Why a sound should not be read.

        Returns:
            A reason of :class:`~affectgraph.perceivers.affect.Abstention` and a line for a person,
            or ``None`` for a sound that may be read.
        """
        if quality.level_db < self.quiet_db:
            return "silence", f"the voice is at {quality.level_db:.0f} dB, too faint to be read"
        if abs(quality.offset) > self.offset:
            return "low-quality", f"the signal is off its middle by {quality.offset:.2f}"
        if quality.clipped > self.clipped:
            return "low-quality", f"{quality.clipped:.0%} of the sound is clipped: record it lower"
        if quality.snr_db < self.snr_db:
            return "noise", (
                f"the loudest moments stand {quality.snr_db:.0f} dB above the quietest,"
                f" {self.snr_db:.0f} are needed: record it with less noise"
            )
        return None


def assess(samples: Samples) -> SignalQuality:
    """Measure a sound; about 0.2 ms a second of sound.

    Args:
        samples: Mono sound at 16 kHz in [-1, 1], shape (n,).
    """
    if not len(samples):
        return SignalQuality(-120.0, 0.0, 0.0, 0.0)
    sound = np.asarray(samples, dtype=np.float64)
    offset = float(sound.mean())
    # Stretches of digital silence tell nothing of the room: a muted start is not a quiet one.
    frames, stretches = (
        _decibels(_powers(sound - offset, size)[_powers(sound, size) > _FLOOR])
        for size in (_WINDOW, _STRETCH)
    )
    if not len(frames) or not len(stretches):
        return SignalQuality(-120.0, 0.0, clipped_share(samples), offset)
    loud, quiet = np.percentile(frames, _SPEECH), np.percentile(stretches, _NOISE)
    ratio = max(0.0, float(loud - quiet))
    return SignalQuality(float(loud), ratio, clipped_share(samples), offset)


def clipped_share(samples: Samples) -> float:
    """Share of the samples, 0 to 1, that lie in flat tops at the sound's own extremes.

    A clean peak touches its extreme once; a clipped one stays there for several samples.
    """
    if len(samples) < 2:
        return 0.0
    share = 0
    for side in (np.asarray(samples), -np.asarray(samples)):
        top = float(side.max())
        if top < 0.1:
            continue
        at_top = side >= top - _FLAT
        neighbour = np.zeros(len(at_top), dtype=np.bool_)
        neighbour[1:] |= at_top[:-1]
        neighbour[:-1] |= at_top[1:]
        share += int(np.count_nonzero(at_top & neighbour))
    return share / len(samples)


def _powers(samples: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Mean power of so many samples, every 10 ms."""
    if len(samples) < size:
        return np.asarray([np.mean(samples**2)])
    total = np.concatenate([[0.0], np.cumsum(samples**2)])
    starts = np.arange(0, len(samples) - size + 1, _HOP)
    return np.asarray((total[starts + size] - total[starts]) / size)


def _decibels(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(10.0 * np.log10(np.maximum(power, _FLOOR)))
