"""A small classifier of utterances that also sees those around them.

Each utterance's features are projected, a bidirectional GRU runs over the dialogue (or the video),
and both together give the logits; Poria et al. (2017), "Context-dependent sentiment analysis in
user-generated videos", ACL, use an LSTM in the same place. Labels of other utterances are no input.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.training.calibration import softmax

if TYPE_CHECKING:
    import torch

Matrix = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]

_RATE: Final = 2e-3


@dataclass(frozen=True)
class Settings:
    """How a context model is made and trained.

    Attributes:
        hidden: Units of the projection, and of the GRU in each direction.
        context: Whether the GRU is there at all; otherwise each utterance stands alone.
        drop_in: Share of the features dropped in training.
        drop: Share of the hidden units dropped in training.
        decay: Weight decay.
        epochs: Passes over the training dialogues at most.
        batch: Dialogues a step.
        balance: Classes weigh by their frequency to the minus this power; 0 for all alike.
    """

    hidden: int = 64
    context: bool = True
    drop_in: float = 0.3
    drop: float = 0.5
    decay: float = 1e-2
    epochs: int = 20
    batch: int = 32
    balance: float = 0.0


@dataclass(frozen=True)
class Utterances:
    """What one modality gives of a split.

    Attributes:
        features: Shape (n, d), finite.
        labels: Shape (n,).
        sequence: Dialogue or video of each row, shape (n,); rows of one stand together, in order.
    """

    features: Matrix
    labels: Labels
    sequence: NDArray[np.int64]

    def only(self, rows: NDArray[np.bool_]) -> Utterances:
        """Some of the rows, of whole sequences."""
        return Utterances(self.features[rows], self.labels[rows], self.sequence[rows])

    def spans(self) -> list[tuple[int, int]]:
        """First row of each sequence, and one past its last."""
        starts = np.flatnonzero(np.diff(self.sequence, prepend=self.sequence[:1] - 1))
        return list(zip(starts.tolist(), [*starts[1:].tolist(), len(self.labels)], strict=True))


class ContextModel:
    """A trained network with the scale of its features."""

    def __init__(self, net: torch.nn.Module, mean: Matrix, scale: Matrix) -> None:
        self._net, self._mean, self._scale = net, mean, scale

    def logits(self, given: Utterances) -> NDArray[np.float64]:
        """Logits, shape (n, classes); the labels that are given are not looked at."""
        import torch

        self._net.eval()
        inputs = _scaled(given.features, self._mean, self._scale)
        out = []
        with torch.no_grad():
            for start, end in given.spans():
                out.append(self._net(torch.from_numpy(inputs[None, start:end]))[0].numpy())
        return np.concatenate(out).astype(np.float64)


def train(
    given: Utterances, watched: Utterances, classes: int, settings: Settings, seed: int
) -> ContextModel:
    """Fit by AdamW; keep the epoch with the lowest loss on the utterances that are watched.

    Args:
        given: Trained on.
        watched: Of other dialogues; tells when to stop.
        classes: Number of classes.
        settings: How.
        seed: Makes the run repeatable on one machine.

    Raises:
        ExtraMissingError: If torch is not installed.
    """
    if find_spec("torch") is None:
        raise ExtraMissingError("the fusion trainer", "train")
    import torch
    from torch.nn.functional import cross_entropy

    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = _net(given.features.shape[1], classes, settings)
        mean, scale = given.features.mean(0), given.features.std(0) + 1e-6
        model = ContextModel(net, mean, scale)
        inputs, spans = _scaled(given.features, mean, scale), given.spans()
        weights = torch.from_numpy(_class_weights(given.labels, classes, settings.balance))
        optimiser = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=settings.decay)
        best, kept = np.inf, net.state_dict()
        for _ in range(settings.epochs):
            net.train()
            order = rng.permutation(len(spans))
            for start in range(0, len(order), settings.batch):
                batch = [spans[at] for at in order[start : start + settings.batch]]
                padded, target = _padded(inputs, given.labels, batch)
                loss = cross_entropy(
                    net(padded).flatten(0, 1), target.flatten(), weights, ignore_index=-1
                )
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            worth = log_loss(model.logits(watched), watched.labels)
            if worth < best:
                best = worth
                kept = {name: value.clone() for name, value in net.state_dict().items()}
        net.load_state_dict(kept)
    return model


def log_loss(logits: Matrix, labels: Labels) -> float:
    """Mean negative log-likelihood in nats at the best of a few temperatures.

    How sharp a network is says nothing of what it knows, and calibration comes later.
    """
    rows = np.arange(len(labels))
    return min(
        float(-np.log(softmax(logits / t)[rows, labels] + 1e-12).mean())
        for t in (0.7, 1.0, 1.4, 2.0, 3.0)
    )


def _net(width: int, classes: int, settings: Settings) -> torch.nn.Module:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            hidden = settings.hidden
            self.project = nn.Sequential(
                nn.Dropout(settings.drop_in), nn.Linear(width, hidden), nn.ReLU()
            )
            self.around = (
                nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
                if settings.context
                else None
            )
            seen = 3 * hidden if settings.context else hidden
            self.tell = nn.Sequential(nn.Dropout(settings.drop), nn.Linear(seen, classes))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            alone = self.project(inputs)
            if self.around is None:
                told: torch.Tensor = self.tell(alone)
                return told
            context, _ = self.around(alone)
            both: torch.Tensor = self.tell(torch.cat([alone, context], dim=-1))
            return both

    return Net()


def _scaled(features: Matrix, mean: Matrix, scale: Matrix) -> NDArray[np.float32]:
    return np.clip((features - mean) / scale, -5, 5).astype(np.float32)


def _class_weights(labels: Labels, classes: int, balance: float) -> NDArray[np.float32]:
    counts = np.maximum(1, np.bincount(labels, minlength=classes))
    weights = (counts / counts.sum() * classes) ** -balance
    return np.asarray(weights / (weights * counts).sum() * counts.sum(), dtype=np.float32)


def _padded(
    inputs: NDArray[np.float32], labels: Labels, spans: Sequence[tuple[int, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Dialogues side by side; what is filled up carries the label -1."""
    import torch

    longest = max(end - start for start, end in spans)
    padded = np.zeros((len(spans), longest, inputs.shape[1]), np.float32)
    target = np.full((len(spans), longest), -1, np.int64)
    for row, (start, end) in enumerate(spans):
        padded[row, : end - start] = inputs[start:end]
        target[row, : end - start] = labels[start:end]
    return torch.from_numpy(padded), torch.from_numpy(target)
