"""Train, calibrate, test and export the facial expression head on FER+.

Run::

    python -m affectgraph.perceivers.training.ferplus --data DIR

Progress goes to standard error; standard output is one JSON object with ``name``, ``metrics`` and
``baselines``. The test split is opened once, after every choice is made. Needs the extra
``train``.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ExtraMissingError, SetupError
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.training.calibration import (
    expected_calibration_error,
    fit_temperature,
    softmax,
)
from affectgraph.perceivers.training.ferplus_data import Faces, load

if TYPE_CHECKING:
    from affectgraph.perceivers.training.ferplus_net import ExpressionNet

WEIGHTS: Final = Path(__file__).parent.parent / "face" / "weights"
ONNX: Final = "ferplus.onnx"
PUBLISHED: Final = {
    "Barsoum et al. 2016, majority vote": 0.839,
    "Barsoum et al. 2016, cross-entropy": 0.847,
    "Barsoum et al. 2016, probabilistic label drawing": 0.850,
}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Config:
    """How to train.

    Attributes:
        epochs: Passes over the training split.
        seed: Of weights, order and augmentation.
        limit: Training pictures at most, and a quarter as many of valid and test; 0 for all.
        batch: Pictures a step.
        peak_rate: Highest learning rate of the one-cycle schedule.
        weight_decay: Of SGD.
        threads: Threads of torch. One is fastest on a machine that others use too.
        first_side: Side of the pictures in the first epoch; it grows to 48 by three quarters of
            the run (progressive resizing), which saves a quarter of the time.
    """

    epochs: int = 24
    seed: int = 0
    limit: int = 0
    batch: int = 128
    peak_rate: float = 0.12
    weight_decay: float = 5e-4
    threads: int = 1
    first_side: int = 32

    def side(self, epoch: int) -> int:
        """Side of the training pictures in an epoch, a multiple of 8 in [first_side, 48]."""
        grown = min(1.0, epoch / max(1.0, 0.75 * self.epochs))
        return 8 * round((self.first_side + (48 - self.first_side) * grown) / 8)

    def rate(self, progress: float) -> float:
        """Learning rate at a share of the run: linear warm-up, then cosine (one cycle)."""
        warm = 0.2
        if progress < warm:
            return self.peak_rate * (0.04 + 0.96 * progress / warm)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))


def infer(net: ExpressionNet, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mirror-averaged logits of uint8 faces, shape (n, 48, 48) to (n, 8)."""
    import torch

    from affectgraph.perceivers.training.ferplus_net import mirrored_logits

    net.eval()
    with torch.inference_mode():
        parts = [
            mirrored_logits(net, torch.from_numpy(images[at : at + 256, None]).float()).numpy()
            for at in range(0, len(images), 256)
        ]
    return np.concatenate(parts).astype(np.float64)


