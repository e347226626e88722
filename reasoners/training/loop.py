"""The training loop: AdamW, gradient accumulation, validation, early stopping, resumption.

Imports torch; import this module lazily.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from affectgraph.reasoners.training.network import Network, row_weight
from affectgraph.reasoners.training.packing import Row, pack
from affectgraph.reasoners.training.schedule import Cosine
from affectgraph.reasoners.training.sequences import TokenSequence, Weights
from affectgraph.reasoners.training.state import FILE, Place, fingerprint, restore, save

CURVES: Final = "curves.jsonl"
BEST: Final = "best.safetensors"


@dataclass(frozen=True)
class LoopConfig:
    """How a run learns.

    Attributes:
        epochs: Passes over the dialogues.
        length: Tokens of a row at most.
        rows: Rows of a step; their gradients are summed, each token weighing the same.
        rate: Highest learning rate.
        warmup: Share of the steps that the rate rises in.
        decay: Weight decay of AdamW.
        clip: Norm that gradients are cut to.
        weights: What labels and response weigh.
        every: Steps between two validations, which are also when the state is kept.
        patience: Validations in a row without a gain after which it stops; 0 for never.
        seed: Of the order.
    """

    epochs: float = 2.0
    length: int = 1024
    rows: int = 2
    rate: float = 5e-4
    warmup: float = 0.05
    decay: float = 0.0
    clip: float = 1.0
    weights: Weights = field(default_factory=Weights)
    every: int = 25
    patience: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Losses:
    """Mean losses, in nats a token; the perplexity is the exponential.

    Attributes:
        weighted: Of all that counts, by its weight.
        label: Of label tokens.
        response: Of response tokens.
    """

    weighted: float
    label: float
    response: float


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        place: Where it stopped.
        steps: Steps that were planned.
        stopped_early: Whether validation stopped it.
        interrupted: Whether ``until`` stopped it; it can be taken up again.
    """

    place: Place
    steps: int
    stopped_early: bool
    interrupted: bool


