"""Train the head that tells a whole face from a covered, cut or spoilt one.

Run::

    python -m affectgraph.perceivers.training.ferplus_readable --data DIR

Every picture of a step comes twice: once changed as little as cameras and detectors do, once
spoilt. Progress goes to standard error, one JSON object to standard output. Needs the extra
``train``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.ferplus import Faces, load
from affectgraph.perceivers.face.crop import SIDE
from affectgraph.perceivers.face.quality import LIMITS, READABLE, ReadableHead
from affectgraph.perceivers.training import command
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.ferplus_spoil import KINDS, spoil

if TYPE_CHECKING:
    import torch

WIDTHS: Final = (16, 32, 48, 64)


@dataclass(frozen=True)
class Config:
    """How to train.

    Attributes:
        epochs: Passes over the training split, each picture twice.
        seed: Of weights, order and damage.
        limit: Training pictures at most, and a quarter as many of valid; 0 for all.
        batch: Pictures a step, before they are doubled.
        rate: Highest learning rate of AdamW.
    """

    epochs: int = 1
    seed: int = 0
    limit: int = 0
    batch: int = 64
    rate: float = 3e-3


def network() -> torch.nn.Module:
    """Grey faces in [0, 255], shape (n, 1, 48, 48), to logits of a whole face, shape (n, 1)."""
    from torch import Tensor, nn

    from affectgraph.perceivers.training.ferplus_net import standardise

    class Readable(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            inputs = 1
            for index, width in enumerate(WIDTHS):
                size, stride = (5, 2) if index == 0 else (3, 2 if index < 3 else 1)
                layers += [
                    nn.Conv2d(inputs, width, size, stride, size // 2, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                inputs = width
            self.features = nn.Sequential(*layers)
            # Where on the face something is wrong matters, so the map is not pooled.
            self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(inputs * 36, 1))

        def forward(self, faces: Tensor) -> Tensor:
            logits: Tensor = self.head(self.features(standardise(faces)))
            return logits

    return Readable()


def train(faces: Faces, config: Config, say: Say) -> torch.nn.Module:
    """Train on whole and spoilt pictures by turns."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    from affectgraph.perceivers.training.ferplus_net import augment

    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    chance, dice = torch.Generator().manual_seed(config.seed), np.random.default_rng(config.seed)
    net = network().train()
    steps = max(1, len(faces) // config.batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=config.rate, total_steps=steps * config.epochs
    )
    for epoch in range(config.epochs):
        started, total = time.monotonic(), 0.0
        order = dice.permutation(len(faces))
        for step in range(steps):
            rows = order[step * config.batch : (step + 1) * config.batch]
            pictures = torch.from_numpy(faces.images[rows, None]).float()
            whole = augment(pictures, SIDE, chance, softened=0.3, blanked=False)
            bad = augment(pictures, SIDE, chance, softened=0.3, blanked=False)
            spoilt = torch.from_numpy(spoil(bad[:, 0].numpy().round().astype(np.uint8), dice))
            both = torch.cat((whole, spoilt[:, None].float()))
            wanted = torch.cat((torch.ones(len(rows), 1), torch.zeros(len(rows), 1)))
            loss = F.binary_cross_entropy_with_logits(net(both), wanted)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += loss.item()
        say(
            f"epoch {epoch + 1}/{config.epochs} loss {total / steps:.4f}"
            f" {time.monotonic() - started:.0f} s"
        )
    return net.eval()


def export(net: torch.nn.Module, path: Path) -> None:
    """Write the head with its sigmoid as one ONNX file."""
    import torch

    from affectgraph.perceivers.training.ferplus_export import strip

    torch.onnx.export(
        torch.nn.Sequential(net, torch.nn.Sigmoid()).eval(),
        (torch.rand(3, 1, SIDE, SIDE) * 255,),
        path,
        input_names=["faces"],
        output_names=["whole"],
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("n", min=1, max=1024)},),
        external_data=False,
        verbose=False,
    )
    strip(path)


def judge(head: ReadableHead, faces: Faces, seed: int) -> dict[str, Any]:
    """Share of whole pictures that are refused, and of spoilt ones by the kind of damage."""
    least = LIMITS.readable

    def refused(pictures: NDArray[np.uint8]) -> float:
        return round(float((head.probabilities(pictures) < least).mean()), 4)

    dice = np.random.default_rng(seed)
    return {
        "n": len(faces),
        "limit": least,
        "whole": refused(faces.images),
        "spoilt": {kind: refused(spoil(faces.images, dice, kind)) for kind in KINDS},
    }


def run(data: Path, out: Path, config: Config, say: Say) -> dict[str, Any]:
    """Train, export, judge on the validation split; leaves ``readable.onnx`` in ``out``.

    Raises:
        SetupError: If the data are absent.
    """
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    faces = load(data, "train", limit=config.limit, seed=config.seed)
    valid = load(data, "valid", limit=config.limit // 4, seed=config.seed)
    net = train(faces, config, say)
    path = out / READABLE.name
    export(net, path)
    result = {
        "name": "whole-face head",
        "metrics": {
            "valid": judge(ReadableHead(path), valid, config.seed + 1),
            "parameters": sum(p.numel() for p in net.parameters()),
            "onnx_bytes": path.stat().st_size,
            "train_pictures": len(faces),
            "epochs": config.epochs,
            "seed": config.seed,
            "seconds": round(time.monotonic() - started),
        },
        "baselines": {"refuse nothing": {"whole": 0.0, "spoilt": 0.0}},
    }
    (out / "readable.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line of the trainer."""
    parser = command.options(
        "ferplus_readable",
        "Train the head that tells whole faces.",
        data="folder of FER+",
        limit="training pictures",
        out="folder for the results (default: the package's)",
    )
    parser.add_argument("--epochs", type=int, default=Config.epochs)
    given = parser.parse_args(arguments)
    if given.limit and given.out is None:
        parser.error("--limit needs --out: a slice's weights are not to replace the package's")
    config = Config(epochs=given.epochs, seed=given.seed, limit=given.limit)
    out = given.out or READABLE.parent
    command.write(given, run(given.data, out, config, command.sayer(given)))


if __name__ == "__main__":
    main()
