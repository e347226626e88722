"""Words of a voice note, by Whisper on the processor (faster-whisper, CTranslate2)."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.device import CPU, Device, Precision
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.perceivers.speech.activity import ActivityDetector
from affectgraph.perceivers.speech.encoder import MODEL
from affectgraph.perceivers.tracing import model_span

Samples = NDArray[np.float32]

_COMPUTE_TYPES: Final[Mapping[Precision, str]] = MappingProxyType(
    {"auto": "int8", "int8": "int8", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
)
"""CTranslate2's names of the number formats."""


@dataclass(frozen=True)
class TranscriptSpan:
    """A stretch of words.

    Attributes:
        start: First second in the sound.
        end: Last second.
        text: The words.
        confidence: Geometric mean probability of the tokens, in [0, 1]; not calibrated.
    """

    start: float
    end: float
    text: str
    confidence: float


@dataclass(frozen=True)
class Transcript:
    """What was heard.

    Attributes:
        text: All words; empty if none was understood.
        spans: Where they were said.
        confidence: Mean of the spans' confidence by their length, in [0, 1]; 0 without words.
        speech_seconds: Seconds in which somebody spoke, understood or not.
    """

    text: str = ""
    spans: tuple[TranscriptSpan, ...] = ()
    confidence: float = 0.0
    speech_seconds: float = 0.0


class Transcriber(Protocol):
    """Turns a sound into words."""

    async def warm_up(self) -> None:
        """Load the model."""
        ...

    async def transcribe(self, samples: Samples) -> Transcript:
        """Transcribe mono sound at 16 kHz in [-1, 1], shape (n,)."""
        ...


@dataclass(frozen=True)
class WordGuard:
    """Which stretches of words are believed.

    Whisper writes fluent words for noise and music. The first two limits are those of its authors
    (Radford et al., 2022, section 4.5); the third drops what is unlikely whatever else is said.

    Attributes:
        no_speech: A stretch is dropped if it is silent with a probability above this ...
        unlikely: ... and its mean log-probability a token is below this.
        hopeless: A stretch is dropped if its mean log-probability is below this.
        repetitive: A stretch is dropped if gzip shrinks it more than this many times.
    """

    no_speech: float = 0.6
    unlikely: float = -1.0
    hopeless: float = -1.5
    repetitive: float = 2.4

    def believes(self, segment: Any) -> bool:
        """Whether a segment of faster-whisper is believed."""
        likely: float = segment.avg_logprob
        if not segment.text.strip() or not math.isfinite(likely) or likely < self.hopeless:
            return False
        if segment.no_speech_prob > self.no_speech and likely < self.unlikely:
            return False
        return bool(segment.compression_ratio <= self.repetitive)


class WhisperTranscriber:
    """Whisper tiny.en in this process, after Silero's voice activity detection.

    Args:
        store: Where the pulled model lies.
        detector: Finds the speech; only speech is given to Whisper, with wide margins (0.4 s) by
            default, because a first word without its onset is misheard.
        guard: Which words are believed.
        beam: Hypotheses that are followed side by side.
        device: Where it runs; ``auto`` is int8, on a GPU too.
        pool: Where blocking work runs.
    """

    def __init__(
        self,
        store: ModelStore | None = None,
        *,
        detector: ActivityDetector | None = None,
        guard: WordGuard | None = None,
        beam: int = 5,
        device: Device = CPU,
        pool: BlockingPool | None = None,
    ) -> None:
        self._store = store or ModelStore()
        self._detector = detector or ActivityDetector(margin=0.4)
        self._guard = guard or WordGuard()
        self._beam = beam
        self._device = device
        self._pool = pool or BlockingPool()
        self._lock = threading.Lock()
        self._model: Any = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Whisper, and what finds the speech."""
        return (ModelUse.pinned(MODEL), *self._detector.models)

    async def warm_up(self) -> None:
        """Load the model.

        Raises:
            ModelMissingError: If it is not pulled.
        """
        await self._pool.run(self._loaded)

    async def transcribe(self, samples: Samples) -> Transcript:
        """Write down what is said in a sound.

        Args:
            samples: Mono sound at 16 kHz in [-1, 1], shape (n,).

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        with model_span("transcribe", MODEL):
            return await self._pool.run(lambda: self.transcribe_blocking(samples))

    def transcribe_blocking(self, samples: Samples) -> Transcript:
        """The same on this thread."""
        activity = self._detector.find(samples)
        if not activity.spans:
            return Transcript()
        segments, _ = self._loaded().transcribe(
            samples,
            language="en",
            beam_size=self._beam,
            # No sampling: the same sound gives the same words.
            temperature=0.0,
            # What was heard before would make Whisper go on in its own words.
            condition_on_previous_text=False,
            vad_filter=True,
            vad_parameters=self._detector.options(activity.threshold),
            log_prob_threshold=self._guard.unlikely,
            no_speech_threshold=self._guard.no_speech,
            compression_ratio_threshold=self._guard.repetitive,
        )
        return assembled(segments, self._guard, activity.seconds)

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = self._load(self._store.path(MODEL))
            return self._model

    def _load(self, folder: Path) -> Any:
        from faster_whisper import WhisperModel

        return WhisperModel(
            str(folder),
            device="cuda" if self._device.on_cuda else "cpu",
            device_index=self._device.index,
            compute_type=_COMPUTE_TYPES[self._device.precision],
            cpu_threads=self._device.threads,
            local_files_only=True,
        )


def assembled(segments: Iterable[Any], guard: WordGuard, seconds: float) -> Transcript:
    """One transcript of the stretches of Whisper's that are believed.

    Args:
        segments: Each with ``start``, ``end``, ``text`` and what the guard looks at.
        guard: Which are believed.
        seconds: Of speech that was found.
    """
    spans = tuple(
        TranscriptSpan(
            start=float(segment.start),
            end=float(segment.end),
            text=segment.text.strip(),
            confidence=min(1.0, math.exp(segment.avg_logprob)),
        )
        for segment in segments
        if guard.believes(segment)
    )
    # A stretch of no length still counts a little.
    weights = [max(span.end - span.start, 0.01) for span in spans]
    total = sum(w * span.confidence for w, span in zip(weights, spans, strict=True))
    return Transcript(
        text=" ".join(span.text for span in spans),
        spans=spans,
        confidence=total / sum(weights) if spans else 0.0,
        speech_seconds=seconds,
    )