def train(faces: Faces, valid: Faces, config: Config, checkpoint: Path, say: Say) -> ExpressionNet:
    """Train on soft labels and keep the averaged weights that do best on ``valid``.

    Args:
        faces: Training split.
        valid: Validation split; its accuracy chooses the epoch.
        config: How to train.
        checkpoint: Where the best weights are kept while training goes on.
        say: Takes one line an epoch.
    """
    import torch
    import torch.nn.functional as F  # noqa: N812

    from affectgraph.perceivers.training.ferplus_net import Average, ExpressionNet, augment

    torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    chance = torch.Generator().manual_seed(config.seed)
    net = ExpressionNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average, best = Average(net), -1.0
    optimiser = torch.optim.SGD(
        net.parameters(), lr=0.0, momentum=0.9, nesterov=True, weight_decay=config.weight_decay
    )
    images, targets = torch.from_numpy(faces.images[:, None]), torch.from_numpy(faces.targets)
    # A short last batch would unsettle the batch statistics.
    steps = max(1, len(faces) // config.batch)
    judged = ExpressionNet()
    for epoch in range(config.epochs):
        started, total = time.monotonic(), 0.0
        net.train()
        order = torch.randperm(len(faces), generator=chance)
        for step in range(steps):
            rows = order[step * config.batch : (step + 1) * config.batch]
            batch = augment(images[rows].float(), config.side(epoch), chance)
            for group in optimiser.param_groups:
                group["lr"] = config.rate((epoch + step / steps) / config.epochs)
            loss = F.cross_entropy(net(batch), targets[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            average.update()
            total += loss.item()
        judged.load_state_dict(average.state)
        accuracy = float((infer(judged, valid.images).argmax(1) == valid.labels).mean())
        if accuracy > best:
            best = accuracy
            torch.save(average.state, checkpoint)
        say(
            f"epoch {epoch + 1}/{config.epochs} side {config.side(epoch)}"
            f" loss {total / steps:.4f} valid {accuracy:.4f} {time.monotonic() - started:.0f} s"
        )
    judged.load_state_dict(torch.load(checkpoint, weights_only=True))
    return judged.eval()


def export(net: ExpressionNet, temperature: float, path: Path) -> float:
    """Write the reader as one ONNX file and check it against torch.

    Returns:
        The largest difference of a probability between the two, on random pictures.

    Raises:
        SetupError: If the difference is above 1e-4.
    """
    import onnxruntime
    import torch

    from affectgraph.perceivers.training.ferplus_net import ExpressionReader

    reader = ExpressionReader(net, temperature).eval()
    faces = torch.rand(3, 1, 48, 48, generator=torch.Generator().manual_seed(1)) * 255
    torch.onnx.export(
        reader,
        (faces,),
        path,
        input_names=["faces"],
        output_names=["probs"],
        dynamo=True,
        dynamic_shapes={"faces": {0: torch.export.Dim("n", min=1, max=1024)}},
        external_data=False,
        verbose=False,
    )
    _strip(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    other = torch.rand(5, 1, 48, 48, generator=torch.Generator().manual_seed(2)) * 255
    with torch.inference_mode():
        expected = reader(other).numpy()
    (got,) = session.run(None, {"faces": other.numpy()})
    gap = float(np.abs(got - expected).max())
    if gap > 1e-4:
        raise SetupError(f"{path.name}: ONNX and torch differ by {gap:.1e}")
    return gap


def _strip(path: Path) -> None:
    """Drop what the exporter notes of its own run: stack traces with paths of this machine."""
    import onnx

    model = onnx.load_model(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
        value.ClearField("doc_string")
    onnx.save_model(model, path)


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
    faces, valid = load(data, "train"), load(data, "valid")
    if config.limit:
        faces = faces.sample(config.limit, config.seed)
        valid = valid.sample(max(1, config.limit // 4), config.seed)
    say(f"{len(faces)} training and {len(valid)} validation pictures")
    checkpoint = out / "ferplus.best.pt"
    net = train(faces, valid, config, checkpoint, say)
    valid_logits = infer(net, valid.images)
    # Fitted to the majority label, not to the votes: confidence is to mean "the top label is
    # right". Against the votes it would mean "a rater would say so", which is always less.
    temperature = fit_temperature(valid_logits, np.eye(len(FERPLUS_8))[valid.labels])
    gap = export(net, temperature, out / ONNX)
    checkpoint.unlink()

    test = load(data, "test")
    if config.limit:
        test = test.sample(max(1, config.limit // 4), config.seed)
    result = {
        "name": "ferplus-8 expression head",
        "metrics": {
            "test": judge(infer(net, test.images), test, temperature),
            "valid": judge(valid_logits, valid, temperature),
            "temperature": round(temperature, 4),
            "parameters": sum(p.numel() for p in net.parameters()),
            "onnx_bytes": (out / ONNX).stat().st_size,
            "onnx_gap": gap,
            "train_pictures": len(faces),
            "epochs": config.epochs,
            "seed": config.seed,
            "seconds": round(time.monotonic() - started),
        },
        "baselines": baselines(test, config.seed),
    }
    (out / "ferplus.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the trainer."""
    parser = argparse.ArgumentParser(prog="ferplus", description="Train the expression head.")
    parser.add_argument("--data", type=Path, required=True, help="folder of FER+")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="folder for the results")
    parser.add_argument("--epochs", type=int, default=Config.epochs)
    parser.add_argument("--seed", type=int, default=Config.seed)
    parser.add_argument("--limit", type=int, default=0, help="training pictures at most")
    parser.add_argument("--threads", type=int, default=Config.threads)
    parser.add_argument("--json", action="store_true", help="no progress, JSON on one line")
    given = parser.parse_args(arguments)

    def say(line: str) -> None:
        if not given.json:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()

    config = Config(epochs=given.epochs, seed=given.seed, limit=given.limit, threads=given.threads)
    result = run(given.data, given.out, config, say)
    sys.stdout.write(json.dumps(result, indent=None if given.json else 2) + "\n")


if __name__ == "__main__":
    main()
