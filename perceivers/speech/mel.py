"""The log-mel spectrogram that Whisper was trained on (Radford et al., 2022, section 2.2)."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE

BANDS: Final = 80
WINDOW: Final = 400
HOP: Final = 160
MOST_FRAMES: Final = 3000
"""Frames of 10 ms in Whisper's window of 30 seconds: the encoder has no positions beyond."""

_KNEE_HZ: Final = 1000.0
_HZ_PER_MEL: Final = 200.0 / 3
_LOG_STEP: Final = float(np.log(6.4) / 27.0)
_RANGE: Final = 8.0


def log_mel(samples: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Compute Whisper's log-mel spectrogram of a sound, without padding it to 30 seconds.

    Args:
        samples: Mono sound at 16 kHz in [-1, 1], shape (n,), n above 200.

    Returns:
        Log power in 80 bands, shape (80, n // 160), clipped to the loudest 80 dB and scaled as
        Whisper expects (about -1 to 1.5).

    Raises:
        ValueError: If the sound is too short to be mirrored at its ends.
    """
    if samples.ndim != 1 or len(samples) <= WINDOW // 2:
        raise ValueError(f"samples of shape {samples.shape}: more than {WINDOW // 2} are needed")
    mirrored = np.pad(samples.astype(np.float32), WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, WINDOW)[::HOP]
    # Whisper drops the last frame, which is centred on the end.
    spectrum = np.fft.rfft(frames[: len(samples) // HOP] * _hann(), axis=-1)
    power = (np.abs(spectrum) ** 2).astype(np.float32)
    energy = np.maximum(_filters() @ power.T, 1e-10)
    bels = np.log10(energy)
    clipped = np.maximum(bels, bels.max() - _RANGE)
    return np.asarray((clipped + 4.0) / 4.0, dtype=np.float32)


@cache
def _hann() -> NDArray[np.float32]:
    """A periodic Hann window."""
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Triangles of equal area on Slaney's mel scale, 0 to 8 kHz, shape (80, 201)."""
    top = _KNEE_HZ / _HZ_PER_MEL + np.log(SAMPLE_RATE / 2 / _KNEE_HZ) / _LOG_STEP
    mels = np.linspace(0.0, top, BANDS + 2)
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mels - _KNEE_HZ / _HZ_PER_MEL))
    corners = np.where(mels < _KNEE_HZ / _HZ_PER_MEL, _HZ_PER_MEL * mels, above)
    bins = np.fft.rfftfreq(WINDOW, 1.0 / SAMPLE_RATE)
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    triangles = np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak))
    area = 2.0 / (high - low)
    return np.asarray(np.maximum(triangles, 0.0) * area, dtype=np.float32)
