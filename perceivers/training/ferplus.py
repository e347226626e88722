"""Train, calibrate, test and export the facial expression head on FER+.

Run::

    python -m affectgraph.perceivers.training.ferplus --data DIR

First a base network is trained, then a larger one that is grown from it; what is shipped averages
the two where that does better on the validation split. Each epoch leaves its state in the folder of
the results, so a run that was stopped goes on where it was. Progress goes to standard error;
standard output is one JSON object with ``name``, ``metrics`` and ``baselines``. The test split is
opened once, after every choice is made. Needs the extra ``train``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.ferplus import Faces, load
from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.training import command
from affectgraph.perceivers.training.calibration import (
    expected_calibration_error,
    fit_temperature,
    softmax,
)
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.ferplus_export import export
from affectgraph.perceivers.training.ferplus_loop import Config, Run, infer

if TYPE_CHECKING:
    from affectgraph.perceivers.training.ferplus_net import ExpressionNet

WEIGHTS: Final = Path(__file__).parent.parent / "face" / "weights"
ONNX: Final = "ferplus.onnx"
PUBLISHED: Final = {
    "Barsoum et al. 2016, majority vote": 0.839,
    "Barsoum et al. 2016, cross-entropy": 0.847,
    "Barsoum et al. 2016, probabilistic label drawing": 0.850,
}


def judge(logits: NDArray[np.float64], faces: Faces, temperature: float) -> dict[str, Any]:
    """Accuracy, macro-F1, per-class F1 and calibration of logits on a split."""
    labels, guesses = faces.labels, logits.argmax(axis=1)
    f1 = {}
    for index, label in enumerate(FERPLUS_8.labels):
        hits = float(((guesses == index) & (labels == index)).sum())
        total = float((guesses == index).sum() + (labels == index).sum())
        f1[label] = round(2 * hits / total, 4) if total else 0.0
    raw, scaled = softmax(logits), softmax(logits / temperature)
    return {
        "n": len(faces),
        "accuracy": round(float((guesses == labels).mean()), 4),
        "macro_f1": round(float(np.mean(list(f1.values()))), 4),
        "f1": f1,
        "ece_uncalibrated": round(expected_calibration_error(raw, labels, bins=15), 4),
        "ece": round(expected_calibration_error(scaled, labels, bins=15), 4),
    }


def baselines(faces: Faces, seed: int) -> dict[str, float]:
    """Accuracy of the most frequent class and of chance, beside the published figures."""
    shares = np.bincount(faces.labels, minlength=len(FERPLUS_8)) / len(faces)
    guesses = np.random.default_rng(seed).integers(len(FERPLUS_8), size=len(faces))
    return {
        "majority class": round(float(shares.max()), 4),
        "uniform random": round(float((guesses == faces.labels).mean()), 4),
        **PUBLISHED,
    }


def train(
    faces: Faces, valid: Faces, config: Config, folder: Path, say: Say
) -> list[tuple[str, ExpressionNet]]:
    """Train each phase, the second on what the first has learnt.

    Returns:
        Name and chosen network of each phase.
    """
    import torch

    from affectgraph.perceivers.training.ferplus_net import BASE, ExpressionNet, grow

    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    trained: list[tuple[str, ExpressionNet]] = []
    net = ExpressionNet(BASE, excited=False, dropout=0.2)
    for phase in config.phases:
        if trained:
            net = grow(trained[-1][1])
        run = Run(net, faces, valid, phase=phase, config=config, folder=folder, say=say)
        trained.append((phase.name, run.train()))
    return trained


def choose(logits: dict[str, NDArray[np.float64]], labels: NDArray[np.int64]) -> tuple[str, ...]:
    """Which networks to average: the set with the best accuracy on the validation split.

    Of equals the set that comes first: the latest network, the average, the first network.
    """
    names = tuple(logits)
    sets = [names[-1:], names, names[:1]]

    def right(chosen: tuple[str, ...]) -> float:
        mean = np.mean([logits[name] for name in chosen], axis=0)
        return float((mean.argmax(axis=1) == labels).mean())

    return max(sets, key=right)


def run(data: Path, out: Path, config: Config, say: Say) -> dict[str, Any]:
    """Train, calibrate, export, test; leaves ``ferplus.onnx`` and ``ferplus.json`` in ``out``.

    Args:
        data: Folder of FER+, or the folder above it.
        out: Folder for the results; made if absent.
        config: How to train.
        say: Takes lines of progress.

    Returns:
        ``name``, ``metrics`` and ``baselines``, ready to be printed as JSON.

    Raises:
        ExtraMissingError: If torch or onnxscript is not installed.
        SetupError: If the data are absent or the exported file disagrees with torch.
    """
    if find_spec("torch") is None or find_spec("onnxscript") is None:
        raise ExtraMissingError("the FER+ trainer", "train")
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    faces = load(data, "train", limit=config.limit, seed=config.seed)
    valid = load(data, "valid", limit=config.limit // 4, seed=config.seed)
    say(f"{len(faces)} training and {len(valid)} validation pictures")
    trained = train(faces, valid, config, out, say)
    valid_logits = {name: infer(net, valid.images) for name, net in trained}
    chosen = choose(valid_logits, valid.labels)
    nets = [net for name, net in trained if name in chosen]
    mean = np.mean([valid_logits[name] for name in chosen], axis=0)
    # Fitted to the majority label, not to the votes: confidence is to mean "the top label is
    # right". Against the votes it would mean "a rater would say so", which is always less.
    temperature = fit_temperature(mean, np.eye(len(FERPLUS_8))[valid.labels])
    gap = export(nets, temperature, out / ONNX)

    test = load(data, "test", limit=config.limit // 4, seed=config.seed)
    test_logits = np.mean([infer(net, test.images) for net in nets], axis=0)
    result = {
        "name": "ferplus-8 expression head",
        "metrics": {
            "test": judge(test_logits, test, temperature),
            "valid": judge(mean, valid, temperature),
            "valid_accuracy": {
                name: round(float((logits.argmax(axis=1) == valid.labels).mean()), 4)
                for name, logits in valid_logits.items()
            },
            "networks": list(chosen),
            "temperature": round(temperature, 4),
            "parameters": sum(p.numel() for net in nets for p in net.parameters()),
            "onnx_bytes": (out / ONNX).stat().st_size,
            "onnx_gap": gap,
            "train_pictures": len(faces),
            "epochs": {phase.name: phase.epochs for phase in config.phases},
            "seed": config.seed,
            "seconds": round(time.monotonic() - started),
        },
        "baselines": baselines(test, config.seed),
    }
    (out / "ferplus.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for phase in config.phases:
        for kind in ("last", "best"):
            (out / f"{phase.name}.{kind}.pt").unlink(missing_ok=True)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the trainer."""
    parser = command.options(
        "ferplus",
        "Train the expression head.",
        data="folder of FER+",
        limit="training pictures",
        out="folder for the results (default: the package's)",
    )
    parser.add_argument("--epochs", type=int, nargs=2, metavar=("BASE", "GROWN"))
    parser.add_argument("--threads", type=int, default=Config.threads)
    given = parser.parse_args(arguments)
    if given.limit and given.out is None:
        parser.error("--limit needs --out: a slice's weights are not to replace the package's")
    config = Config(seed=given.seed, limit=given.limit, threads=given.threads)
    if given.epochs:
        both = zip(config.phases, given.epochs, strict=True)
        config = replace(config, phases=tuple(replace(p, epochs=count) for p, count in both))
    command.write(given, run(given.data, given.out or WEIGHTS, config, command.sayer(given)))


if __name__ == "__main__":
    main()
