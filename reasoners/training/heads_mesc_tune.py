"""Tunes MiniLM over whole dialogues for the labels of MESC's turns; needs torch, imported late.

One network decides the person's emotion and the strategy, with labels of the past given and with
its own readings only: four heads over the states of the turn that is answered, each beside the
features that the plain head of the same label sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from affectgraph.reasoners.heads.features import Floats
from affectgraph.reasoners.heads.lines import Stretch, turns
from affectgraph.reasoners.training.heads_mesc_data import Talk
from affectgraph.reasoners.training.heads_mesc_fit import Table
from affectgraph.reasoners.training.heads_mesc_net import (
    Bottom,
    Top,
    Window,
    Windows,
    constants,
    padded,
)

Progress = Callable[[int, int], None]
_AHEAD: Final = 8
_CLIP: Final = 4.0


@dataclass(frozen=True)
class Tuning:
    """How the network is tuned.

    Attributes:
        epochs: Passes over the dialogues.
        bottom: Layers that stay as they are.
        rate: Peak learning rate of the layers, in one cycle.
        head_rate: That of the heads.
        batch: Windows of a step.
        lines: Weight of the loss of single lines' emotions.
    """

    epochs: int = 4
    bottom: int = 3
    rate: float = 1.5e-4
    head_rate: float = 1.5e-3
    batch: int = 8
    lines: float = 0.5


@dataclass(frozen=True)
class Lessons:
    """Dialogues with what each of the four heads sees and should say of every turn.

    Attributes:
        talks: The dialogues.
        emotion: Tables of the person's turns: free-running, then with labels given.
        strategy: Those of the supporter's turns.
    """

    talks: Sequence[Talk]
    emotion: tuple[Table, Table]
    strategy: tuple[Table, Table]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All four, in the order of the heads."""
        return (*self.emotion, *self.strategy)


@dataclass(frozen=True)
class _Unit:
    strategy: bool
    row: int
    now: NDArray[np.int64]
    last: NDArray[np.int64]
    before: NDArray[np.int64]


@dataclass(frozen=True)
class _Lesson:
    window: Window
    states: Tensor
    units: tuple[_Unit, ...]
    lines: tuple[tuple[NDArray[np.int64], int, float], ...]


