"""Labels read in a line's words alone, without what came before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.text.encoder import Encoding
from affectgraph.reasoners.heads.features import Coded, Floats
from affectgraph.reasoners.heads.lines import Line

_LOG_FLOOR: Final = 1e-4
_NEUTRAL_VAD: Final = 3.0
_LOG_SCALE: Final = 1 / 3
NAMES: Final = ("mean", "basis", "emotion.w", "emotion.b", "strategy.w", "strategy.b")


def raw(encoding: Encoding) -> NDArray[np.float32]:
    """What the encoder says of a text in one vector: features, log probabilities, VAD."""
    logs = np.log(encoding.probs + _LOG_FLOOR) * _LOG_SCALE
    parts = (encoding.features, logs, encoding.vad - _NEUTRAL_VAD)
    return np.concatenate(parts).astype(np.float32)


@dataclass(frozen=True)
class WordsReader:
    """Principal components of the encoder's numbers, and a softmax over them for either label.

    Attributes:
        mean: Of the encoder's numbers, shape (r,).
        basis: From numbers to components, of which each has the spread that it counts with,
            shape (r, d).
        emotion: Weights (d, e) and biases (e,) for the speaker's emotion.
        strategy: Weights (d, s) and biases (s,) for the supporter's strategy.
    """

    mean: Floats
    basis: Floats
    emotion: tuple[Floats, Floats]
    strategy: tuple[Floats, Floats]

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], prefix: str) -> WordsReader:
        """From the tensors that :meth:`tensors` tells.

        Raises:
            KeyError: If one is missing.
        """
        mean, basis, ew, eb, sw, sb = (
            np.asarray(tensors[f"{prefix}{name}"], np.float64) for name in NAMES
        )
        return cls(mean, basis, (ew, eb), (sw, sb))

    def tensors(self, prefix: str) -> dict[str, NDArray[np.float32]]:
        """All numbers by name."""
        held = (self.mean, self.basis, *self.emotion, *self.strategy)
        return {
            f"{prefix}{name}": np.ascontiguousarray(array, np.float32)
            for name, array in zip(NAMES, held, strict=True)
        }

    def components(self, rows: NDArray[Any]) -> Floats:
        """Principal components, shape (n, d), of what :func:`raw` says, shape (n, r)."""
        return np.asarray((rows - self.mean) @ self.basis)

    def code(self, lines: Sequence[Line], rows: NDArray[Any], *, given: bool, text: int) -> Coded:
        """A conversation in numbers.

        Args:
            lines: Its lines.
            rows: What the encoder says of each, shape (n, r).
            given: Whether labels that the lines carry count as known; where a line carries none,
                and everywhere if they do not count, the history holds what is read in the words.
            text: Components that a head sees besides; the readings are made of all.
        """
        vectors = self.components(rows)
        emotion = softmax(vectors @ self.emotion[0] + self.emotion[1])
        strategy = softmax(vectors @ self.strategy[0] + self.strategy[1])
        return _coded(lines, vectors[:, :text], emotion, strategy, given=given)


def _coded(
    lines: Sequence[Line], vectors: Floats, emotion: Floats, strategy: Floats, *, given: bool
) -> Coded:
    """A conversation in numbers, of readings that are already made."""
    emotions = [line.emotion if given else -1 for line in lines]
    strategies = [line.strategy if given else -1 for line in lines]
    return Coded(
        lines, vectors, emotion, strategy, _known(emotions, emotion), _known(strategies, strategy)
    )


def softmax(logits: NDArray[Any]) -> Floats:
    """Rows that sum to 1."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float64)


def _known(labels: Sequence[int], read: Floats) -> Floats:
    known = read.copy()
    for at, label in enumerate(labels):
        if label >= 0:
            known[at] = np.eye(read.shape[1])[label]
    return known
