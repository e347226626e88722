"""The strategy head while it is trained; needs torch, so only its trainer imports it.

:class:`Member` computes what :class:`~affectgraph.reasoners.heads.strategy_net.StrategyNet` does in
numpy, for many conversations at once and with dropout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name under which everyone knows it
from numpy.typing import NDArray
from torch import Tensor, nn

from affectgraph.reasoners.heads.strategy_lines import HISTORY, ROLES, STRATEGY_COUNT

_MARKS: Final = len(ROLES) + STRATEGY_COUNT


@dataclass(frozen=True)
class Talk:
    """One conversation in numbers; T lines.

    Attributes:
        lines: What is seen of each, float32, shape (T, k + 38).
        marks: Role and strategy, one-hot, float32, shape (T, 10); no strategy where none is known.
        history: The history of strategies before each line, float32, shape (T, 46).
        truth: The strategy of each line, int64, shape (T,); -1 of the seeker's.
    """

    lines: NDArray[np.float32]
    marks: NDArray[np.float32]
    history: NDArray[np.float32]
    truth: NDArray[np.int64]


@dataclass(frozen=True)
class Lesson:
    """How a member is trained.

    Attributes:
        hidden: Units of the recurrent layer.
        wide: Units of the other layers.
        epochs: Passes.
        rate: The highest learning rate; it rises over a tenth of the steps and falls to 0.
        decay: Weight decay.
        batch: Conversations a step.
        balance: Exponent of the inverse frequency that weighs a strategy in the loss; 0 for none.
        drop: Share of the inner units that is dropped.
        drop_input: Share of the inputs that is dropped.
        forget: Share of the lines whose strategy is hidden from the recurrent layer, so that a
            conversation with unknown or unusual strategies is read as well.
    """

    hidden: int = 64
    wide: int = 64
    epochs: int = 7
    rate: float = 2e-3
    decay: float = 0.01
    batch: int = 16
    balance: float = 0.7
    drop: float = 0.4
    drop_input: float = 0.2
    forget: float = 0.1


class Member(nn.Module):
    """One member of the ensemble.

    Args:
        line: Numbers that are seen of a line.
        lesson: Sizes and dropout.
    """

    def __init__(self, line: int, lesson: Lesson) -> None:
        super().__init__()
        hidden, wide = lesson.hidden, lesson.wide
        self.gru = nn.GRU(line + _MARKS, hidden, batch_first=True)
        self.text = nn.Linear(hidden + 2 * line, wide)
        self.history = nn.Linear(HISTORY, wide)
        self.mixed = nn.Linear(2 * wide, wide)
        self.plain = nn.Linear(2 * wide, STRATEGY_COUNT)
        self.bent = nn.Linear(wide, STRATEGY_COUNT)
        self.drop, self.drop_input = nn.Dropout(lesson.drop), nn.Dropout(lesson.drop_input)
        self.drop_history = nn.Dropout(lesson.drop_input / 2)

    def forward(self, lines: Tensor, marks: Tensor, history: Tensor) -> Tensor:
        """Logits of the strategy of each line, from the lines before it; shape (n, T, 8).

        Args:
            lines: Shape (n, T, line).
            marks: Shape (n, T, 10).
            history: Shape (n, T, 46).
        """
        read, _ = self.gru(self.drop_input(torch.cat([lines, marks], -1)))
        parts = [_before(read), *(_last(lines, marks[..., role]) for role in range(len(ROLES)))]
        text = self.drop(F.silu(self.text(self.drop_input(torch.cat(parts, -1)))))
        past = self.drop(F.silu(self.history(self.drop_history(history))))
        both = torch.cat([text, past], -1)
        bent: Tensor = self.bent(self.drop(F.silu(self.mixed(both))))
        plain: Tensor = self.plain(both)
        return bent + plain

    def exported(self) -> dict[str, NDArray[np.float32]]:
        """Tensors under the names of the run-time network, without the ensemble's axis."""
        found = {name: tensor.detach().numpy() for name, tensor in self.state_dict().items()}
        dense = ("text", "history", "mixed", "plain", "bent")
        return {
            "gru.input": found["gru.weight_ih_l0"].T,
            "gru.input_bias": found["gru.bias_ih_l0"],
            "gru.state": found["gru.weight_hh_l0"].T,
            "gru.state_bias": found["gru.bias_hh_l0"],
            **{f"{name}.weight": found[f"{name}.weight"].T for name in dense},
            **{f"{name}.bias": found[f"{name}.bias"] for name in dense},
        }


