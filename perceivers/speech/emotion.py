"""Emotion from the sound of a voice: eight labels with calibrated probabilities."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.batching import BatchStats, MicroBatcher
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.speech.encoder import MODEL, WhisperEncoder
from affectgraph.perceivers.speech.mel import log_mel
from affectgraph.perceivers.speech.voice_onnx import INPUT, OUTPUT
from affectgraph.perceivers.tracing import model_span

WEIGHTS: Final = Path(__file__).parent / "weights" / "ravdess.onnx"
VERSION: Final = "ravdess.v2"
LICENCE: Final = "CC-BY-NC-SA-4.0"
"""Of the recordings that it is trained on: research, non-commercial."""

Samples = NDArray[np.float32]


@runtime_checkable
class VoiceReader(Protocol):
    """Reads emotion from the sound of a voice."""

    @property
    def name(self) -> str:
        """Model and version, for a reading's ``model``."""
        ...

    async def warm_up(self) -> None:
        """Load the model."""
        ...

    async def read(self, speech: Samples) -> Distribution:
        """Read speech without its pauses, mono at 16 kHz in [-1, 1], shape (n,)."""
        ...


class VoiceHead:
    """The graph that turns the encoder's layers into calibrated probabilities; blocking.

    Args:
        path: An ONNX file as :func:`~affectgraph.perceivers.speech.voice_onnx.head_model` lays it
            out.
        device: Where it runs.

    Raises:
        SetupError: If the file is absent or no graph, or the device cannot run it.
        ModelCorruptError: If it is not such a head.
    """

    def __init__(self, path: Path = WEIGHTS, *, device: Device = CPU) -> None:
        self._session: Any = device.session(path, shapes_vary=True)
        labels = self._session.get_modelmeta().custom_metadata_map.get("labels", "").split()
        names = [value.name for value in self._session.get_outputs()]
        if tuple(labels) != RAVDESS_8.labels or names != [OUTPUT]:
            raise ModelCorruptError(f"{path.name}: its labels are {labels}, its outputs {names}")

    def probabilities(self, layers: NDArray[np.float32]) -> NDArray[np.float64]:
        """Calibrated probabilities.

        Args:
            layers: Shape (positions, 1920), two positions or more.

        Returns:
            Shape (8,), in the order of RAVDESS's labels.
        """
        (told,) = self._session.run([OUTPUT], {INPUT: layers})
        return np.asarray(told, dtype=np.float64)


class VoiceEmotion:
    """Reads emotion from a voice by its sound alone.

    Trained on acted speech (see ``weights/ravdess.md``): a weak cue elsewhere. Concurrent callers
    share passes of the encoder (see :meth:`WhisperEncoder.batch` for how lengths that differ are
    handled); the head, a hundredth of the work, reads utterance by utterance.

    Args:
        encoder: Whisper's encoder; a new one on ``device`` by default.
        weights: The head's weights; those of the package by default.
        window: Seconds that are read at a time, 1 to 30. The head knows utterances of two to four
            seconds; a longer note is read in equal windows whose probabilities are averaged.
        device: Where the encoder and the head run.
        max_batch: Windows of one batch at most.
        max_wait: Seconds that a window waits for others; 0 for none.

    Raises:
        SetupError: If a number is out of its range.
    """

    def __init__(
        self,
        encoder: WhisperEncoder | None = None,
        *,
        weights: Path = WEIGHTS,
        window: float = 6.0,
        device: Device = CPU,
        max_batch: int = 16,
        max_wait: float = 0.0,
    ) -> None:
        if not 1 <= window <= 30:
            raise SetupError(f"the window must be 1 to 30 seconds, not {window}")
        self._encoder = encoder or WhisperEncoder(device=device)
        self._weights = weights
        self._window = window
        self._device = device
        self._batcher: MicroBatcher[Samples, NDArray[np.float64]] = MicroBatcher(
            self.probabilities, name="voice", max_batch=max_batch, max_wait=max_wait
        )
        self._pool = BlockingPool(1)
        self._lock = threading.Lock()
        self._head: VoiceHead | None = None

    @property
    def name(self) -> str:
        """Encoder and head."""
        return f"{MODEL}+{VERSION if self._weights == WEIGHTS else self._weights.stem}"

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Whisper's encoder and the head."""
        own = self._weights != WEIGHTS
        head = ModelUse(self._weights.name) if own else ModelUse(VERSION, LICENCE)
        return (*models_of(self._encoder), head)

    @property
    def stats(self) -> BatchStats:
        """How full the batches were."""
        return self._batcher.stats

    async def warm_up(self) -> None:
        """Load the encoder and the head.

        Raises:
            ModelMissingError: If the encoder's model is not pulled.
            SetupError: If the head's weights or the device cannot be used.
        """
        await self._pool.run(self._loaded)

    async def read(self, speech: Samples) -> Distribution:
        """Read a voice.

        Args:
            speech: Speech without its pauses, mono at 16 kHz in [-1, 1], shape (n,); half a
                second or more.

        Returns:
            Calibrated probabilities over RAVDESS's eight labels.
        """
        count = max(1, math.ceil(len(speech) / (self._window * SAMPLE_RATE)))
        with model_span("classify", self.name):
            told = await self._batcher.run_all(np.array_split(speech, count))
        mean = np.mean(told, axis=0)
        return Distribution.over(RAVDESS_8, dict(zip(RAVDESS_8.labels, mean, strict=True)))

    def probabilities(self, windows: Sequence[Samples]) -> list[NDArray[np.float64]]:
        """Read stretches of speech, one window each; blocking.

        Returns:
            Calibrated probabilities of each, shape (8,).
        """
        head = self._loaded()
        layers = self._encoder.batch([log_mel(window) for window in windows])
        return [head.probabilities(part) for part in layers]

    async def close(self) -> None:
        """Wait for what runs; nothing is read afterwards."""
        await self._batcher.close()

    def _loaded(self) -> VoiceHead:
        with self._lock:
            self._encoder.load()
            if self._head is None:
                self._head = VoiceHead(self._weights, device=self._device)
            return self._head
