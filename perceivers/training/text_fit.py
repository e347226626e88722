"""Fits the text encoder's three heads, and the encoder under them, at once; needs torch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name under which everyone knows it
from numpy.typing import NDArray
from torch import Tensor, nn

from affectgraph.perceivers.text.original import OriginalMiniLM
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.text_net import AffectMiniLM, EmotionLoss, padded

Ids = Sequence[Sequence[int]]
_WINDOW: Final = 40
"""Batches among which texts are sorted by length."""


@dataclass(frozen=True)
class Config:
    """How to train.

    Attributes:
        epochs: Passes over GoEmotions.
        horizon: Passes for which the rates are laid out, ``epochs`` or more. The run stops before
            their end: figures on dev had stopped rising.
        seed: Of order, dropout and heads.
        batch: Comments of GoEmotions a step.
        rated: Sentences of EmoBank beside them.
        rate: Highest learning rate of the last layer.
        head_rate: Highest learning rate of the heads.
        decay: What the rate falls by from a layer to the one below.
        near: Weight of the term that keeps the embedding near the original's (1 - cosine).
        max_tokens: Tokens of a text in training; the longest comment has hardly more.
        threads: Threads of torch.
    """

    epochs: int = 3
    horizon: int = 4
    seed: int = 0
    batch: int = 64
    rated: int = 12
    rate: float = 1.5e-4
    head_rate: float = 1e-3
    decay: float = 0.9
    near: float = 5.0
    max_tokens: int = 64
    threads: int = 1

    def share(self, progress: float) -> float:
        """Share of the highest rates at a share of the run: linear up, then linear down."""
        warm = 0.06
        return progress / warm if progress < warm else (1 - progress) / (1 - warm)


@dataclass(frozen=True)
class Lessons:
    """What is learnt from.

    Attributes:
        emotion_texts: Texts with emotions.
        labels: 0 or 1, shape (n, 28).
        rated_texts: Texts with valence, arousal and dominance.
        vad: Standardised, shape (m, 3).
    """

    emotion_texts: Sequence[str]
    labels: NDArray[np.float32]
    rated_texts: Sequence[str]
    vad: NDArray[np.float32]


def fit(
    lessons: Lessons, folder: Path, original: OriginalMiniLM, config: Config, out: Path, say: Say
) -> AffectMiniLM:
    """Train, and give back the network with its averaged weights.

    Args:
        lessons: What is learnt from.
        folder: Of the pulled model ``minilm``.
        original: The same model, which tells where embeddings should stay.
        config: How to train.
        out: A checkpoint is kept here after each epoch, so that a run that stops goes on.
        say: Takes lines of progress.
    """
    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    chance = np.random.default_rng(config.seed)
    texts = [*lessons.emotion_texts, *lessons.rated_texts]
    ids = tokens(texts, folder, config.max_tokens)
    lengths = np.array([len(row) for row in ids])
    count = len(lessons.emotion_texts)
    aims = _aims(texts, original, say)
    labels, vad = torch.from_numpy(lessons.labels), torch.from_numpy(lessons.vad)
    net, loss_of = AffectMiniLM(folder / "model.safetensors"), EmotionLoss()
    optimiser = torch.optim.AdamW(list(net.groups(config.rate, config.head_rate, config.decay)))
    average = Average(net)
    steps = math.ceil(count / config.batch)
    checkpoint = out / "affect-minilm.pt"
    done = _resume(checkpoint, net, optimiser, average, config) if checkpoint.exists() else 0
    for epoch in range(config.epochs):
        comments = shuffled(lengths[:count], config.batch, chance)
        rated = _endless(lengths[count:], config.rated, chance)
        if epoch < done:
            continue
        net.train()
        started, total = time.monotonic(), 0.0
        for step, rows in enumerate(comments):
            progress = (epoch + step / steps) / max(config.horizon, config.epochs)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * config.share(progress)
            beside = next(rated)
            both = np.concatenate([rows, beside + count])
            logits, axes, embeddings = net(*padded([ids[at] for at in both]))
            far = (1 - (embeddings * aims[both]).sum(1)).mean()
            loss = (
                loss_of(logits[: len(rows)], labels[rows])
                + 0.5 * F.mse_loss(axes[len(rows) :], vad[beside])
                + config.near * far
            )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            average.update()
            total += loss.item()
        say(
            f"epoch {epoch + 1}/{config.epochs} loss {total / steps:.4f}"
            f" {time.monotonic() - started:.0f} s"
        )
        torch.save(
            {
                "config": vars(config),
                "epoch": epoch + 1,
                "net": net.state_dict(),
                "average": average.state,
                "steps": average.steps,
                "optimiser": optimiser.state_dict(),
            },
            checkpoint,
        )
    net.load_state_dict(average.state)
    return net.eval()


def tokens(texts: Sequence[str], folder: Path, most: int) -> Ids:
    """Word pieces of texts, cut at ``most``."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return [encoded.ids for encoded in tokenizer.encode_batch(list(texts))]


def shuffled(
    lengths: NDArray[np.int64], batch: int, chance: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Batches in random order, each of texts of like length, so that little is padding."""
    order = chance.permutation(len(lengths))
    batches = []
    for start in range(0, len(order), batch * _WINDOW):
        window = order[start : start + batch * _WINDOW]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[at : at + batch] for at in range(0, len(window), batch)]
    return [batches[at] for at in chance.permutation(len(batches))]


def _endless(
    lengths: NDArray[np.int64], batch: int, chance: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    while True:
        yield from shuffled(lengths, batch, chance)


def _aims(texts: Sequence[str], original: OriginalMiniLM, say: Say) -> Tensor:
    """Where the original puts the texts, shape (n, 384)."""
    rows: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), 4096):
        rows += original.rows(texts[start : start + 4096])
        say(f"{len(rows)} of {len(texts)} texts embedded by the original")
    return torch.from_numpy(np.stack(rows))


class Average:
    """Exponential moving average of the weights that are trained.

    Args:
        net: The network that is trained.
        decay: Share that is kept a step, once warmed up.
    """

    def __init__(self, net: AffectMiniLM, decay: float = 0.998) -> None:
        self._net = net
        self._decay = decay
        self.steps = 0
        self.state = {key: value.clone() for key, value in net.state_dict().items()}

    def update(self) -> None:
        """Take in the network's present state; early steps weigh more than late ones."""
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for name, parameter in self._net.named_parameters():
                if parameter.requires_grad:
                    self.state[name].lerp_(parameter, 1 - decay)


def _resume(
    checkpoint: Path,
    net: AffectMiniLM,
    optimiser: torch.optim.Optimizer,
    average: Average,
    config: Config,
) -> int:
    """Take up a run of the same settings; epochs that it has behind it."""
    kept = torch.load(checkpoint, weights_only=True)
    if kept["config"] != vars(config):
        return 0
    net.load_state_dict(kept["net"])
    optimiser.load_state_dict(kept["optimiser"])
    average.state, average.steps = kept["average"], kept["steps"]
    return int(kept["epoch"])
