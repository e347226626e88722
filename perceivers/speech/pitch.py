"""Fundamental frequency of a voice by YIN (de Cheveigne and Kawahara, 2002)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE

HOP_SECONDS: Final = 0.01

_RATE: Final = SAMPLE_RATE // 2
_WINDOW: Final = 320
"""Samples at 8 kHz that are compared at each lag: 40 ms."""
_HOP: Final = 80
_CHUNK: Final = 2000
"""Frames that are transformed at a time (20 seconds), so that memory stays bounded."""


@dataclass(frozen=True)
class PitchTrack:
    """Pitch every 10 ms.

    Attributes:
        hertz: Fundamental frequency, shape (n,); also given where the sound is not periodic.
        aperiodicity: Least value of the cumulative mean normalised difference (equation 8), shape
            (n,): near 0 for a periodic sound, near 1 for noise.
        threshold: Aperiodicity below which a frame is voiced.
    """

    hertz: NDArray[np.float64]
    aperiodicity: NDArray[np.float64]
    threshold: float

    @property
    def voiced(self) -> NDArray[np.bool_]:
        """Which frames are voiced, shape (n,)."""
        return np.asarray(self.aperiodicity < self.threshold)


@dataclass(frozen=True)
class PitchTracker:
    """Tracks pitch; blocking, about 2 ms a second of sound.

    Attributes:
        lowest: Lowest pitch in hertz that is looked for.
        highest: Highest pitch in hertz; shouts of a high voice reach 600.
        voicing: Aperiodicity below which a frame counts as voiced.
    """

    lowest: float = 65.0
    highest: float = 650.0
    voicing: float = 0.2

    def track(self, samples: NDArray[np.floating[Any]]) -> PitchTrack:
        """Track the pitch of a sound.

        Args:
            samples: Mono sound at 16 kHz in [-1, 1], shape (n,).

        Returns:
            One estimate each 10 ms; none for a sound shorter than about 0.06 seconds.
        """
        longest = int(_RATE / self.lowest) + 1
        sound = _halved(np.asarray(samples, dtype=np.float64))
        size = _WINDOW + longest + 1
        if len(sound) < size:
            return PitchTrack(np.zeros(0), np.zeros(0), self.voicing)
        frames = np.lib.stride_tricks.sliding_window_view(sound, size)[::_HOP]
        parts = [
            self._estimate(frames[at : at + _CHUNK], longest)
            for at in range(0, len(frames), _CHUNK)
        ]
        hertz, aperiodicity = (np.concatenate(part) for part in zip(*parts, strict=True))
        return PitchTrack(hertz, aperiodicity, self.voicing)

    def _estimate(
        self, frames: NDArray[np.float64], longest: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = _normalised_difference(frames, longest)
        shortest = max(2, int(_RATE / self.highest))
        inside = shape[:, shortest:longest]
        # The first dip below the threshold, not the deepest: that may be an octave lower (step 4).
        dip = (inside[:, 1:-1] <= inside[:, :-2]) & (inside[:, 1:-1] < inside[:, 2:])
        low = dip & (inside[:, 1:-1] < self.voicing)
        first = low.argmax(axis=1) + 1
        lag = np.where(low.any(axis=1), first, inside.argmin(axis=1)) + shortest
        lag = np.clip(lag, 1, longest - 1)
        rows = np.arange(len(shape))
        before, at, after = (shape[rows, lag + step] for step in (-1, 0, 1))
        # Parabolic interpolation (step 5).
        bend = before - 2.0 * at + after
        shift = np.where(np.abs(bend) > 1e-9, 0.5 * (before - after) / np.where(bend, bend, 1), 0)
        return _RATE / (lag + np.clip(shift, -0.5, 0.5)), at


def _normalised_difference(frames: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Equation 8 for lags 0 to ``longest``, shape (frames, longest + 1)."""
    size = 1 << int(np.ceil(np.log2(frames.shape[1] + _WINDOW)))
    spectrum = np.fft.rfft(frames, size, axis=1)
    head = np.fft.rfft(frames[:, :_WINDOW], size, axis=1)
    product = np.fft.irfft(spectrum * head.conj(), size, axis=1)[:, : longest + 1]
    total = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energy = total[:, _WINDOW : _WINDOW + longest + 1] - total[:, : longest + 1]
    difference = np.maximum(energy[:, :1] + energy - 2.0 * product, 0.0)
    lags = np.arange(1, longest + 1)
    mean = np.cumsum(difference[:, 1:], axis=1) / lags
    # Silence has no difference at any lag: it is not periodic.
    normal = np.where(mean > 1e-10, difference[:, 1:] / np.maximum(mean, 1e-10), 1.0)
    return np.concatenate([np.ones((len(frames), 1)), normal], axis=1)


def _halved(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sound at 8 kHz, after a short low-pass that keeps what a pitch lies in."""
    if len(samples) < 4:
        return samples[:0]
    taps = np.asarray([1.0, 3.0, 3.0, 1.0]) / 8.0
    return np.convolve(samples, taps, mode="valid")[::2]
