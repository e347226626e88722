"""The two kinds of heads that are trained on RAVDESS, and how each is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.speech.voice_onnx import EPSILON, VARIANCE_FLOOR, LinearPart, Member
from affectgraph.perceivers.training.ravdess_data import Voices

if TYPE_CHECKING:
    import torch

CLASSES: Final = len(RAVDESS_8)
CHOICES: Final = tuple(
    (kept, shrinkage) for kept in (200, 400, 700) for shrinkage in (0.1, 0.2, 0.4)
)
"""Principal components of the linear part, and its covariance's shrinkage to a diagonal one."""

_UNSEEN: Final = -30.0
_BASIS_COPIES: Final = 3
_CHUNK: Final = 8192
_SOFTENING: Final = 0.05
_SAMPLE: Final = 8000
"""Positions, about, of which the principal components are taken."""

Choice = tuple[int, float]
Rows = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How the members are trained; fixed before any actor was held out.

    Attributes:
        dim: Principal components of the layers.
        hidden: Channels of the convolution.
        kernel: Its width in positions of 40 ms.
        inner: Channels of the attention.
        heads: Of the attention.
        epochs: Passes over the recordings, each time by one of their copies.
        clean: Share of the passes that take the clean recording.
        batch: Recordings in a step.
        rate: Highest learning rate of one cycle.
        decay: Weight decay (AdamW).
        dropout: On the inputs and before the output.
        mixing: Both parameters of mixup's beta distribution (Zhang et al., 2018).
        smoothing: Of the labels.
    """

    dim: int = 256
    hidden: int = 192
    kernel: int = 5
    inner: int = 64
    heads: int = 4
    epochs: int = 14
    clean: float = 0.2
    batch: int = 32
    rate: float = 1e-3
    decay: float = 0.02
    dropout: float = 0.3
    mixing: float = 0.4
    smoothing: float = 0.05


def pooled(voices: Voices) -> Floats:
    """Mean and deviation over time of every utterance, shape (copies + 2, n, 3840)."""
    count = voices.start.shape
    width = voices.frames.shape[1]
    found = np.zeros((*count, 2 * width), dtype=np.float32)
    for copy in range(count[0]):
        for row in range(count[1]):
            frames = voices.utterance(copy, row).astype(np.float32)
            found[copy, row, :width] = frames.mean(axis=0)
            found[copy, row, width:] = frames.std(axis=0)
    return found


def fit_linear(
    features: Floats, label: NDArray[np.int64], rows: Rows, choices: tuple[Choice, ...] = CHOICES
) -> list[LinearPart]:
    """Linear discriminant analyses of recordings and their varied copies (Friedman, 1989).

    Args:
        features: As :func:`pooled` gives them; the degraded copies are left out.
        label: Of each recording.
        rows: Recordings to train on.
        choices: Components and shrinkage, one analysis for each.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    mean = features[0, rows].mean(axis=0)
    scale = features[0, rows].std(axis=0) + 1e-3
    # Recordings are fewer than features, so their Gram matrix is diagonalised.
    source = ((features[: min(_BASIS_COPIES, len(features) - 1), rows] - mean) / scale).reshape(
        -1, features.shape[2]
    )
    values, vectors = np.linalg.eigh((source @ source.T).astype(np.float64))
    # A small slice has fewer directions than are asked for.
    kept = min(max(choice[0] for choice in choices), int((values > 1e-6 * values[-1]).sum()))
    largest = np.argsort(values)[::-1][:kept]
    basis = source.T @ (vectors[:, largest] / np.sqrt(values[largest])).astype(np.float32)
    basis /= scale[:, None]
    used = features[:-1, rows]
    inputs = used.reshape(-1, used.shape[2]) @ basis - mean @ basis
    labels = np.tile(label[rows], len(used))
    present = len(np.unique(labels))
    parts = []
    for components, shrinkage in choices:
        model = LinearDiscriminantAnalysis(
            solver="lsqr",
            shrinkage=shrinkage,
            # How often actors were asked for an emotion says nothing of how often people feel it.
            priors=np.full(present, 1.0 / present),
        )
        model.fit(inputs[:, :components], labels)
        # A small slice may lack a class: it gets no weight.
        weight = np.zeros((features.shape[2], CLASSES))
        bias = np.full(CLASSES, _UNSEEN)
        weight[:, model.classes_] = basis[:, :components] @ _columns(model.coef_, present).T
        intercept = _columns(model.intercept_[:, None], present)[:, 0]
        bias[model.classes_] = intercept - mean @ weight[:, model.classes_]
        parts.append(LinearPart(weight, bias))
    return parts


def _columns(weights: NDArray[np.float64], present: int) -> NDArray[np.float64]:
    """One row a class; scikit-learn gives one in all for two classes."""
    return np.concatenate([-weights, weights]) / 2 if present == 2 else weights


def linear_logits(part: LinearPart, features: Floats) -> NDArray[np.float64]:
    """Logits of pooled features, shape (n, 8)."""
    return np.asarray(features.astype(np.float64) @ part.weight + part.bias)


