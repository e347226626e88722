"""The training loop of the facial expression head: schedule, checkpoints, choice of the epoch."""

from __future__ import annotations

import copy
import hashlib
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora.ferplus import Faces
from affectgraph.perceivers.labels import FERPLUS_8
from affectgraph.perceivers.training.command import Say

if TYPE_CHECKING:
    from affectgraph.perceivers.training.ferplus_net import ExpressionNet


@dataclass(frozen=True)
class Phase:
    """One of the two parts of the training.

    Attributes:
        name: ``base`` or ``grown``.
        epochs: Passes over the training split.
        peak_rate: Highest learning rate.
        warm: Share of the epochs in which the rate rises to its peak; then it falls as a cosine.
        first_side: Side of the pictures in the first epoch; it grows to 48 by three quarters of
            the phase (progressive resizing), which saves time.
        softened: Share of the pictures of a step that lose their detail.
        rare: How often the pictures of a label come in an epoch, where it is more than once.
            Contempt, disgust and fear are 0.6, 0.7 and 2.3 % of FER+ and would hardly be learnt.
    """

    name: Literal["base", "grown"]
    epochs: int
    peak_rate: float
    warm: float
    first_side: int
    softened: float = 0.0
    rare: tuple[tuple[str, int], ...] = ()

    def side(self, epoch: int) -> int:
        """Side of the training pictures in an epoch, a multiple of 8 in [first_side, 48]."""
        grown = min(1.0, epoch / max(1.0, 0.75 * self.epochs))
        return 8 * round((self.first_side + (48 - self.first_side) * grown) / 8)

    def rate(self, progress: float) -> float:
        """Learning rate at a share of the phase: linear warm-up, then cosine (one cycle)."""
        if progress < self.warm:
            return self.peak_rate * (0.04 + 0.96 * progress / self.warm)
        fallen = (progress - self.warm) / (1 - self.warm)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * fallen))


BASE_PHASE: Final = Phase("base", epochs=24, peak_rate=0.12, warm=0.2, first_side=32)
GROWN_PHASE: Final = Phase(
    "grown",
    epochs=12,
    peak_rate=0.06,
    warm=0.05,
    first_side=40,
    softened=0.12,
    rare=(("disgust", 3), ("fear", 2), ("contempt", 3)),
)


@dataclass(frozen=True)
class Config:
    """How to train.

    Attributes:
        phases: What follows what.
        seed: Of weights, order and augmentation.
        limit: Training pictures at most, and a quarter as many of valid and test; 0 for all.
        batch: Pictures a step.
        weight_decay: Of SGD.
        threads: Threads of torch. One is fastest on a machine that others use too.
    """

    phases: tuple[Phase, ...] = (BASE_PHASE, GROWN_PHASE)
    seed: int = 0
    limit: int = 0
    batch: int = 128
    weight_decay: float = 5e-4
    threads: int = 1


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


def rows_of(faces: Faces, phase: Phase) -> NDArray[np.int64]:
    """Rows of an epoch: each picture once, those of rare classes several times."""
    times = np.ones(len(FERPLUS_8), dtype=np.int64)
    for label, count in phase.rare:
        times[FERPLUS_8.labels.index(label)] = count
    return np.repeat(np.arange(len(faces)), times[faces.labels])


