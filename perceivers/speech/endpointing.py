"""Finds where utterances begin and end in a sound that is still coming in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.media import SAMPLE_RATE

FRAME: Final = 512
"""Samples that the detector judges at a time: 32 ms."""

_CONTEXT: Final = 64
_STATE: Final = (1, 1, 128)
_HYSTERESIS: Final = 0.15

Samples = NDArray[np.float32]


class SpeechProbability:
    """Silero's detector over a stream: probability of speech in each 32 ms; blocking.

    The recurrent state is kept from call to call, so a stream's probabilities do not depend on how
    it is cut into chunks. One object a stream.
    """

    def __init__(self) -> None:
        self._hidden: NDArray[np.float32] = np.zeros(_STATE, dtype=np.float32)
        self._cell: NDArray[np.float32] = np.zeros(_STATE, dtype=np.float32)
        self._context: Samples = np.zeros(_CONTEXT, dtype=np.float32)

    def __call__(self, frames: Samples) -> NDArray[np.float32]:
        """Judge the next frames.

        Args:
            frames: Sound at 16 kHz in [-1, 1], shape (n, 512).

        Returns:
            Shape (n,).
        """
        from faster_whisper.vad import get_vad_model

        before = np.concatenate([self._context[None], frames[:-1, -_CONTEXT:]])
        inputs = {
            "input": np.concatenate([before, frames], axis=1),
            "h": self._hidden,
            "c": self._cell,
        }
        session: Any = get_vad_model().session
        told, self._hidden, self._cell = session.run(None, inputs)
        self._context = frames[-1, -_CONTEXT:].copy()
        return np.asarray(told, dtype=np.float32).reshape(-1)


@dataclass(frozen=True)
class EndpointRules:
    """When an utterance begins and ends.

    Attributes:
        threshold: Probability of speech above which somebody speaks; they stop 0.15 below it.
        pause: Seconds of silence that end an utterance.
        shortest: Seconds of speech below which it is a click or a cough and is dropped.
        margin: Seconds kept before an utterance and, at most, after it.
        longest: Seconds after which an utterance is ended though the person goes on.
    """

    threshold: float = 0.5
    pause: float = 0.6
    shortest: float = 0.2
    margin: float = 0.4
    longest: float = 20.0

    def __post_init__(self) -> None:
        positive = min(self.pause, self.shortest, self.longest) > 0 and self.margin >= 0
        if not (0 < self.threshold < 1 and positive and self.longest > self.pause + self.shortest):
            raise ValueError(f"these rules end no utterance: {self}")


@dataclass(frozen=True)
class Spoken:
    """An utterance that has ended.

    Attributes:
        start: Second of the stream at which ``samples`` begin.
        samples: Its sound with the margins, float32 at 16 kHz, shape (n,).
    """

    start: float
    samples: Samples

    @property
    def end(self) -> float:
        """Second of the stream at which ``samples`` end."""
        return self.start + len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class Heard:
    """What came of some more sound.

    Attributes:
        ended: Utterances that ended in it.
        until: Second of the stream up to which it was judged.
        probability: Highest probability of speech in it; ``None`` if no whole frame came in.
        speaking: Whether an utterance is going on.
    """

    ended: tuple[Spoken, ...]
    until: float
    probability: float | None
    speaking: bool


class Endpointer:
    """Cuts a stream into utterances; holds at most ``longest`` seconds and the margins.

    Args:
        rules: When an utterance begins and ends.
        probability: Judges frames of shape (n, 512); Silero's detector by default.
    """

    def __init__(
        self,
        rules: EndpointRules | None = None,
        probability: Callable[[Samples], NDArray[np.float32]] | None = None,
    ) -> None:
        self._rules = rules or EndpointRules()
        self._probability = probability or SpeechProbability()
        self._rest: Samples = np.zeros(0, dtype=np.float32)
        self._kept: list[Samples] = []
        self._frames = 0
        self._spoken = 0
        self._quiet = 0
        self._speaking = False

    def feed(self, samples: Samples) -> Heard:
        """Take in the next sound; blocking, about 3 ms a second of sound.

        Args:
            samples: float32 at 16 kHz in [-1, 1], shape (n,), any length.
        """
        sound = np.concatenate([self._rest, samples])
        count = len(sound) // FRAME
        self._rest = sound[count * FRAME :].copy()
        if not count:
            return Heard((), self._seconds(self._frames), None, self._speaking)
        frames = sound[: count * FRAME].reshape(count, FRAME)
        told = self._probability(frames)
        ended = [
            spoken
            for frame, probability in zip(frames, told, strict=True)
            if (spoken := self._step(frame, float(probability))) is not None
        ]
        until = self._seconds(self._frames)
        return Heard(tuple(ended), until, float(told.max()), self._speaking)

    def finish(self) -> Spoken | None:
        """End the stream: what was being said, if anything was."""
        if not self._speaking:
            return None
        if len(self._rest):
            self._kept.append(self._rest)
        return self._cut(0)

    def _step(self, frame: Samples, probability: float) -> Spoken | None:
        rules = self._rules
        self._frames += 1
        self._kept.append(frame.copy())
        if probability >= rules.threshold:
            self._speaking = True
            self._spoken += 1
            self._quiet = 0
        elif self._speaking:
            # Between the two thresholds a voice that falls still counts as one that goes on.
            if probability >= rules.threshold - _HYSTERESIS:
                self._spoken += 1
                self._quiet = 0
            else:
                self._quiet += 1
        if not self._speaking:
            del self._kept[: max(0, len(self._kept) - _frames_in(rules.margin))]
            return None
        if self._quiet >= _frames_in(rules.pause):
            return self._cut(max(0, self._quiet - _frames_in(rules.margin)))
        if len(self._kept) >= _frames_in(rules.longest):
            return self._cut(0)
        return None

    def _cut(self, surplus: int) -> Spoken | None:
        """End the utterance; the last ``surplus`` frames are silence beyond the margin."""
        start = self._seconds(self._frames - sum(len(part) == FRAME for part in self._kept))
        enough = self._spoken >= _frames_in(self._rules.shortest)
        parts = self._kept[: len(self._kept) - surplus]
        # The silence after this utterance may be the margin before the next one.
        margin = _frames_in(self._rules.margin)
        quiet = min(self._quiet, margin)
        self._kept = self._kept[len(self._kept) - quiet :] if quiet else []
        self._spoken = self._quiet = 0
        self._speaking = False
        return Spoken(start, np.concatenate(parts)) if enough else None

    @staticmethod
    def _seconds(frames: int) -> float:
        return frames * FRAME / SAMPLE_RATE


def _frames_in(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / FRAME)
