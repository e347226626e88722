"""The network of the strategy head, in numpy: it reads a conversation line by line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.errors import ModelCorruptError
from affectgraph.reasoners.heads.strategy_lines import (
    DENSE,
    ENCODED,
    HISTORY,
    ROLES,
    STRATEGY_COUNT,
    Floats,
    LineVector,
    Role,
    StrategyHistory,
)


class StrategyNet:
    """Members of an ensemble, run side by side.

    Each member reads the lines with a gated recurrent unit (Cho et al., 2014), and decides from
    its state, the last line of either side and the history of strategies. The members' log
    probabilities are averaged, shifted by one number a strategy and divided by a temperature.

    Args:
        tensors: By name, the first axis of a member's being the ensemble's; any float type.
        source: Where they come from, for the message.

    Raises:
        ModelCorruptError: If a tensor is missing or has another shape.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], source: str) -> None:
        try:
            self._w = {name: np.asarray(tensors[name], np.float32) for name in _shapes(tensors)}
        except KeyError as error:
            raise ModelCorruptError(f"{source}: tensor {error} is missing") from None
        for name, shape in _shapes(tensors).items():
            if self._w[name].shape != shape:
                raise ModelCorruptError(
                    f"{source}: tensor {name!r} has shape {self._w[name].shape}, want {shape}"
                )
        self.members, self.hidden, _ = self._w["gru.state"].shape
        self.seen_width = self._w["basis"].shape[1] + DENSE

    @classmethod
    def load(cls, file: Path) -> StrategyNet:
        """Read a safetensors file.

        Raises:
            ModelCorruptError: If it is not the weights of such a network.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            tensors = load_file(file)
        except (OSError, SafetensorError) as error:
            raise ModelCorruptError(f"{file.name}: cannot be read ({error})") from None
        return cls(tensors, file.name)

    def start(self) -> StrategyReader:
        """A reader at the start of a conversation."""
        return StrategyReader(self)

    def seen(self, line: LineVector) -> Floats:
        """A line as the members see it, shape (k + 38,)."""
        projected = (line.encoded - self._w["mean"]) @ self._w["basis"]
        return np.concatenate([projected, line.dense])

    def step(self, state: Floats, line: Floats) -> Floats:
        """The next state, shape (members, hidden), after a line with its role and strategy."""
        width = self.hidden
        given = line @ self._w["gru.input"] + self._w["gru.input_bias"]
        kept = _each(state, self._w["gru.state"]) + self._w["gru.state_bias"]
        reset = _sigmoid(given[:, :width] + kept[:, :width])
        update = _sigmoid(given[:, width : 2 * width] + kept[:, width : 2 * width])
        fresh = np.tanh(given[:, 2 * width :] + reset * kept[:, 2 * width :])
        return np.asarray((1 - update) * fresh + update * state, np.float32)

    def decide(self, state: Floats, lines: Floats, history: Floats) -> Floats:
        """Each member's log probabilities, shape (members, 8).

        Args:
            state: Shape (members, hidden).
            lines: The last line of the seeker and that of the supporter, shape (2, k + 38); 0
                where there is none.
            history: Shape (46,).
        """
        told = np.broadcast_to(lines.ravel(), (self.members, lines.size))
        text = _silu(self._dense("text", np.concatenate([state, told], axis=1)))
        past = _silu(self._dense("history", np.broadcast_to(history, (self.members, history.size))))
        both = np.concatenate([text, past], axis=1)
        logits = self._dense("plain", both) + self._dense("bent", _silu(self._dense("mixed", both)))
        return _log_softmax(logits)

    def balanced(self, told: Floats) -> Floats:
        """Log probabilities of the ensemble from those of members.

        Args:
            told: Shape (members, 8), or (8,) of one member.
        """
        mean = told.mean(axis=0) if told.ndim == 2 else told
        return _log_softmax((mean + self._w["shift"]) / self._w["temperature"])

    def _dense(self, name: str, of: Floats) -> Floats:
        weight, bias = self._w[f"{name}.weight"], self._w[f"{name}.bias"]
        return np.asarray(_each(of, weight) + bias, np.float32)


class StrategyReader:
    """Reads one conversation with a :class:`StrategyNet`: lines are told, decisions asked."""

    def __init__(self, net: StrategyNet) -> None:
        self._net = net
        self._state = np.zeros((net.members, net.hidden), np.float32)
        self._last: dict[Role, Floats] = {}
        self._history = StrategyHistory()

    def tell(self, role: Role, line: LineVector, strategy: int | None = None) -> None:
        """Add a line.

        Args:
            role: Whose.
            line: The line.
            strategy: Index into ESConv's eight of a supporter's line; ``None`` if not known.
        """
        seen = self._net.seen(line)
        marks = np.zeros(len(ROLES) + STRATEGY_COUNT, np.float32)
        marks[ROLES.index(role)] = 1
        if strategy is not None:
            marks[len(ROLES) + strategy] = 1
        self._state = self._net.step(self._state, np.concatenate([seen, marks]))
        self._last[role] = seen
        self._history.tell(role, strategy)

    def members(self) -> Floats:
        """Each member's log probabilities of the strategy of a line to come, (members, 8)."""
        none = np.zeros(self._net.seen_width, np.float32)
        lines = np.stack([self._last.get(role, none) for role in ROLES])
        return self._net.decide(self._state, lines, self._history.vector())

    def ask(self) -> Floats:
        """Log probabilities of the strategy of a line to come, balanced, shape (8,)."""
        return self._net.balanced(self.members())


def _shapes(tensors: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """What each tensor's shape must be, by the sizes of three of them."""
    members, hidden, _ = tensors["gru.state"].shape
    k = tensors["basis"].shape[1]
    wide = tensors["text.bias"].shape[1]
    line = k + DENSE
    return {
        "mean": (ENCODED,),
        "basis": (ENCODED, k),
        "gru.input": (members, line + len(ROLES) + STRATEGY_COUNT, 3 * hidden),
        "gru.input_bias": (members, 3 * hidden),
        "gru.state": (members, hidden, 3 * hidden),
        "gru.state_bias": (members, 3 * hidden),
        "text.weight": (members, hidden + 2 * line, wide),
        "text.bias": (members, wide),
        "history.weight": (members, HISTORY, wide),
        "history.bias": (members, wide),
        "mixed.weight": (members, 2 * wide, wide),
        "mixed.bias": (members, wide),
        "plain.weight": (members, 2 * wide, STRATEGY_COUNT),
        "plain.bias": (members, STRATEGY_COUNT),
        "bent.weight": (members, wide, STRATEGY_COUNT),
        "bent.bias": (members, STRATEGY_COUNT),
        "shift": (STRATEGY_COUNT,),
        "temperature": (1,),
    }


def _each(of: Floats, weight: Floats) -> Floats:
    """Each member's row times its own matrix, shape (members, out)."""
    return np.asarray(np.matmul(of[:, None], weight)[:, 0], np.float32)


def _sigmoid(of: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * of)), np.float32)


def _silu(of: Floats) -> Floats:
    return of * _sigmoid(of)


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float32)
