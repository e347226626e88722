"""Whisper's encoder as layers of a voice, on the unpadded utterance."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.device import CPU, Device
from affectgraph.perceivers.media import SAMPLE_RATE
from affectgraph.perceivers.models import ModelStore, ModelUse
from affectgraph.perceivers.speech.ctranslate2_file import read_arrays
from affectgraph.perceivers.speech.mel import BANDS, HOP, MOST_FRAMES
from affectgraph.perceivers.speech.whisper_onnx import FRAMES, INPUT, encoder_model
from affectgraph.perceivers.speech.whisper_onnx import LAYERS as LAYERS_OUTPUT

MODEL: Final = "whisper-tiny.en"
LAYERS: Final = 5 * 384
"""Channels of the five layers side by side (see ``whisper_onnx``)."""

Mel = NDArray[np.float32]
Layers = NDArray[np.float32]

_GRAPH: Final = "encoder.onnx"

_PADDED: Final = 0.25
"""Share of a pass that may be padding."""


class WhisperEncoder:
    """Tells every layer of Whisper tiny.en's encoder; blocking.

    Args:
        store: Where the pulled model lies.
        device: Where it runs and in which numbers.
    """

    def __init__(self, store: ModelStore | None = None, *, device: Device = CPU) -> None:
        self._store = store or ModelStore()
        self._device = device
        self._lock = threading.Lock()
        self._session: Any = None

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Whisper."""
        return (ModelUse.pinned(MODEL),)

    @property
    def weights(self) -> Path:
        """The pulled graph.

        Raises:
            ModelMissingError: If the model is not pulled.
        """
        return self._store.path(MODEL, _GRAPH)

    def load(self) -> None:
        """Load the graph; a second call does nothing.

        Raises:
            ModelMissingError: If the model is not pulled.
            SetupError: If the device cannot run it.
        """
        with self._lock:
            if self._session is None:
                self._session = self._open()

    def layers(self, mel: Mel) -> Layers:
        """Encode one utterance; as :meth:`batch` of it alone."""
        return self.batch([mel])[0]

    def batch(self, mels: Sequence[Mel]) -> list[Layers]:
        """Encode utterances of any lengths.

        Those of like length share a pass, the shorter ones padded and the padding masked, so that
        an utterance's layers do not depend on its neighbours. A pass is never padded by more than
        a quarter of its longest utterance: padding costs as much as sound.

        Args:
            mels: Each as :func:`~affectgraph.perceivers.speech.mel.log_mel` gives it, shape
                (80, frames), 2 to 3000 frames of 10 ms.

        Returns:
            For each the convolutions' output and that of each block side by side, a position every
            20 ms, shape (positions, 1920).

        Raises:
            ModelMissingError: If the model is not pulled.
            ModelCorruptError: If its weights cannot be read.
            ValueError: If a sound is too short or too long.
        """
        for mel in mels:
            if not 2 <= mel.shape[1] <= MOST_FRAMES:
                seconds = mel.shape[1] * HOP / SAMPLE_RATE
                raise ValueError(f"{seconds:.2f} seconds of sound: 0.02 to 30 are taken")
        self.load()
        found: dict[int, Layers] = {}
        for group in _alike([mel.shape[1] for mel in mels]):
            found |= zip(group, self._pass([mels[at] for at in group]), strict=True)
        return [found[at] for at in range(len(mels))]

    def _pass(self, mels: Sequence[Mel]) -> list[Layers]:
        frames = np.asarray([mel.shape[1] for mel in mels], dtype=np.int64)
        padded = np.zeros((len(mels), BANDS, int(frames.max())), dtype=np.float32)
        for row, mel in zip(padded, mels, strict=True):
            row[:, : mel.shape[1]] = mel
        (told,) = self._session.run([LAYERS_OUTPUT], {INPUT: padded, FRAMES: frames})
        return [row[: (count + 1) // 2] for row, count in zip(told, frames, strict=True)]

    def _open(self) -> Any:
        path = self.weights
        session = self._device.session(path, shapes_vary=True)
        if any(value.name == FRAMES for value in session.get_inputs()):
            return session
        # An earlier version pulled the model and built another graph.
        import onnx

        with TemporaryDirectory() as folder:
            anew = Path(folder) / _GRAPH
            onnx.save(encoder_model(read_arrays(path.with_name("model.bin"))), anew)
            return self._device.session(anew, shapes_vary=True)


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of lengths that may share a pass, longest first."""
    group: list[int] = []
    for at in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        if group and lengths[at] < (1 - _PADDED) * lengths[group[0]]:
            yield group
            group = []
        group.append(at)
    if group:
        yield group
