"""OpenAI's own Whisper as the transcriber."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.perceivers.models import ModelUse
from affectgraph.perceivers.speech.activity import ActivityDetector
from affectgraph.perceivers.speech.transcriber import Transcript, WordGuard, assembled
from affectgraph.perceivers.tracing import model_span

Samples = NDArray[np.float32]


class OpenAIWhisper:
    """A Whisper checkpoint in OpenAI's format, run by the package ``openai-whisper``.

    Only what lies between the first and the last speech is transcribed. The same limits as for
    the default transcriber say which words are believed. One sound is transcribed at a time.

    Args:
        file: The checkpoint (``tiny.en.pt``, ``large-v3.pt``, ...).
        language: Code of the language that is spoken; ``None`` to have a multilingual model find
            out.
        device: Where it runs and in which numbers; ``fp16`` is usual on a GPU.
        detector: Finds the speech.
        guard: Which words are believed.
        beam: Hypotheses that are followed side by side; 1 for greedy decoding.

    Raises:
        SetupError: If a number is out of its range.
    """

    def __init__(
        self,
        file: Path,
        *,
        language: str | None = "en",
        device: Device = CPU,
        detector: ActivityDetector | None = None,
        guard: WordGuard | None = None,
        beam: int = 5,
    ) -> None:
        if beam < 1:
            raise SetupError(f"beam must be at least 1, not {beam}")
        self._file, self._language, self._device, self._beam = file, language, device, beam
        self._detector = detector or ActivityDetector(margin=0.4)
        self._guard = guard or WordGuard()
        self._pool = BlockingPool(1)
        self._lock = threading.Lock()
        # The package keeps the state of a decoding in hooks on the model: two at once would take
        # each other's for their own, and one person's words would stand in another's transcript.
        self._decoding = threading.Lock()
        self._model: Any = None

    @property
    def name(self) -> str:
        """``whisper`` and the checkpoint's file."""
        return f"whisper-{self._file.stem}"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """The checkpoint (OpenAI's own are MIT; of another nobody says), and the detector's."""
        return (ModelUse(self.name), *self._detector.models)

    async def warm_up(self) -> None:
        """Load the checkpoint; a second call does nothing.

        Raises:
            SetupError: If openai-whisper is not installed, the file is absent or no such
                checkpoint, or the device is not there.
        """
        await self._pool.run(self._loaded)

    async def transcribe(self, samples: Samples) -> Transcript:
        """Write down what is said in a mono sound at 16 kHz in [-1, 1], shape (n,).

        Raises:
            SetupError: If the checkpoint cannot be used.
        """
        with model_span("transcribe", self.name):
            return await self._pool.run(lambda: self.transcribe_blocking(samples))

    def transcribe_blocking(self, samples: Samples) -> Transcript:
        """The same on this thread; it waits while another thread transcribes."""
        model = self._loaded()
        activity = self._detector.find(samples)
        if not activity.spans:
            return Transcript()
        import whisper

        # In whole frames of 10 ms: beyond the last one Whisper would look for ever.
        last = len(samples) // 160 / 100
        start, end = activity.spans[0][0], min(activity.spans[-1][1], last)
        with self._decoding:
            told = whisper.transcribe(
                model,
                np.ascontiguousarray(samples, np.float32),
                language=self._language,
                beam_size=self._beam if self._beam > 1 else None,
                # No sampling: the same sound gives the same words.
                temperature=0.0,
                # What was heard before would make Whisper go on in its own words.
                condition_on_previous_text=False,
                clip_timestamps=[start, end],
                logprob_threshold=self._guard.unlikely,
                no_speech_threshold=self._guard.no_speech,
                compression_ratio_threshold=self._guard.repetitive,
                fp16=self._device.precision == "fp16",
            )
        segments = (SimpleNamespace(**segment) for segment in told["segments"])
        return assembled(segments, self._guard, activity.seconds)

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model

    def _load(self) -> Any:
        if importlib.util.find_spec("whisper") is None:
            raise ExtraMissingError("OpenAI's Whisper", "gpu")
        if self._device.precision == "bf16":
            raise SetupError("openai-whisper runs in fp32 or fp16, not bf16")
        device, _ = self._device.torch_device(), self._device.torch_dtype()
        if not self._file.is_file():
            raise SetupError(f"{self._file} is absent: give a Whisper checkpoint on this machine")
        with warnings.catch_warnings():
            # The package's own use of what torch and numba deprecate.
            warnings.simplefilter("ignore")
            import whisper

            try:
                # By its whole path: a bare name would be one of those that it downloads.
                model = whisper.load_model(str(self._file.absolute()), device=device)
                # Once read it is kept, and here its unclosed file does no harm.
                whisper.tokenizer.get_tokenizer(
                    model.is_multilingual,
                    num_languages=model.num_languages,
                    language=self._language,
                )
            except Exception as error:
                kind = type(error).__name__
                raise SetupError(
                    f"{self._file.name}: not a Whisper checkpoint, or not one for the language"
                    f" {self._language!r} ({kind})"
                ) from error
        if not model.is_multilingual and self._language not in ("en", None):
            raise SetupError(f"{self._file.name} knows English only, not {self._language!r}")
        return model