def _about(phase: Phase, config: Config, faces: Faces, valid: Faces) -> str:
    """Names what a training depends on. Threads may differ: a stopped one may go on with more."""
    digest = hashlib.sha256(repr((phase.name, replace(config, threads=1))).encode())
    for split in (faces, valid):
        for array in (split.images, split.targets):
            digest.update(f"{array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Run:
    """One phase of training, which can be stopped after any epoch and taken up again.

    Args:
        net: What to train.
        faces: Training split.
        valid: Validation split; its accuracy chooses the epoch.
        phase: Which phase.
        config: How to train.
        folder: Where ``NAME.last.pt`` (the whole state) and ``NAME.best.pt`` (the chosen weights)
            lie. A state of the same phases, settings and pictures is taken up; any other is
            written over.
        say: Takes one line an epoch.
    """

    def __init__(
        self,
        net: ExpressionNet,
        faces: Faces,
        valid: Faces,
        *,
        phase: Phase,
        config: Config,
        folder: Path,
        say: Say,
    ) -> None:
        import torch

        from affectgraph.perceivers.training.ferplus_net import Average

        self._faces, self._valid, self._phase, self._say = faces, valid, phase, say
        self._batch = config.batch
        self.last, self.best = folder / f"{phase.name}.last.pt", folder / f"{phase.name}.best.pt"
        self._chance = torch.Generator().manual_seed(config.seed)
        self._net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = Average(self._net)
        self._optimiser = torch.optim.SGD(
            self._net.parameters(), lr=0.0, momentum=0.9, nesterov=True,
            weight_decay=config.weight_decay,
        )  # fmt: skip
        self._images = torch.from_numpy(faces.images[:, None])
        self._targets = torch.from_numpy(faces.targets)
        self._rows = torch.from_numpy(rows_of(faces, phase))
        self._of = _about(phase, config, faces, valid)
        self._epoch, self._accuracy = 0, -1.0

    def train(self) -> ExpressionNet:
        """Train to the end, and give the averaged weights that did best on ``valid``."""
        import torch

        self._take_up()
        judged: ExpressionNet = copy.deepcopy(self._net)
        while self._epoch < self._phase.epochs:
            started, loss = time.monotonic(), self._pass()
            accuracy = self._judge(judged)
            self._say(
                f"{self._phase.name} {self._epoch + 1}/{self._phase.epochs}"
                f" side {self._phase.side(self._epoch)} loss {loss:.4f} valid {accuracy:.4f}"
                f" {time.monotonic() - started:.0f} s"
            )
            self._epoch += 1
            self._put_down()
        judged.load_state_dict(torch.load(self.best, weights_only=True))
        judged.eval()
        return judged

    def _judge(self, judged: ExpressionNet) -> float:
        """Accuracy of the averaged weights on ``valid``; they are kept if it is the best yet."""
        import torch

        judged.load_state_dict(self._average.state)
        right = infer(judged, self._valid.images).argmax(axis=1) == self._valid.labels
        accuracy = float(right.mean())
        if accuracy > self._accuracy:
            self._accuracy = accuracy
            torch.save(self._average.state, self.best)
        return accuracy

    def _pass(self) -> float:
        """One epoch; its mean loss."""
        import torch
        import torch.nn.functional as F  # noqa: N812

        from affectgraph.perceivers.training.ferplus_net import augment

        phase, side, total = self._phase, self._phase.side(self._epoch), 0.0
        self._net.train()
        order = self._rows[torch.randperm(len(self._rows), generator=self._chance)]
        # A short last batch would unsettle the batch statistics.
        steps = max(1, len(order) // self._batch)
        for step in range(steps):
            rows = order[step * self._batch : (step + 1) * self._batch]
            batch = augment(self._images[rows].float(), side, self._chance, phase.softened)
            for group in self._optimiser.param_groups:
                group["lr"] = phase.rate((self._epoch + step / steps) / phase.epochs)
            loss = F.cross_entropy(self._net(batch), self._targets[rows])
            self._optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimiser.step()
            self._average.update()
            total += loss.item()
        return total / steps

    def _put_down(self) -> None:
        """Write the whole state; a stop in the midst of it leaves the state before."""
        import torch

        state: dict[str, Any] = {
            "of": self._of,
            "epoch": self._epoch,
            "accuracy": self._accuracy,
            "net": self._net.state_dict(),
            "average": self._average.state,
            "average_steps": self._average.steps,
            "optimiser": self._optimiser.state_dict(),
            "chance": self._chance.get_state(),
            "dropout": torch.get_rng_state(),
        }
        fresh = self.last.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.last)

    def _take_up(self) -> None:
        import torch

        if not self.last.is_file():
            return
        state: dict[str, Any] = torch.load(self.last, weights_only=True)
        if state.get("of") != self._of:
            self._say(f"{self.last.name} is of another run: {self._phase.name} begins anew")
            return
        self._net.load_state_dict(state["net"])
        self._average.state = state["average"]
        self._average.steps = state["average_steps"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._chance.set_state(state["chance"])
        torch.set_rng_state(state["dropout"])
        self._epoch, self._accuracy = state["epoch"], state["accuracy"]
        self._say(f"taken up after epoch {self._epoch}, best valid {self._accuracy:.4f}")
