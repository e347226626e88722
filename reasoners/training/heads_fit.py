"""Fits the readers and classifiers of the dialogue heads; needs torch, and is imported late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from affectgraph.reasoners.heads.features import Floats
from affectgraph.reasoners.heads.perceptron import Perceptrons
from affectgraph.reasoners.heads.words import WordsReader

_CONSTANT: Final = 0.05


@dataclass(frozen=True)
class WordsRecipe:
    """How the reader of single lines is fitted.

    Attributes:
        components: Principal components that are kept.
        penalty: Of the squared weights.
        steps: Of L-BFGS, at most.
    """

    components: int = 160
    penalty: float = 2e-3
    steps: int = 60


@dataclass(frozen=True)
class Recipe:
    """How the perceptrons are fitted.

    Attributes:
        epochs: Passes over the data.
        rate: Peak learning rate of AdamW, in one cycle (Smith and Topin, 2018).
        decay: Weight decay.
        hidden: Width of the hidden layer.
        drop: Share of features, and of the hidden layer, that is dropped.
        batch: Rows of a step.
        shares: How much of a target is the shares of the labels of a turn's lines; the rest is
            the turn's own label.
        folds: Parts that the dialogues are cut into, for readings of lines by readers that have
            not seen them.
    """

    epochs: int = 10
    rate: float = 2e-3
    decay: float = 0.1
    hidden: int = 48
    drop: float = 0.4
    batch: int = 128
    shares: float = 0.5
    folds: int = 5


def principal(rows: NDArray[Any], count: int) -> tuple[Floats, Floats]:
    """Mean, and the basis of the first principal components, as :class:`WordsReader` has them.

    The spread of a component is the fourth root of its share of the variance: between its own
    spread, at which the first few drown the rest, and one spread for all, at which noise does.
    """
    mean = rows.mean(axis=0, dtype=np.float64)
    spread = rows.std(axis=0, dtype=np.float64) + 1e-3
    standard = ((rows - mean) / spread).astype(np.float32)
    values, vectors = np.linalg.eigh(standard.T @ standard / len(rows))
    kept = slice(-1, -1 - min(count, len(values)), -1)
    variance = np.maximum(values[kept].astype(np.float64), 1e-8)
    stretched = 2 * (variance / variance[0]) ** 0.25 / np.sqrt(variance)
    return mean, vectors[:, kept] * stretched / spread[:, None]


def softmax_regression(
    rows: Floats, labels: NDArray[np.int64], weights: Floats, count: int, recipe: WordsRecipe
) -> tuple[Floats, Floats]:
    """Weights (d, k) and biases (k,) of a multinomial regression by L-BFGS."""
    seen, truth = torch.tensor(rows, dtype=torch.float32), torch.tensor(labels)
    share = torch.tensor(weights / weights.sum(), dtype=torch.float32)
    inner = torch.zeros(rows.shape[1], count, requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimiser = torch.optim.LBFGS([inner, bias], max_iter=recipe.steps, history_size=10)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        each = nn.functional.cross_entropy(seen @ inner + bias, truth, reduction="none")
        loss = (each * share).sum() + recipe.penalty * (inner**2).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return inner.detach().double().numpy(), bias.detach().double().numpy()


@dataclass(frozen=True)
class Spoken:
    """Lines of many dialogues as the readers of words are fitted on them; n lines.

    Attributes:
        person: Whether the person says it, shape (n,).
        label: Index of the emotion of the person's lines, and of the strategy of the others.
        weight: How much a line counts.
    """

    person: NDArray[np.bool_]
    label: NDArray[np.int64]
    weight: Floats


def fit_words(
    vectors: Floats,
    mean: Floats,
    basis: Floats,
    spoken: Spoken,
    counts: tuple[int, int],
    recipe: WordsRecipe,
) -> WordsReader:
    """A reader of words from components (n, d) and labels of the same lines."""
    fitted = [
        softmax_regression(vectors[rows], spoken.label[rows], spoken.weight[rows], count, recipe)
        for rows, count in zip((spoken.person, ~spoken.person), counts, strict=True)
    ]
    return WordsReader(mean, basis, fitted[0], fitted[1])


class _Net(nn.Module):
    def __init__(self, features: int, labels: int, recipe: Recipe) -> None:
        super().__init__()
        self.drop = nn.Dropout(recipe.drop)
        self.inner = nn.Linear(features, recipe.hidden)
        self.outer = nn.Linear(recipe.hidden, labels)
        self.straight = nn.Linear(features, labels, bias=False)
        nn.init.zeros_(self.straight.weight)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        seen = self.drop(rows)
        inner = nn.functional.gelu(self.inner(seen), approximate="tanh")
        logits: torch.Tensor = self.outer(self.drop(inner)) + self.straight(seen)
        return logits


def fit_perceptrons(
    rows: Floats,
    shares: Floats,
    labels: NDArray[np.int64],
    recipe: Recipe,
    seeds: Sequence[int],
) -> Perceptrons:
    """An ensemble with one member a seed.

    Args:
        rows: Features, shape (n, f).
        shares: Of the labels of each stretch's lines, shape (n, k).
        labels: The label of each stretch, shape (n,).
        recipe: How.
        seeds: Of the members' first weights and the order of their rows.
    """
    mean, scale = rows.mean(axis=0), rows.std(axis=0) + _CONSTANT
    count = shares.shape[1]
    target = recipe.shares * shares + (1 - recipe.shares) * np.eye(count)[labels]
    start = Perceptrons(mean, scale, (mean, mean), (mean, mean), mean)
    seen = torch.tensor(start.standard(rows), dtype=torch.float32)
    wanted = torch.tensor(target, dtype=torch.float32)
    nets = [_fitted(seen, wanted, recipe, seed) for seed in seeds]

    def stacked(name: str, *, turn: bool = False) -> Floats:
        found = [net.state_dict()[name].double().numpy() for net in nets]
        return np.stack([array.T if turn else array for array in found])

    return Perceptrons(
        mean,
        scale,
        (stacked("inner.weight", turn=True), stacked("inner.bias")),
        (stacked("outer.weight", turn=True), stacked("outer.bias")),
        stacked("straight.weight", turn=True),
    )


def _fitted(seen: torch.Tensor, wanted: torch.Tensor, recipe: Recipe, seed: int) -> _Net:
    # Dropout draws from torch's own generator, which is left as it was found.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _trained(seen, wanted, recipe)


def _trained(seen: torch.Tensor, wanted: torch.Tensor, recipe: Recipe) -> _Net:
    net = _Net(seen.shape[1], wanted.shape[1], recipe)
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    steps = recipe.epochs * -(-len(seen) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=steps, pct_start=0.2
    )
    net.train()
    for batch in _batches(len(seen), recipe):
        optimiser.zero_grad()
        loss = -(wanted[batch] * net(seen[batch]).log_softmax(1)).sum(1).mean()
        loss.backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def _batches(count: int, recipe: Recipe) -> Iterator[torch.Tensor]:
    for _ in range(recipe.epochs):
        order = torch.randperm(count)
        yield from torch.split(order, recipe.batch)
