"""Trains the emotion head of the text perceiver on GoEmotions (Demszky et al., 2020).

Run it as ``python -m affectgraph.perceivers.training.goemotions --data DIR``, where ``DIR`` holds
``train.tsv``, ``dev.tsv`` and ``test.tsv`` as published: text, label numbers with commas, id. The
encoder stays as it is. Settings, temperature and thresholds are chosen on dev; test is opened
once, at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28, mapping
from affectgraph.perceivers.text.encoder import MiniLMEncoder
from affectgraph.perceivers.text.head import VERSION, WIDTH, EmotionHead, features
from affectgraph.perceivers.training.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
)

Matrix = NDArray[np.floating[Any]]
Metrics = dict[str, float]

PUBLISHED: Final[dict[str, Metrics]] = {
    "bert-base, fine-tuned (GoEmotions-pytorch)": {"macro_f1_28": 0.503, "macro_f1_ekman": 0.624},
    "bert-base, fine-tuned (Demszky et al. 2020)": {"macro_f1_28": 0.46},
}
"""Rows to stand beside; multi-label macro-F1 on the same test split."""

_CHUNK: Final = 1024


@dataclass(frozen=True)
class Settings:
    """How a head is trained.

    Attributes:
        hidden: Units of the hidden layer.
        drop_in: Share of the features dropped in training.
        drop: Share of the hidden units dropped in training.
        decay: Weight decay.
        epochs: Passes over the training texts.
        rate: Highest learning rate of the one-cycle schedule.
        batch: Texts a step.
    """

    hidden: int = 256
    drop_in: float = 0.2
    drop: float = 0.5
    decay: float = 1e-2
    epochs: int = 10
    rate: float = 3e-3
    batch: int = 256


CANDIDATES: Final = (Settings(), Settings(drop_in=0.4, epochs=14))


@dataclass(frozen=True)
class Split:
    """Texts, shape (n,), with their labels, 0 or 1, shape (n, 28)."""

    texts: tuple[str, ...]
    labels: NDArray[np.float32]


def load(file: Path, limit: int | None = None) -> Split:
    """Read a split.

    Args:
        file: A TSV file as published.
        limit: Rows at most.

    Raises:
        SetupError: If the file is absent, has no rows, or a row is not as it should be.
    """
    try:
        lines = file.read_text(encoding="utf-8").rstrip("\n").split("\n")[:limit]
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{file}: cannot be read ({type(error).__name__})") from error
    texts, labels = [], np.zeros((len(lines), len(GOEMOTIONS_28)), np.float32)
    for number, line in enumerate(lines):
        try:
            text, given, _ = line.split("\t")
            numbers = [int(label) for label in given.split(",")]
            if not all(0 <= label < len(GOEMOTIONS_28) for label in numbers):
                raise ValueError("no such label")
        except ValueError:
            raise SetupError(
                f"{file}:{number + 1}: want a text, label numbers and an id, with tabs between"
            ) from None
        texts.append(text)
        labels[number, numbers] = 1
    return Split(tuple(texts), labels)


async def embed(encoder: MiniLMEncoder, texts: Sequence[str]) -> NDArray[np.float16]:
    """Features of texts, half precision, shape (n, 2688)."""
    seen = np.empty((len(texts), WIDTH), np.float16)
    for start in range(0, len(texts), _CHUNK):
        chunk = await encoder.encode_all(texts[start : start + _CHUNK], keep=False)
        seen[start : start + len(chunk)] = features(chunk)
    return seen


def soft(labels: Matrix) -> NDArray[np.float64]:
    """Rows as distributions: a text's labels share its mass."""
    return np.asarray(labels / labels.sum(axis=1, keepdims=True), dtype=np.float64)


def ekman() -> NDArray[np.float64]:
    """The grouping of the 28 labels, 0 or 1, shape (28, 7)."""
    declared = mapping(GOEMOTIONS_28.name, EKMAN_7.name)
    return np.array([declared.apply(tuple(row)) for row in np.eye(len(GOEMOTIONS_28)).tolist()])


