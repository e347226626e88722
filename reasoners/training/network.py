"""The language model under training: a Llama of transformers, whole or with low-rank adapters.

Imports torch, transformers and (for adapters) peft; import this module lazily.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that torch's own texts use

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.training.merge import read_adapter
from affectgraph.reasoners.training.packing import Row
from affectgraph.reasoners.training.sequences import LABEL, RESPONSE, Weights

Method = Literal["lora", "full"]
Precision = Literal["auto", "float32", "bfloat16"]

ATTENTION: Final = "affectgraph_packed"
LINEAR: Final = (
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
)  # fmt: skip
"""The linear layers of a Llama block, all of which adapters are put on."""


@dataclass(frozen=True)
class Adapters:
    """Low-rank adapters (Hu et al., 2021) on all linear layers of every block.

    Attributes:
        rank: Of the updates.
        alpha: Updates are scaled by ``alpha / rank``.
        dropout: Of their inputs.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0


@dataclass(frozen=True)
class RowLoss:
    """What a row cost.

    Attributes:
        weighted: Sum of weighted losses (nats), with its gradient.
        label: Sum over the label tokens, and how many those are.
        response: Sum over the response tokens, and how many those are.
    """

    weighted: Tensor
    label: tuple[float, int]
    response: tuple[float, int]


def packed_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    lengths: tuple[int, ...] = (),
    **_: object,
) -> tuple[Tensor, None]:
    """Causal attention within each dialogue of a packed row.

    As transformers calls it. Each dialogue is a call of its own, which costs less than a mask
    over the whole row: the work grows with the square of a dialogue's length, not of the row's.

    Args:
        module: The attention layer.
        query: (1, heads, tokens, width).
        key: (1, key heads, tokens, width).
        value: As ``key``.
        attention_mask: Not used.
        scaling: Of the products.
        lengths: Tokens of each dialogue; by default the row is one.
    """
    del attention_mask
    groups = module.num_key_value_groups
    key, value = (each.repeat_interleave(groups, dim=1) for each in (key, value))
    ends = list(lengths or (query.shape[2],))
    split = [torch.split(each, ends, dim=2) for each in (query, key, value)]
    parts = [
        F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling)
        for q, k, v in zip(*split, strict=True)
    ]
    return torch.cat(parts, 2).transpose(1, 2), None


class Network:
    """A model that learns.

    Args:
        folder: The checkpoint to begin with, as pulled: ``model.safetensors``, ``config.json``.
        method: Whether all weights learn, or only adapters.
        adapters: Of the method ``lora``.
        precision: Of the products; ``auto`` is bfloat16 where the device multiplies in it faster
            (GPUs, processors with AMX), else float32.
        compiled: Whether to compile the blocks (a C++ compiler is needed on a CPU).
        device: Where it runs.
        seed: Of the adapters' first weights.

    Raises:
        SetupError: If the folder holds no Llama.
    """

    def __init__(
        self,
        folder: Path,
        *,
        method: Method = "lora",
        adapters: Adapters | None = None,
        precision: Precision = "auto",
        compiled: bool = False,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        from transformers import AutoModelForCausalLM
        from transformers.modeling_utils import AttentionInterface
        from transformers.utils import logging

        logging.disable_progress_bar()
        attend: Any = packed_attention
        if compiled:
            attend = torch.compiler.disable(attend)  # type: ignore[no-untyped-call]
        AttentionInterface.register(ATTENTION, attend)
        torch.manual_seed(seed)
        self.device = torch.device(device)
        self._bfloat16 = precision == "bfloat16" or (
            precision == "auto" and _gains_by_bfloat16(self.device)
        )
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        if model.config.model_type != "llama":
            raise SetupError(f"{folder.name} is a {model.config.model_type}: want a Llama")
        model.set_attn_implementation(ATTENTION)
        self._causal: Any = model
        if method == "lora":
            self._causal = _adapted(model, adapters or Adapters())
        self.model: Any = self._causal.to(self.device)
        self.model.train()
        llama = model.model
        self._body, self._head = llama, model.lm_head
        if compiled:
            for layer in llama.layers:
                layer.compile(dynamic=True)

    @property
    def learning(self) -> dict[str, torch.nn.Parameter]:
        """The weights that learn, by name."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @property
    def precision(self) -> str:
        """What products are made in: ``bfloat16`` or ``float32``."""
        return "bfloat16" if self._bfloat16 else "float32"

    def begin_with(self, adapter: Path) -> None:
        """Take over the weights of an adapter; of the method ``lora``.

        Raises:
            SetupError: If it has another rank, or is of other layers.
            ModelCorruptError: If it is no adapter.
        """
        weights, header = read_adapter(adapter)
        own = self.learning
        names = {name.replace(".default.", "."): p for name, p in own.items()}
        ours = next(iter(self.model.peft_config.values()))
        fits = (header["rank"], header["alpha"]) == (str(ours.r), str(ours.lora_alpha))
        if not fits or names.keys() != weights.keys():
            raise SetupError(f"{adapter.name} is an adapter of another rank or of other layers")
        with torch.no_grad():
            for name, weight in weights.items():
                names[name].copy_(weight)

    def checkpoint(self) -> dict[str, Tensor]:
        """All weights by their plain names, in bfloat16; of the method ``full``."""
        # Tied weights are stored once.
        return {
            name: p.detach().to("cpu", torch.bfloat16)
            for name, p in self._causal.named_parameters()
        }

    def loss(self, row: Row, weights: Weights) -> RowLoss:
        """The losses of a row; ``weighted`` can be differentiated."""
        ids = torch.tensor(row.ids, device=self.device)
        kinds = torch.tensor(row.kinds, device=self.device)
        counted = kinds.nonzero()[:, 0]
        with self._cast():
            hidden = self._body(
                input_ids=ids[None],
                position_ids=torch.tensor(row.positions, device=self.device)[None],
                use_cache=False,
                lengths=row.lengths,
            ).last_hidden_state[0]
            # Logits cost a quarter of all; only those that count are made.
            logits = self._head(hidden[counted - 1])
        losses = F.cross_entropy(logits.float(), ids[counted], reduction="none")
        kind = kinds[counted]
        scale = torch.tensor([weights.of(k) for k in (0, LABEL, RESPONSE)], device=self.device)
        by_kind = {}
        for each in (LABEL, RESPONSE):
            of = losses.detach()[kind == each]
            by_kind[each] = (of.sum().item(), int(of.numel()))
        return RowLoss((losses * scale[kind]).sum(), by_kind[LABEL], by_kind[RESPONSE])

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Without gradients and without dropout."""
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.model.train()

    def _cast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._bfloat16)


def row_weight(row: Row, weights: Weights) -> float:
    """What the tokens of a row weigh together."""
    return sum(weights.of(kind) for kind in row.kinds)


def _adapted(model: Any, adapters: Adapters) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,
        lora_dropout=adapters.dropout,
        target_modules=list(LINEAR),
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft asks transformers for a property under its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(model, config)


def _gains_by_bfloat16(device: torch.device) -> bool:
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported()
