"""Whisper's encoder as features of a voice, on the unpadded utterance."""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.perceivers.speech.mel import HOP, MOST_FRAMES, log_mel

MODEL: Final = "whisper-tiny.en"
FEATURES: Final = 6 * 2 * 384
"""Mean and deviation over time of 384 channels in six layers (see ``whisper_onnx``)."""


class WhisperEncoder:
    """Tells the statistics of every layer of Whisper tiny.en's encoder; blocking.

    Args:
        store: Where the pulled model lies.
        threads: Processor threads of one call; perceivers run side by side, so one
            each is quickest where cores are few, and steady where other work holds one up.
    """

    def __init__(self, store: ModelStore | None = None, *, threads: int = 1) -> None:
        self._store = store or ModelStore()
        self._threads = threads
        self._lock = threading.Lock()
        self._session: Any = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Whisper."""
        return (ModelUse.pinned(MODEL),)

    def load(self) -> None:
        """Load the graph; a second call does nothing.

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        with self._lock:
            if self._session is None:
                self._session = self._open()

    def features(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Encode an utterance.

        Args:
            samples: Mono sound at 16 kHz in [-1, 1], shape (n,), 0.0125 to 30 seconds.

        Returns:
            Shape (4608,).

        Raises:
            ModelMissingError: If the model is not pulled.
            ValueError: If the sound is too short or too long.
        """
        if len(samples) > MOST_FRAMES * HOP:
            raise ValueError(f"{len(samples):,} samples: at most 30 seconds are taken")
        self.load()
        (features,) = self._session.run(None, {"mel": log_mel(samples)[None]})
        return np.asarray(features, dtype=np.float32)

    def _open(self) -> Any:
        import onnxruntime

        path = self._store.path(MODEL, "encoder.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
