"""The text encoder while it is trained; needs torch, so only the trainer imports it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name under which everyone knows it
from numpy.typing import NDArray
from torch import Tensor, nn

from affectgraph.perceivers.corpora.goemotions import ekman
from affectgraph.perceivers.labels import GOEMOTIONS_28
from affectgraph.perceivers.text.minilm_onnx import (
    EMOTION,
    EPSILON,
    FEATURES,
    HEADS,
    HIDDEN,
    LAYERS,
    POSITIONS,
    RETRIEVAL,
    VAD,
    VOCABULARY,
    Weights,
)

_EMOTION_WIDTH: Final = 384
_VAD_WIDTH: Final = 128


class AffectMiniLM(nn.Module):
    """MiniLM with three heads: emotion, valence-arousal-dominance, retrieval.

    The retrieval head starts as the identity, so that the embedding starts as the original's.

    Args:
        weights: ``model.safetensors`` of all-MiniLM-L6-v2.
        drop: Share of the heads' inputs that is dropped in training.
    """

    def __init__(self, weights: Path, drop: float = 0.1) -> None:
        from safetensors.torch import load_file
        from transformers import BertConfig, BertModel

        super().__init__()
        config = BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            intermediate_size=4 * HIDDEN,
            max_position_embeddings=POSITIONS,
            layer_norm_eps=EPSILON,
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        known = self.bert.state_dict()
        self.bert.load_state_dict({k: v for k, v in load_file(weights).items() if k in known})
        self.emotion = _head(len(GOEMOTIONS_28), _EMOTION_WIDTH, drop)
        self.vad = _head(3, _VAD_WIDTH, drop)
        self.retrieval = nn.Linear(HIDDEN, HIDDEN)
        nn.init.eye_(self.retrieval.weight)
        nn.init.zeros_(self.retrieval.bias)
        # Half of the weights; tuning them costs time and makes rare words forget their meaning.
        self.bert.embeddings.word_embeddings.weight.requires_grad = False

    def forward(self, ids: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Emotion logits (n, 28), standardised VAD (n, 3), embeddings of unit length (n, 384)."""
        states: Tensor = self.bert(ids, attention_mask=counts).last_hidden_state
        mean = (states * counts[..., None]).sum(1) / counts.sum(1, keepdim=True)
        seen = torch.cat([mean, states[:, 0]], dim=1)
        return self.emotion(seen), self.vad(seen), F.normalize(self.retrieval(mean), dim=1)

    def groups(self, rate: float, head_rate: float, decay: float) -> Iterator[dict[str, Any]]:
        """What the optimiser takes: lower layers learn more slowly, by ``decay`` a layer."""
        for name, parameter in self.named_parameters():
            if not parameter.requires_grad:
                continue
            peak = head_rate
            if name.startswith("bert"):
                layer = int(name.split(".layer.")[1].split(".")[0]) if ".layer." in name else -1
                peak = rate * decay ** (LAYERS - 1 - layer)
            elif name.startswith("retrieval"):
                peak = head_rate / 2
            yield {
                "params": [parameter],
                "lr": 0.0,
                "peak": peak,
                "weight_decay": 0.01 if parameter.ndim > 1 else 0.0,
            }

    def exported(self, mean: NDArray[np.float32], scale: NDArray[np.float32]) -> Weights:
        """All tensors under the names of :mod:`~affectgraph.perceivers.text.minilm_onnx`.

        Args:
            mean: Of EmoBank's training ratings, shape (3,).
            scale: Their standard deviation; both are folded into the last layer.
        """
        tensors = {name.removeprefix("bert."): t for name, t in self.state_dict().items()}
        found = {name: t.numpy() for name, t in tensors.items()}
        for names, head in ((EMOTION, "emotion"), (VAD, "vad")):
            for name, slot in zip(names, (1, 4), strict=True):
                for part in ("weight", "bias"):
                    found[f"{name}.{part}"] = found.pop(f"{head}.{slot}.{part}")
        for part in ("weight", "bias"):
            found[f"{RETRIEVAL}.{part}"] = found.pop(f"retrieval.{part}")
        weight, bias = found[f"{VAD[1]}.weight"], found[f"{VAD[1]}.bias"]
        found[f"{VAD[1]}.weight"] = weight * scale[:, None]
        found[f"{VAD[1]}.bias"] = bias * scale + mean
        return found


def _head(outputs: int, width: int, drop: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Dropout(drop),
        nn.Linear(FEATURES, width),
        nn.GELU(),
        nn.Dropout(2 * drop),
        nn.Linear(width, outputs),
    )


class EmotionLoss(nn.Module):
    """What raters said, asked in three ways of the same 28 logits.

    As a distribution (cross-entropy with labels that share a text's mass), label by label (binary
    cross-entropy), and for each of Ekman's seven whether any of its labels was given.
    """

    group: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("group", torch.from_numpy(ekman()).float())

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits against labels, 0 or 1, both of shape (n, 28)."""
        share = F.cross_entropy(logits, labels / labels.sum(1, keepdim=True))
        each = F.binary_cross_entropy_with_logits(logits, labels) * labels.shape[1]
        none = F.logsigmoid(-logits) @ self.group
        given = (labels @ self.group > 0).float()
        some = torch.log(-torch.expm1(none.clamp(max=-1e-6)))
        basic = -(given * some + (1 - given) * none).sum(1).mean()
        return 0.5 * share + 0.5 * each + 0.3 * basic


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids as one tensor, and which of them count, both of shape (n, widest)."""
    widest = max(len(row) for row in rows)
    ids = np.zeros((len(rows), widest), np.int64)
    counts = np.zeros((len(rows), widest), np.float32)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = row
        counts[at, : len(row)] = 1
    return torch.from_numpy(ids), torch.from_numpy(counts)
