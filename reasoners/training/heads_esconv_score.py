"""What a strategy head reaches: figures, floors, and the two ways to run it over a chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.training.calibration import expected_calibration_error
from affectgraph.reasoners.heads.strategy_lines import STRATEGY_COUNT, LineVector
from affectgraph.reasoners.heads.strategy_net import StrategyNet
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.heads_esconv_data import Chat
from affectgraph.reasoners.training.preference import preference_bias

Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Protocol = Literal["gold", "free"]
"""Whether the history holds the corpus's strategies, or the head's own."""
Figures = dict[str, Any]

PUBLISHED: Final[dict[str, dict[str, float]]] = {
    "EmoDynamiX (Wan et al., 2025)": {"macro_f1": 0.2770, "weighted_f1": 0.3271},
    "TransESC (in Wan et al.)": {"macro_f1": 0.2628, "weighted_f1": 0.3133},
    "LLaMA3-8B, fine-tuned (in Wan et al.)": {"macro_f1": 0.2591, "weighted_f1": 0.2982},
    "ChatGPT (in Wan et al.)": {"macro_f1": 0.1814, "weighted_f1": 0.2027},
}
"""Other systems on the test split, in gold history."""
_ADVICE: Final = ESCONV_8.labels.index("Providing Suggestions")
_EARLY: Final = 2


def read(
    net: StrategyNet, chat: Chat, vectors: Mapping[str, LineVector], protocol: Protocol
) -> tuple[Doubles, Doubles]:
    """Run a head over a chat, line by line as the agent does.

    The words of every earlier line are the corpus's in both protocols; what differs is which
    strategies the earlier lines of the supporter are said to have had.

    Args:
        net: The head.
        chat: What is read.
        vectors: Of its texts.
        protocol: What the history holds.

    Returns:
        Probabilities of the ensemble at each line of the supporter that has a strategy, (n, 8),
        and those of each member, (members, n, 8).
    """
    reader = net.start()
    whole, each = list[Doubles](), list[Doubles]()
    for line in chat:
        strategy = line.strategy
        if strategy is not None:
            told = reader.members()
            probs = np.exp(net.balanced(told).astype(np.float64))
            whole.append(probs / probs.sum())
            singly = np.exp(np.stack([net.balanced(member) for member in told]).astype(np.float64))
            each.append(singly / singly.sum(axis=1, keepdims=True))
            if protocol == "free":
                strategy = int(probs.argmax())
        reader.tell(line.role, vectors[line.text], strategy)
    if not whole:
        return np.zeros((0, STRATEGY_COUNT)), np.zeros((net.members, 0, STRATEGY_COUNT))
    return np.stack(whole), np.stack(each, axis=1)


def read_all(
    net: StrategyNet, chats: Sequence[Chat], vectors: Mapping[str, LineVector], protocol: Protocol
) -> tuple[Doubles, Doubles]:
    """Run a head over chats; shapes (n, 8) and (members, n, 8), in the order of the lines."""
    pairs = [read(net, chat, vectors, protocol) for chat in chats]
    return np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs], axis=1)


def truths(chats: Sequence[Chat]) -> Ints:
    """The strategy of every line that has one, shape (n,)."""
    return np.array(
        [line.strategy for chat in chats for line in chat if line.strategy is not None], np.int64
    )


def figures(truth: Ints, predicted: Ints, probs: Doubles | None = None) -> Figures:
    """Accuracy, macro and weighted F1, preference bias; with probabilities also calibration.

    Args:
        truth: Shape (n,).
        predicted: Shape (n,).
        probs: Shape (n, 8).
    """
    from sklearn.metrics import f1_score

    every = range(STRATEGY_COUNT)

    def f1(average: str | None) -> Any:
        return f1_score(truth, predicted, labels=every, average=average, zero_division=0)

    found: Figures = {
        "accuracy": _rounded((truth == predicted).mean()),
        "macro_f1": _rounded(f1("macro")),
        "weighted_f1": _rounded(f1("weighted")),
        "preference_bias": _rounded(preference_bias(truth, predicted, STRATEGY_COUNT)),
        "n": len(truth),
    }
    if probs is not None:
        likely = np.log(np.maximum(probs[np.arange(len(truth)), truth], 1e-12))
        found["log_loss"] = _rounded(-likely.mean())
        found["ece"] = _rounded(expected_calibration_error(probs, truth))
        named = zip(ESCONV_8.labels, f1(None), strict=True)
        found["f1"] = {label: _rounded(value) for label, value in named}
    return found


def floors(chats: Sequence[Chat], known: Ints, seed: int) -> dict[str, Figures]:
    """What a table must print beside a head: majority, draws by frequency, the last strategy.

    Args:
        chats: What is measured.
        known: Strategies of the training lines, shape (m,).
        seed: Of the draws.
    """
    truth = truths(chats)
    counts = np.bincount(known, minlength=STRATEGY_COUNT)
    first = int(counts.argmax())
    draw = np.random.default_rng(seed).choice(STRATEGY_COUNT, len(truth), p=counts / counts.sum())
    repeated = []
    for chat in chats:
        told = [line.strategy for line in chat if line.strategy is not None]
        repeated += [first, *told[:-1]] if told else []
    return {
        "majority": figures(truth, np.full(len(truth), first)),
        "random": figures(truth, draw.astype(np.int64)),
        "persistence (gold)": figures(truth, np.array(repeated, np.int64)),
    }


def early_advice(chats: Sequence[Chat], predicted: Ints) -> float:
    """Share of advice among the first two lines of the supporter of each chat.

    Args:
        chats: Whose lines.
        predicted: The strategy of every line that has one, shape (n,).
    """
    early, start = list[bool](), 0
    for chat in chats:
        count = sum(line.strategy is not None for line in chat)
        early += (predicted[start : start + count][:_EARLY] == _ADVICE).tolist()
        start += count
    return _rounded(float(np.mean(early)))


def _rounded(value: float) -> float:
    return round(float(value), 4)