def train(seen: Matrix, targets: Matrix, settings: Settings, seed: int) -> EmotionHead:
    """Fit a head by AdamW on the cross-entropy of soft targets.

    Args:
        seen: Features, shape (n, 2688).
        targets: Distributions, shape (n, 28).
        settings: How.
        seed: Makes the run repeatable on one machine.

    Raises:
        ExtraMissingError: If torch is not installed.
    """
    try:
        import torch
    except ImportError:
        raise ExtraMissingError("training", "train") from None
    torch.manual_seed(seed)
    mean, scale = _moments(seen)
    aim = targets.astype(np.float32)
    inner = torch.nn.Linear(WIDTH, settings.hidden)
    outer = torch.nn.Linear(settings.hidden, len(GOEMOTIONS_28))
    network = torch.nn.Sequential(
        torch.nn.Dropout(settings.drop_in),
        inner,
        torch.nn.ReLU(),
        torch.nn.Dropout(settings.drop),
        outer,
    )
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=settings.decay)
    steps = settings.epochs * -(-len(seen) // settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=steps)
    for _ in range(settings.epochs):
        shuffled = torch.randperm(len(seen)).numpy()
        for start in range(0, len(seen), settings.batch):
            rows = shuffled[start : start + settings.batch]
            standard = (seen[rows].astype(np.float32) - mean) / scale
            logits = network(torch.from_numpy(standard))
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(aim[rows]))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
    arrays = [layer.weight.T for layer in (inner, outer)] + [inner.bias, outer.bias]
    first, last, first_bias, last_bias = (
        np.ascontiguousarray(array.detach().numpy()) for array in arrays
    )
    # In half precision, as it will be read from disk: what is measured is what is shipped.
    first = first.astype(np.float16).astype(np.float32)
    return EmotionHead(mean, scale, first, first_bias, last, last_bias)