class Components:
    """Standardised principal components of the layers, softly whitened.

    Args:
        voices: All recordings.
        rows: Those whose clean version the components are those of.
        dim: How many.
    """

    def __init__(self, voices: Voices, rows: Rows, dim: int) -> None:
        clean = np.concatenate([voices.utterance(0, row) for row in rows])
        sample = clean[:: max(1, len(clean) // _SAMPLE)].astype(np.float32)
        mean, scale = sample.mean(axis=0), sample.std(axis=0) + 1e-4
        standard = (sample - mean) / scale
        values, vectors = np.linalg.eigh(standard.T @ standard / len(sample))
        largest = np.argsort(values)[::-1][:dim]
        softened = np.sqrt(values[largest] + _SOFTENING * values[largest].mean())
        self.weight: Floats = (vectors[:, largest] / softened / scale[:, None]).astype(np.float32)
        self.offset: Floats = -(mean @ self.weight)
        frames = voices.frames
        self._inputs = np.empty((len(frames), dim), dtype=np.float32)
        for at in range(0, len(frames), _CHUNK):
            part = frames[at : at + _CHUNK].astype(np.float32)
            self._inputs[at : at + _CHUNK] = part @ self.weight + self.offset
        self._voices = voices

    def batch(self, rows: Rows, copies: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Padded inputs, shape (n, time, dim), and where they are not padding, (n, time)."""
        import torch

        voices = self._voices
        starts, lengths = voices.start[copies, rows], voices.length[copies, rows]
        inputs = np.zeros((len(rows), int(lengths.max()), self._inputs.shape[1]), dtype=np.float32)
        real = np.zeros(inputs.shape[:2], dtype=np.bool_)
        for slot, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            inputs[slot, :length] = self._inputs[start : start + length]
            real[slot, :length] = True
        return torch.from_numpy(inputs), torch.from_numpy(real)


def attentive_net(recipe: Recipe) -> torch.nn.Module:
    """A member as a module of torch: inputs and mask of :meth:`Components.batch` to logits."""
    import torch
    from torch import nn

    width = 2 * recipe.heads * recipe.hidden

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv1d(
                recipe.dim, recipe.hidden, recipe.kernel, padding=recipe.kernel // 2
            )
            self.first = nn.Linear(recipe.hidden, recipe.inner)
            self.second = nn.Linear(recipe.inner, recipe.heads)
            self.dropout = nn.Dropout(recipe.dropout)
            self.norm = nn.LayerNorm(width, eps=EPSILON)
            self.output = nn.Linear(width, CLASSES)

        def forward(self, inputs: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
            hidden = self.convolution(self.dropout(inputs).transpose(1, 2))
            hidden = nn.functional.gelu(hidden).transpose(1, 2)
            scores = self.second(torch.tanh(self.first(hidden)))
            weight = scores.masked_fill(~real[..., None], -1e4).softmax(dim=1)
            mean = torch.einsum("bth,btc->bhc", weight, hidden)
            variance = torch.einsum("bth,btc->bhc", weight, hidden * hidden) - mean * mean
            deviation = variance.clamp_min(VARIANCE_FLOOR).sqrt()
            told = torch.cat([mean, deviation], dim=-1).flatten(1)
            logits: torch.Tensor = self.output(self.dropout(self.norm(told)))
            return logits

    return Net()


def fit_net(
    inputs: Components, voices: Voices, rows: Rows, recipe: Recipe, seed: int
) -> torch.nn.Module:
    """Train a member on some recordings."""
    import torch
    from torch.nn import functional
    from torch.nn.utils import clip_grad_norm_

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = attentive_net(recipe)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * -(-len(rows) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=steps + 1, pct_start=0.15
    )
    net.train()
    for _ in range(recipe.epochs):
        order = rng.permutation(rows)
        drawn = rng.integers(0, voices.copies + 1, len(order))
        copies = np.where(rng.random(len(order)) < recipe.clean, 0, drawn)
        for at in range(0, len(order), recipe.batch):
            chosen = order[at : at + recipe.batch]
            x, real = inputs.batch(chosen, copies[at : at + recipe.batch])
            truth = functional.one_hot(torch.from_numpy(voices.label[chosen]), CLASSES).float()
            truth = truth * (1 - recipe.smoothing) + recipe.smoothing / CLASSES
            share = float(rng.beta(recipe.mixing, recipe.mixing))
            other = torch.randperm(len(chosen))
            x, truth = (share * part + (1 - share) * part[other] for part in (x, truth))
            told = functional.log_softmax(net(x, real | real[other]), dim=1)
            loss = -(truth * told).sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(net.parameters(), 2.0)
            optimiser.step()
            schedule.step()
    return net.eval()


def net_logits(
    net: torch.nn.Module, inputs: Components, rows: Rows, copy: int = 0
) -> NDArray[np.float64]:
    """Log-probabilities of one version of some recordings, shape (n, 8)."""
    import torch

    told = np.zeros((len(rows), CLASSES))
    with torch.no_grad():
        for at in range(0, len(rows), 64):
            part = rows[at : at + 64]
            logits = net(*inputs.batch(part, np.full(len(part), copy)))
            told[at : at + 64] = torch.log_softmax(logits, dim=1).numpy()
    return told


def as_member(net: torch.nn.Module, inputs: Components) -> Member:
    """A trained member as plain arrays."""
    state: dict[str, Any] = {name: value.numpy() for name, value in net.state_dict().items()}
    return Member(
        components=inputs.weight,
        offset=inputs.offset,
        convolution=(state["convolution.weight"], state["convolution.bias"]),
        attention=(
            state["first.weight"].T,
            state["first.bias"],
            state["second.weight"].T,
            state["second.bias"],
        ),
        norm=(state["norm.weight"], state["norm.bias"]),
        output=(state["output.weight"].T, state["output.bias"]),
    )
