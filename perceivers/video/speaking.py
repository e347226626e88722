"""Which of several faces speaks: the one whose mouth moves with the sound.

Cutler and Davis (2000), "Look who's talking: speaker detection using video and audio correlation",
ICME, correlate the motion of the mouth with the energy of the sound; an agent that talks with one
person among several needs it to read the right face (UGotMe, Li et al., 2024, reads the active
speaker's face alone). This is the plain form: no learning, so a person who chews while another one
talks can be taken for the speaker, and sound that runs apart from the pictures by more than a
tenth of a second, or fewer than eight movements from one picture to the next, leave it open.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.face.detected import DetectedFace
from affectgraph.perceivers.media import MAX_SECONDS, SAMPLE_RATE

PATCH: Final = 16
"""Side of a mouth's picture in pixels."""
LEAST_MOTIONS: Final = 8
"""Movements from a picture to the next, so nine pictures in a row, or more with gaps."""

_LUMA: Final = np.array([0.299, 0.587, 0.114])


def mouth_of(pixels: NDArray[np.uint8], face: DetectedFace) -> NDArray[np.float64]:
    """The mouth of a face, cut by its two corners so that a moving head moves it little.

    Args:
        pixels: RGB, uint8, shape (height, width, 3).
        face: The face in it.

    Returns:
        Grey, mean 0 and deviation 1, shape (16, 16).
    """
    _, _, nose, left, right = (np.asarray(point) for point in face.landmarks)
    middle, across = (left + right) / 2, right - left
    # A head in profile hides the mouth's width, never the distance from the nose.
    size = max(1.6 * float(np.hypot(*across)), 1.6 * float(np.hypot(*(middle - nose))), 8.0)
    angle = np.arctan2(across[1], across[0])
    steps = (np.arange(PATCH) + 0.5) / PATCH * size - size / 2
    u, v = np.meshgrid(steps, steps)
    x = middle[0] + u * np.cos(angle) - v * np.sin(angle)
    y = middle[1] + u * np.sin(angle) + v * np.cos(angle)
    column = np.clip(np.rint(x).astype(np.intp), 0, pixels.shape[1] - 1)
    row = np.clip(np.rint(y).astype(np.intp), 0, pixels.shape[0] - 1)
    grey = pixels[row, column] @ _LUMA
    return np.asarray((grey - grey.mean()) / (grey.std() + 1.0))


def motion_of(mouths: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64]:
    """How much a mouth changes up to each picture: mean absolute difference, shape (n,).

    NaN where the mouth was not seen in the picture or the one before, and in the first.
    """
    motion = np.full(len(mouths), np.nan)
    for at in range(1, len(mouths)):
        before, now = mouths[at - 1], mouths[at]
        if before is not None and now is not None:
            motion[at] = np.abs(now - before).mean()
    return motion


def from_first_picture(samples: NDArray[np.float32], delay: float) -> NDArray[np.float32]:
    """A sound as :func:`loudness_at` needs it: silence before what begins late, the rest cut.

    Args:
        samples: Mono, 16 kHz, shape (n,).
        delay: Seconds from the first picture to the first sample; below zero if that is earlier.
    """
    # No video is longer: a damaged time must not ask for gigabytes of silence.
    shift = round(max(-MAX_SECONDS, min(MAX_SECONDS, delay)) * SAMPLE_RATE)
    return samples[-shift:] if shift < 0 else np.pad(samples, (shift, 0))


def loudness_at(samples: NDArray[np.float32], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Level of the sound between each picture and the one before, in dB, shape (n,).

    Args:
        samples: Mono, 16 kHz, from the time of the first picture on.
        times: Seconds of the pictures, rising.
    """
    edges = np.concatenate(([max(0.0, times[0] - np.diff(times, append=times[0] + 0.1)[0])], times))
    marks = np.clip((edges * SAMPLE_RATE).astype(np.intp), 0, len(samples))
    power = [
        float(np.mean(np.square(samples[start:end], dtype=np.float64))) if end > start else 0.0
        for start, end in pairwise(marks.tolist())
    ]
    # The floor keeps digital silence from weighing more than all speech together.
    return 10 * np.log10(np.maximum(power, 1e-6))


def agreement(motion: NDArray[np.float64], loudness: NDArray[np.float64]) -> float:
    """Pearson's correlation of a mouth's motion with the sound, in [-1, 1].

    0 where too few pictures show the mouth, or either does not change.
    """
    seen = np.isfinite(motion)
    if seen.sum() < LEAST_MOTIONS:
        return 0.0
    one, other = motion[seen], loudness[seen]
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one @ one) * (other @ other)))
    return 0.0 if scale < 1e-9 else float(one @ other) / scale


def speaker(
    motions: Sequence[NDArray[np.float64]],
    loudness: NDArray[np.float64],
    *,
    least: float = 0.3,
    margin: float = 0.15,
) -> int | None:
    """Which mouth moves with the sound.

    Args:
        motions: Of each face, as :func:`motion_of` gives it.
        loudness: As :func:`loudness_at` gives it.
        least: Correlation that the speaker's mouth must reach.
        margin: How far those must stay behind who are there in the same pictures. Faces that never
            are can be the same person's.

    Returns:
        The face's place in ``motions``, or ``None`` where nobody stands out.
    """
    scores = [agreement(motion, loudness) for motion in motions]
    first = max(range(len(scores)), key=scores.__getitem__, default=None)
    if first is None or scores[first] < least:
        return None
    there = np.isfinite(motions[first])
    for row, motion in enumerate(motions):
        rival = row != first and bool(np.any(there & np.isfinite(motion)))
        if rival and scores[first] - scores[row] < margin:
            return None
    return first
