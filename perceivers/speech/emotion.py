"""Emotion from the sound of a voice: eight labels with calibrated probabilities."""

from __future__ import annotations

import math
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.models import ModelUse, models_of
from affectgraph.perceivers.speech.encoder import FEATURES, MODEL, WhisperEncoder
from affectgraph.perceivers.tracing import model_span

WEIGHTS: Final = Path(__file__).parent / "weights" / "ravdess.npz"
VERSION: Final = "ravdess.v1"
LICENCE: Final = "CC-BY-NC-SA-4.0"
"""Of the recordings that it is trained on: research, non-commercial."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class VoiceHead:
    """A linear layer over the encoder's features, with its temperature.

    Attributes:
        weight: float32, shape (4608, 8).
        bias: float32, shape (8,).
        temperature: Logits are divided by it; fitted on speakers that were not trained on.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float

    def __post_init__(self) -> None:
        shapes = (FEATURES, len(RAVDESS_8)), (len(RAVDESS_8),)
        fits = (self.weight.shape, self.bias.shape) == shapes
        finite = bool(np.isfinite(self.weight).all() and np.isfinite(self.bias).all())
        if not fits or not finite or not self.temperature > 0:
            raise ModelCorruptError("the voice emotion head has wrong shapes or values")

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> VoiceHead:
        """Read a head from an npz file, without pickle.

        Raises:
            ModelCorruptError: If the file is absent or not such a head.
        """
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
                labels = tuple(str(label) for label in data["labels"])
                if labels != RAVDESS_8.labels:
                    raise ModelCorruptError(f"{path.name}: its labels are {labels}")
                return cls(data["weight"], data["bias"], float(data["temperature"]))
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise ModelCorruptError(f"{path.name}: not a voice emotion head ({error})") from error

    def save(self, path: Path) -> None:
        """Write the head as an npz file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path,
            labels=np.asarray(RAVDESS_8.labels),
            weight=self.weight.astype(np.float32),
            bias=self.bias.astype(np.float32),
            temperature=np.asarray(self.temperature),
        )

    def probabilities(self, features: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Calibrated probabilities.

        Args:
            features: Shape (n, 4608).

        Returns:
            Shape (n, 8), in the order of RAVDESS's labels.
        """
        logits = (features.astype(np.float64) @ self.weight + self.bias) / self.temperature
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


class VoiceEmotion:
    """Reads emotion from a voice by its sound alone.

    Trained on acted speech (see ``weights/ravdess.md``): a weak cue elsewhere.

    Args:
        encoder: Whisper's encoder.
        weights: The head's weights; those of the package by default.
        window: Seconds that are read at a time. The head knows utterances of two to four seconds;
            a longer note is read in equal windows whose probabilities are averaged.
        pool: Where blocking work runs.
    """

    def __init__(
        self,
        encoder: WhisperEncoder | None = None,
        *,
        weights: Path = WEIGHTS,
        window: float = 6.0,
        pool: BlockingPool | None = None,
    ) -> None:
        self._encoder = encoder or WhisperEncoder()
        self._weights = weights
        self._window = window
        self._pool = pool or BlockingPool()
        self._lock = threading.Lock()
        self._head: VoiceHead | None = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Whisper's encoder and the head."""
        own = self._weights != WEIGHTS
        head = ModelUse(self._weights.name) if own else ModelUse(VERSION, LICENCE)
        return (*models_of(self._encoder), head)

    async def warm_up(self) -> None:
        """Load the encoder and the head.

        Raises:
            ModelMissingError: If the encoder's model is not pulled.
            ModelCorruptError: If the head's weights cannot be used.
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
        with model_span("classify", f"{MODEL}+{VERSION}"):
            return await self._pool.run(lambda: self.read_blocking(speech))

    def read_blocking(self, speech: Samples) -> Distribution:
        """The same on this thread."""
        head = self._loaded()
        count = max(1, math.ceil(len(speech) / (self._window * SAMPLE_RATE)))
        windows = np.array_split(speech, count)
        features = np.stack([self._encoder.features(window) for window in windows])
        mean = head.probabilities(features).mean(axis=0)
        return Distribution.over(RAVDESS_8, dict(zip(RAVDESS_8.labels, mean, strict=True)))

    def _loaded(self) -> VoiceHead:
        with self._lock:
            self._encoder.load()
            if self._head is None:
                self._head = VoiceHead.load(self._weights)
            return self._head