class Loop:
    """Trains a network on dialogues, and keeps the weights that validate best.

    A run that is killed is taken up from its last kept state and gives, on the same machine, the
    weights of an unbroken one: the order of rows follows from seed and epoch alone, and the state
    holds the optimiser and the random numbers.

    Args:
        network: What learns.
        train: Dialogues.
        valid: Dialogues to validate on.
        out: Folder for ``state.pt``, ``best.safetensors`` and ``curves.jsonl``.
        config: How.
        say: Told a line at each validation.
        start: What the network began with, told in any words; a run is not taken up with another.
    """

    def __init__(
        self,
        network: Network,
        train: Sequence[TokenSequence],
        valid: Sequence[TokenSequence],
        out: Path,
        config: LoopConfig,
        say: Callable[[str], None] = lambda _: None,
        start: str = "",
    ) -> None:
        self._network, self._train, self._out = network, train, out
        self._config, self._say = config, say
        self._valid = pack(valid, config.length)
        # An order may take a row more or less than another.
        fewest = min(len(self._rows(epoch)) for epoch in range(max(1, ceil(config.epochs))))
        self._per_epoch = max(1, fewest // config.rows)
        self.steps = max(1, round(self._per_epoch * config.epochs))
        self._cosine = Cosine(config.rate, self.steps, config.warmup)
        self._optimiser = torch.optim.AdamW(
            list(network.learning.values()), lr=config.rate, weight_decay=config.decay
        )
        self._of = fingerprint(
            start,
            config,
            sorted((name, tuple(p.shape)) for name, p in network.learning.items()),
            [(s.name, hash((s.ids, s.kinds))) for s in (*train, *valid)],
        )

    def run(self, until: Callable[[int], bool] = lambda _: False) -> Outcome:
        """Train to the end, or until told to stop after a step.

        Args:
            until: Asked after each step, with the number of steps done, whether to keep the state
                and stop.

        Raises:
            SetupError: If the folder holds a state of other settings or data.
        """
        self._out.mkdir(parents=True, exist_ok=True)
        config = self._config
        place = restore(self._out, self._network.learning, self._optimiser, self._of)
        if place is None:
            place = Place()
            for stale in (CURVES, BEST):
                (self._out / stale).unlink(missing_ok=True)
        else:
            _forget_after(self._out / CURVES, place.step)
        rows, epoch = list[Row](), -1
        while place.step < self.steps and not (
            config.patience and place.without >= config.patience
        ):
            if place.step // self._per_epoch != epoch:
                epoch = place.step // self._per_epoch
                rows = self._rows(epoch)
            at = place.step % self._per_epoch
            first, last = (len(rows) * i // self._per_epoch for i in (at, at + 1))
            self._step(place, rows[first:last])
            if place.step % config.every == 0 or place.step == self.steps:
                self._validate(place)
                self._keep(place)
            if place.step < self.steps and until(place.step):
                self._keep(place)
                return Outcome(place, self.steps, stopped_early=False, interrupted=True)
        early = place.step < self.steps
        return Outcome(place, self.steps, stopped_early=early, interrupted=False)

    @property
    def begun(self) -> bool:
        """Whether the folder holds a state to take up."""
        return (self._out / FILE).is_file()

    @property
    def validated(self) -> bool:
        """Whether there are best weights."""
        return (self._out / BEST).is_file()

    def valid_losses(self) -> Losses:
        """Mean losses of the validation dialogues."""
        return self.losses(self._valid)

    def losses(self, rows: Sequence[Row]) -> Losses:
        """Mean losses of rows under the network as it is."""
        sums = [0.0, 0.0, 0.0]
        counts = [0.0, 0, 0]
        with self._network.judging():
            for row in rows:
                found = self._network.loss(row, self._config.weights)
                sums[0] += found.weighted.item()
                counts[0] += row_weight(row, self._config.weights)
                for at, (total, count) in enumerate((found.label, found.response), 1):
                    sums[at] += total
                    counts[at] += count
        return Losses(*(total / max(count, 1) for total, count in zip(sums, counts, strict=True)))

    def load_best(self) -> None:
        """Put the weights in place that validated best."""
        best = load_file(self._out / BEST)
        with torch.no_grad():
            for name, p in self._network.learning.items():
                p.copy_(best[name])

    def _rows(self, epoch: int) -> list[Row]:
        return pack(self._train, self._config.length, seed=self._config.seed * 1000 + epoch)

    def _step(self, place: Place, rows: Sequence[Row]) -> None:
        begun = time.perf_counter()
        rate = self._cosine.at(place.step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        weights = self._config.weights
        total = sum(row_weight(row, weights) for row in rows)
        loss = 0.0
        for row in rows:
            weighted = self._network.loss(row, weights).weighted / max(total, 1e-9)
            weighted.backward()  # type: ignore[no-untyped-call]
            loss += weighted.item()
        parameters = list(self._network.learning.values())
        norm = torch.nn.utils.clip_grad_norm_(parameters, self._config.clip)
        self._optimiser.step()
        self._optimiser.zero_grad()
        place.step += 1
        place.seen += sum(len(row) for row in rows)
        place.seconds += time.perf_counter() - begun
        told = {"step": place.step, "train": loss, "rate": rate, "norm": norm.item()}
        self._tell({**told, "seen": place.seen, "seconds": round(place.seconds, 1)})

    def _validate(self, place: Place) -> None:
        found = self.valid_losses()
        better = found.weighted < place.best
        if better:
            place.best, place.best_step, place.without = found.weighted, place.step, 0
            learning = self._network.learning
            kept = {name: p.detach().cpu().contiguous() for name, p in learning.items()}
            save_file(kept, self._out / f"{BEST}.partial")
            (self._out / f"{BEST}.partial").replace(self._out / BEST)
        else:
            place.without += 1
        self._tell({"step": place.step, "valid": found.weighted, "label": found.label,
                    "response": found.response})  # fmt: skip
        speed = place.seen / max(place.seconds, 1e-9)
        self._say(
            f"step {place.step}/{self.steps}: valid {found.weighted:.4f} (labels {found.label:.4f},"
            f" response {found.response:.4f}), {speed:.0f} tokens/s"
        )

    def _keep(self, place: Place) -> None:
        save(self._out, place, self._network.learning, self._optimiser, self._of)

    def _tell(self, row: Mapping[str, Any]) -> None:
        with (self._out / CURVES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _forget_after(file: Path, step: int) -> None:
    """Leave out of the curves what a resumed run will tell again."""
    if not file.is_file():
        return
    lines = [line for line in file.read_text("utf-8").splitlines() if line.strip()]
    kept = [line for line in lines if json.loads(line)["step"] <= step]
    file.write_text("".join(f"{line}\n" for line in kept), "utf-8")
