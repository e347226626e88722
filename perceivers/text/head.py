"""The emotion head over the encoder's layers, and its weights on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.perceivers.labels import GOEMOTIONS_28
from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.perceivers.text.minilm_onnx import DEPTH, HIDDEN

WEIGHTS: Final = Path(__file__).parent / "weights" / "goemotions.npz"
VERSION: Final = "minilm-goemotions-1"
WIDTH: Final = DEPTH * HIDDEN
"""Numbers that the head sees of a text: 7 means of 384."""


def features(encodings: Sequence[Encoding]) -> NDArray[np.float32]:
    """What the head sees, float32, shape (n, 2688)."""
    return np.stack([e.layers.reshape(WIDTH) for e in encodings])


@dataclass(frozen=True)
class EmotionHead:
    """One hidden layer between standardised features and the 28 labels of GoEmotions.

    Attributes:
        mean: Mean of each feature over the training texts, shape (2688,).
        scale: Standard deviation of each feature, shape (2688,), all above 0.
        inner: Weights of the hidden layer, shape (2688, h).
        inner_bias: Shape (h,).
        outer: Weights of the output layer, shape (h, 28).
        outer_bias: Shape (28,).
        temperature: What logits are divided by, so that probabilities mean what they say.
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    inner: NDArray[np.float32]
    inner_bias: NDArray[np.float32]
    outer: NDArray[np.float32]
    outer_bias: NDArray[np.float32]
    temperature: float = 1.0

    def logits(self, seen: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Logits before the temperature, shape (n, 28), of features, shape (n, 2688)."""
        standard = (seen.astype(np.float32) - self.mean) / self.scale
        hidden = np.maximum(standard @ self.inner + self.inner_bias, 0)
        return np.asarray(hidden @ self.outer + self.outer_bias, dtype=np.float64)

    def probs(self, seen: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Calibrated probabilities, shape (n, 28), each row summing to 1."""
        scaled = self.logits(seen) / self.temperature
        exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), dtype=np.float64)

    def save(self, path: Path) -> None:
        """Write the weights; the large matrix in half precision."""
        np.savez_compressed(
            path,
            labels=np.array(GOEMOTIONS_28.labels),
            mean=self.mean,
            scale=self.scale,
            inner=self.inner.astype(np.float16),
            inner_bias=self.inner_bias,
            outer=self.outer,
            outer_bias=self.outer_bias,
            temperature=np.array(self.temperature),
        )

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> EmotionHead:
        """Read weights that :meth:`save` wrote.

        Raises:
            ModelCorruptError: If the file is absent, unreadable or of another shape.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            labels = tuple(str(label) for label in arrays.pop("labels"))
            temperature = float(arrays.pop("temperature"))
            head = cls(
                **{name: array.astype(np.float32) for name, array in arrays.items()},
                temperature=temperature,
            )
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise ModelCorruptError(f"{path.name}: not weights of the emotion head") from error
        hidden = head.inner_bias.shape
        shapes = (head.mean.shape, head.scale.shape, head.inner.shape, head.outer.shape)
        wanted = ((WIDTH,), (WIDTH,), (WIDTH, *hidden), (*hidden, len(GOEMOTIONS_28)))
        if labels != GOEMOTIONS_28.labels or shapes != wanted or temperature <= 0:
            raise ModelCorruptError(f"{path.name}: weights of another emotion head")
        return head