def fit(talks: Sequence[Talk], lesson: Lesson, seed: int) -> Member:
    """Train a member.

    Args:
        talks: What it learns from.
        lesson: How.
        seed: Of the weights, the dropout and the order.
    """
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    member = Member(talks[0].lines.shape[1], lesson)
    weights = torch.from_numpy(_weights(talks, lesson.balance))
    optimiser = torch.optim.AdamW(member.parameters(), lr=lesson.rate, weight_decay=lesson.decay)
    steps = math.ceil(len(talks) / lesson.batch) * lesson.epochs
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, lesson.rate, total_steps=steps + 1, pct_start=0.1
    )
    member.train()
    for _ in range(lesson.epochs):
        for rows in _batches([len(talk.truth) for talk in talks], lesson.batch, draw):
            lines, marks, history, truth = _padded([talks[row] for row in rows])
            hidden = torch.rand(marks.shape[:2]) < lesson.forget
            marks[..., len(ROLES) :][hidden] = 0
            logits = member(lines, marks, history)
            counted = truth >= 0
            loss = F.cross_entropy(logits[counted], truth[counted], weight=weights)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(member.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return member.eval()


def told(member: Member, talks: Sequence[Talk], batch: int = 64) -> NDArray[np.float64]:
    """Log probabilities of the labelled lines with gold history, shape (n, 8)."""
    found = []
    with torch.no_grad():
        for start in range(0, len(talks), batch):
            *given, truth = _padded(talks[start : start + batch])
            found.append(F.log_softmax(member(*given)[truth >= 0], -1).double().numpy())
    return np.concatenate(found)


def _weights(talks: Sequence[Talk], balance: float) -> NDArray[np.float32]:
    """A weight a strategy, 1 for the mean line."""
    every = np.concatenate([talk.truth[talk.truth >= 0] for talk in talks])
    counts = np.maximum(np.bincount(every, minlength=STRATEGY_COUNT), 1)
    raw = (counts.sum() / counts) ** balance
    return np.asarray(raw * counts.sum() / (raw * counts).sum(), np.float32)


def _batches(lengths: Sequence[int], size: int, draw: np.random.Generator) -> list[list[int]]:
    """Rows in batches of like length, in any order."""
    order = sorted(draw.permutation(len(lengths)).tolist(), key=lambda row: lengths[row] // 6)
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return [batches[at] for at in draw.permutation(len(batches)).tolist()]


def _padded(talks: Sequence[Talk]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    longest = max(len(talk.truth) for talk in talks)

    def stacked(rows: Sequence[NDArray[Any]], fill: float) -> Tensor:
        first = rows[0]
        whole = np.full((len(rows), longest, *first.shape[1:]), fill, first.dtype)
        for at, row in enumerate(rows):
            whole[at, : len(row)] = row
        return torch.from_numpy(whole)

    return (
        stacked([talk.lines for talk in talks], 0),
        stacked([talk.marks for talk in talks], 0),
        stacked([talk.history for talk in talks], 0),
        stacked([talk.truth for talk in talks], -1),
    )


def _before(of: Tensor) -> Tensor:
    """What stood one line earlier; 0 at the start."""
    return torch.cat([torch.zeros_like(of[:, :1]), of[:, :-1]], 1)


def _last(lines: Tensor, spoke: Tensor) -> Tensor:
    """The last line of a role before each line; 0 where there is none."""
    places = torch.arange(1, lines.shape[1] + 1)
    newest = torch.cummax(torch.where(spoke > 0, places, 0), 1).values
    index = _before(newest)[..., None].expand(-1, -1, lines.shape[2])
    return torch.gather(torch.cat([torch.zeros_like(lines[:, :1]), lines], 1), 1, index)