class Tuner:
    """Tunes and runs the network.

    Args:
        tuning: How.
        progress: Told how many windows of how many are done.
    """

    def __init__(self, tuning: Tuning, progress: Progress | None = None) -> None:
        self._tuning, self._progress = tuning, progress
        self._held = constants()
        self._bottom = Bottom(self._held, tuning.bottom).eval()
        self._windows = Windows()

    def tell(self, train: Lessons, tests: Sequence[Lessons], seed: int) -> list[list[Floats]]:
        """Tune on dialogues, then tell the probabilities of each head for others.

        Args:
            train: To learn from.
            tests: To tell of.
            seed: Of the heads' first weights and the order of the windows.

        Returns:
            For each test the four heads' probabilities, in the order of its tables.
        """
        means = [(table.rows.mean(axis=0), table.rows.std(axis=0) + 0.05) for table in train.tables]
        known = list(self._lessons(train))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = self._tuned(known, train, means, seed)
        return [self._told(net, test, means) for test in tests]

    def _tuned(
        self,
        known: Sequence[_Lesson],
        train: Lessons,
        means: Sequence[tuple[Floats, Floats]],
        seed: int,
    ) -> Top:
        tuning = self._tuning
        sides = [(table.rows.shape[1], table.shares.shape[1]) for table in train.tables]
        net = Top(self._held, tuning.bottom, sides)
        layers = list(net.layers.parameters())
        others = [p for name, p in net.named_parameters() if not name.startswith("layers")]
        optimiser = torch.optim.AdamW(
            [
                {"params": layers, "weight_decay": 0.01},
                {"params": others, "weight_decay": 0.05},
            ]
        )
        steps = tuning.epochs * -(-len(known) // tuning.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, [tuning.rate, tuning.head_rate], total_steps=steps + 1, pct_start=0.1
        )
        net.train()
        draw = np.random.default_rng(seed)
        for step, batch in enumerate(self._batches(known, draw)):
            optimiser.zero_grad()
            loss = self._loss(net, batch, train, means)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            if self._progress:
                self._progress(step + 1, steps)
        return net.eval()

    def _batches(
        self, known: Sequence[_Lesson], draw: np.random.Generator
    ) -> Iterator[list[_Lesson]]:
        """Windows of like length together, so that little of the work is padding."""
        size = self._tuning.batch
        for _ in range(self._tuning.epochs):
            lengths = [len(each.window.ids) + 40 * draw.normal() for each in known]
            order = np.argsort(lengths)
            starts = draw.permutation(range(0, len(known), size))
            yield from ([known[at] for at in order[start : start + size]] for start in starts)

    def _loss(
        self,
        net: Top,
        batch: Sequence[_Lesson],
        of: Lessons,
        means: Sequence[tuple[Floats, Floats]],
    ) -> Tensor:
        states = self._states(net, batch)
        loss, count = states.new_zeros(()), 0
        for head, rows, logits in self._logits(net, states, batch, of, means):
            table = of.tables[head]
            hard = np.eye(table.shares.shape[1])[table.truth[rows]]
            wanted = torch.tensor((table.shares[rows] + hard) / 2, dtype=torch.float32)
            loss = loss - (wanted * logits.log_softmax(1)).sum()
            count += len(rows)
        loss = 2 * loss / max(count, 1)
        spoken = [
            (_pooled(states[at], where), label, weight)
            for at, lesson in enumerate(batch)
            for where, label, weight in lesson.lines
        ]
        if spoken:
            rows_, labels, weights = zip(*spoken, strict=True)
            share = torch.tensor(weights) / sum(weights)
            each = functional.cross_entropy(
                net.line(torch.stack(rows_)), torch.tensor(labels), reduction="none"
            )
            loss = loss + self._tuning.lines * (each * share).sum()
        return loss

    @torch.no_grad()
    def _told(self, net: Top, of: Lessons, means: Sequence[tuple[Floats, Floats]]) -> list[Floats]:
        found = [np.full(table.shares.shape, 1 / table.shares.shape[1]) for table in of.tables]
        known = sorted(self._lessons(of), key=lambda each: len(each.window.ids))
        for start in range(0, len(known), _AHEAD):
            batch = known[start : start + _AHEAD]
            states = self._states(net, batch)
            for head, rows, logits in self._logits(net, states, batch, of, means):
                found[head][rows] = logits.softmax(1).double().numpy()
        return found

    def _states(self, net: Top, batch: Sequence[_Lesson]) -> Tensor:
        ids, seen, person = padded([each.window for each in batch])
        rows = torch.zeros(*ids.shape, batch[0].states.shape[1])
        for at, lesson in enumerate(batch):
            rows[at, : len(lesson.states)] = lesson.states.float()
        return net.states(rows, seen, person)

    def _logits(
        self,
        net: Top,
        states: Tensor,
        batch: Sequence[_Lesson],
        of: Lessons,
        means: Sequence[tuple[Floats, Floats]],
    ) -> Iterator[tuple[int, list[int], Tensor]]:
        """Each head's logits, with the rows of its table that they are of."""
        for strategy in (False, True):
            chosen = [
                (at, unit)
                for at, lesson in enumerate(batch)
                for unit in lesson.units
                if unit.strategy == strategy
            ]
            if not chosen:
                continue
            rows = [unit.row for _, unit in chosen]
            pooled = torch.stack(
                [
                    torch.cat([_pooled(states[at], w) for w in (unit.now, unit.last, unit.before)])
                    for at, unit in chosen
                ]
            )
            for head in (2, 3) if strategy else (0, 1):
                mean, scale = means[head]
                side = np.clip((of.tables[head].rows[rows] - mean) / scale, -_CLIP, _CLIP)
                yield head, rows, net.decide(head, pooled, torch.tensor(side, dtype=torch.float32))

    def _lessons(self, of: Lessons) -> Iterator[_Lesson]:
        """Windows with the bottom's states, computed once."""
        done = [0, 0]
        waiting: list[tuple[Window, list[_Unit], list[tuple[NDArray[np.int64], int, float]]]] = []
        for talk in of.talks:
            numbered: dict[int, tuple[bool, int]] = {}
            for run in turns(talk.lines):
                strategy = not talk.lines[run.begin].person
                numbered[run.begin] = (strategy, done[strategy])
                done[strategy] += 1
            waiting += (
                (window, list(_units(window, talk, numbered)), list(_lines(window, talk)))
                for window in self._windows.of(talk.lines)
            )
        waiting.sort(key=lambda each: len(each[0].ids))
        for start in range(0, len(waiting), _AHEAD):
            part = waiting[start : start + _AHEAD]
            ids, seen, _ = padded([each[0] for each in part])
            states = self._bottom(ids, seen).half()
            for at, (window, units, lines) in enumerate(part):
                own = states[at, : len(window.ids)].clone()
                yield _Lesson(window, own, tuple(units), tuple(lines))


def _units(window: Window, talk: Talk, numbered: dict[int, tuple[bool, int]]) -> Iterator[_Unit]:
    runs = turns(talk.lines)
    for at, run in enumerate(runs):
        if not window.fresh <= run.begin < window.end:
            continue
        strategy, row = numbered[run.begin]
        # A strategy is decided before the reply: on what the person has just said.
        own = at - strategy
        now = _tokens(window, runs[own]) if own >= 0 else np.zeros(0, np.int64)
        last = now[window.line[now] == window.line[now[-1]]] if len(now) else now
        before = _tokens(window, runs[own - 1]) if own >= 1 else np.zeros(0, np.int64)
        yield _Unit(strategy, row, now, last, before)


def _lines(window: Window, talk: Talk) -> Iterator[tuple[NDArray[np.int64], int, float]]:
    """The person's new lines: their tokens, their emotion, and how much they count."""
    for run in turns(talk.lines):
        if talk.lines[run.begin].person and window.fresh <= run.begin < window.end:
            for at in range(run.begin, run.end):
                where = np.flatnonzero(window.line == at)
                if len(where):
                    yield where, talk.lines[at].emotion, (run.end - run.begin) ** -0.5


def _tokens(window: Window, run: Stretch) -> NDArray[np.int64]:
    return np.flatnonzero((window.line >= run.begin) & (window.line < run.end))


def _pooled(states: Tensor, where: NDArray[np.int64]) -> Tensor:
    """The mean of some tokens' states; zeros of none."""
    if not len(where):
        return states.new_zeros(states.shape[1])
    return states[torch.from_numpy(where)].mean(0)