def _moments(seen: Matrix) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each feature, a block at a time to spare memory."""
    total, squares = np.zeros(WIDTH), np.zeros(WIDTH)
    for start in range(0, len(seen), _CHUNK):
        block = seen[start : start + _CHUNK].astype(np.float64)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    mean = total / len(seen)
    scale = np.sqrt(np.maximum(squares / len(seen) - mean**2, 1e-8))
    return mean.astype(np.float32), scale.astype(np.float32)


def calibrate(head: EmotionHead, seen: Matrix, labels: Matrix) -> EmotionHead:
    """The same head with the temperature under which the labels are most likely."""
    return replace(head, temperature=fit_temperature(head.logits(seen), soft(labels)))


def thresholds(probs: Matrix, labels: NDArray[Any]) -> NDArray[np.float64]:
    """For each label the threshold with the best F1, shape (k,)."""
    from sklearn.metrics import f1_score

    grid = np.concatenate([np.arange(0.02, 0.2, 0.02), np.arange(0.2, 0.85, 0.05)])
    return np.array(
        [
            max(grid, key=lambda t: f1_score(labels[:, k], probs[:, k] > t, zero_division=0.0))
            for k in range(probs.shape[1])
        ]
    )


def scores(probs: Matrix, labels: Matrix, cut_28: Matrix, cut_ekman: Matrix) -> Metrics:
    """Figures of probabilities against labels, both of shape (n, 28).

    ``*_28`` and ``macro_f1_ekman`` are multi-label, decided by thresholds, as in the published
    rows. ``top_*`` asks of the most probable label alone: whether raters gave it (28), and which
    of Ekman's seven it is, over the texts whose labels all fall in one of the seven.
    """
    from sklearn.metrics import accuracy_score, f1_score

    group = ekman()
    basic, basic_labels = probs @ group, labels @ group > 0
    alone = basic_labels.sum(axis=1) == 1
    truth, told = basic_labels[alone].argmax(axis=1), basic[alone].argmax(axis=1)
    top = probs.argmax(axis=1)
    given = labels[np.arange(len(top)), top] > 0
    # Any label that raters gave counts as right; else compare with one that they gave.
    nearest = np.where(given, top, labels.argmax(axis=1))
    return {
        "macro_f1_28": float(f1_score(labels, probs > cut_28, average="macro", zero_division=0.0)),
        "macro_f1_ekman": float(
            f1_score(basic_labels, basic > cut_ekman, average="macro", zero_division=0.0)
        ),
        "top_28_given": float(given.mean()),
        "top_ekman_accuracy": float(accuracy_score(truth, told)),
        "top_ekman_macro_f1": float(f1_score(truth, told, average="macro", zero_division=0.0)),
        "ece_28": expected_calibration_error(probs, nearest),
        "ece_ekman": expected_calibration_error(basic[alone], truth),
    }


def baselines(train_labels: Matrix, labels: Matrix, seed: int) -> dict[str, Metrics]:
    """What "always the most frequent label" and drawing by frequency reach."""
    share = soft(train_labels).mean(axis=0)
    draws = np.random.default_rng(seed).choice(len(share), size=len(labels), p=share)
    guesses = {
        "majority": np.eye(len(share))[np.full(len(labels), share.argmax())],
        "random": np.eye(len(share))[draws],
    }
    half = np.full(len(share), 0.5), np.full(len(EKMAN_7), 0.5)
    told = ("macro_f1_28", "macro_f1_ekman", "top_28_given", "top_ekman_accuracy",
            "top_ekman_macro_f1")  # fmt: skip
    return {
        name: {key: value for key, value in scores(guess, labels, *half).items() if key in told}
        for name, guess in guesses.items()
    }


def run(
    data: Path,
    encoder: MiniLMEncoder,
    *,
    out: Path | None = None,
    seed: int = 0,
    limit: int | None = None,
    candidates: Sequence[Settings] = CANDIDATES,
) -> dict[str, Any]:
    """Train, choose, calibrate, test; write ``goemotions.npz`` into ``out`` if it is given.

    Returns:
        ``{"name", "settings", "metrics", "baselines"}``, ready for JSON.
    """
    splits = {name: load(data / f"{name}.tsv", limit) for name in ("train", "dev", "test")}
    seen = asyncio.run(_embed_all(encoder, splits))
    dev, test = splits["dev"].labels, splits["test"].labels
    best, chosen, likelihood = None, candidates[0], np.inf
    for settings in candidates:
        raw = train(seen["train"], soft(splits["train"].labels), settings, seed)
        head = calibrate(raw, seen["dev"], dev)
        loss = negative_log_likelihood(head.logits(seen["dev"]), soft(dev), head.temperature)
        if best is None or loss < likelihood:
            best, chosen, likelihood = head, settings, loss
    if best is None:
        raise SetupError("no candidate settings to train")
    probs = best.probs(seen["dev"])
    cuts = thresholds(probs, dev), thresholds(probs @ ekman(), dev @ ekman() > 0)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        best.save(out / "goemotions.npz")
    return {
        "name": VERSION,
        "settings": {**vars(chosen), "seed": seed, "temperature": round(best.temperature, 4)},
        "rows": {name: len(split.texts) for name, split in splits.items()},
        "metrics": {
            "dev": scores(probs, dev, *cuts) | {"nll": likelihood},
            "test": scores(best.probs(seen["test"]), test, *cuts),
        },
        "baselines": {**baselines(splits["train"].labels, test, seed), **PUBLISHED},
    }


async def _embed_all(
    encoder: MiniLMEncoder, splits: dict[str, Split]
) -> dict[str, NDArray[np.float16]]:
    return {name: await embed(encoder, split.texts) for name, split in splits.items()}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    """The report for a person: the test figures and the rows beside them."""
    yield f"{report['name']}: {report['rows']}, {report['settings']}"
    rows = {"this head, test": report["metrics"]["test"], **report["baselines"]}
    for name, figures in rows.items():
        yield f"  {name}: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train the text emotion head on GoEmotions.")
    parser.add_argument("--data", type=Path, required=True, help="folder with the TSV files")
    parser.add_argument("--out", type=Path, help="folder to write goemotions.npz into")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="rows of each split, for a quick try")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    given = parser.parse_args(arguments)
    encoder = MiniLMEncoder(cache_size=0)
    report = run(given.data, encoder, out=given.out, seed=given.seed, limit=given.limit)
    text = json.dumps(report, indent=2) if given.json else "\n".join(_lines(report))
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
