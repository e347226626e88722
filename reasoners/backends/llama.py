"""A Llama decoder in plain torch: one sequence, a key-value cache, packed label trees.

The published layers of the architecture (Touvron et al. 2023; grouped-query attention after
Ainslie et al. 2023), written out because importing the transformers library alone takes longer
than loading this model. Tests hold it to transformers' own logits. Import this module lazily: it
imports torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that torch's own texts use

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.backends.decoder import tree_mask


@dataclass(frozen=True)
class LlamaConfig:
    """Shape of a checkpoint, as in its ``config.json``."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    epsilon: float
    theta: float
    positions: int

    @classmethod
    def of(cls, printed: dict[str, Any]) -> Self:
        """Read the ``config.json`` of a plain Llama."""
        rope = _rope(printed)
        heads = printed["num_attention_heads"]
        return cls(
            layers=printed["num_hidden_layers"],
            width=printed["hidden_size"],
            heads=heads,
            kv_heads=printed.get("num_key_value_heads") or heads,
            head_width=printed.get("head_dim") or printed["hidden_size"] // heads,
            epsilon=printed["rms_norm_eps"],
            theta=float(rope.get("rope_theta") or printed.get("rope_theta") or 10_000.0),
            positions=printed["max_position_embeddings"],
        )


def is_plain_llama(folder: Path) -> bool:
    """Whether a checkpoint has the published layers and nothing else; only those are run here.

    Raises:
        SetupError: If there is no ``config.json``.
    """
    try:
        printed = json.loads((folder / "config.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise SetupError(f"the language model in {folder.name} is not whole: {error}") from None
    return bool(
        printed.get("model_type") == "llama"
        and printed.get("hidden_act") == "silu"
        and not printed.get("attention_bias")
        and not printed.get("mlp_bias")
        and _rope(printed).get("rope_type", "default") == "default"
    )


def _rope(printed: dict[str, Any]) -> dict[str, Any]:
    return printed.get("rope_parameters") or printed.get("rope_scaling") or {}


@dataclass(frozen=True)
class _Layer:
    attention_norm: Tensor
    qkv: Tensor
    out: Tensor
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


class KVCache:
    """Keys and values of the tokens so far; room grows in steps of 256.

    Attributes:
        ids: The tokens, in order; shortened by :meth:`truncate`.
    """

    _STEP = 256

    def __init__(self, config: LlamaConfig) -> None:
        self.ids: list[int] = []
        self._shape = (2, config.layers, config.kv_heads)
        self._width = config.head_width
        self._room = torch.empty(*self._shape, 0, self._width)

    def __len__(self) -> int:
        return len(self.ids)

    def reserve(self, total: int) -> None:
        """Make room for ``total`` tokens."""
        if total > self._room.shape[3]:
            size = -(-total // self._STEP) * self._STEP
            room = torch.empty(*self._shape, size, self._width)
            room[:, :, :, : len(self)] = self._room[:, :, :, : len(self)]
            self._room = room

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put the new tokens' keys and values (kv_heads, tokens, head_width) after the old."""
        start, end = len(self), len(self) + keys.shape[1]
        self._room[0, layer, :, start:end] = keys
        self._room[1, layer, :, start:end] = values
        return self._room[0, layer, :, :end], self._room[1, layer, :, :end]

    def copy(self, length: int) -> KVCache:
        """A cache of one's own that holds the first ``length`` tokens."""
        twin = KVCache.__new__(KVCache)
        twin.ids = self.ids[:length]
        twin._shape, twin._width = self._shape, self._width
        twin._room = self._room[:, :, :, :length].clone()
        return twin

    def truncate(self, length: int) -> None:
        """Forget every token from ``length`` on."""
        del self.ids[length:]


class Llama:
    """Weights in float32 and the forward pass over them.

    bfloat16 would halve the memory; on processors without matrix units torch's bfloat16
    products of one row are several times slower.
    """

    def __init__(self, config: LlamaConfig, weights: dict[str, Tensor]) -> None:
        self.config = config
        self._embedding = weights["model.embed_tokens.weight"]
        self._head = weights.get("lm_head.weight", self._embedding)
        self._norm = weights["model.norm.weight"]
        self._layers = [_layer(weights, f"model.layers.{i}.") for i in range(config.layers)]
        pairs = torch.arange(0, config.head_width, 2, dtype=torch.float32) / config.head_width
        self._frequencies = config.theta**-pairs

    @property
    def positions(self) -> int:
        """Tokens of the longest sequence."""
        return self.config.positions

    def new_cache(self) -> KVCache:
        """An empty cache."""
        return KVCache(self.config)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load ``config.json`` and ``model.safetensors``.

        Raises:
            SetupError: If a file is missing.
        """
        try:
            config = LlamaConfig.of(json.loads((folder / "config.json").read_text()))
            with safe_open(folder / "model.safetensors", framework="pt") as file:
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except OSError as error:
            raise SetupError(f"the language model in {folder.name} is not whole: {error}") from None
        return cls(config, {name: weight.float() for name, weight in weights.items()})

    @torch.inference_mode()
    def extend(self, cache: KVCache, ids: list[int]) -> Tensor:
        """Take ``ids`` (one or more) into the cache; logits (vocabulary,) after the last."""
        past, count = len(cache), len(ids)
        mask = None
        if count > 1:
            mask = torch.ones(count, past + count, dtype=torch.bool).tril(past)
        positions = torch.arange(past, past + count)
        hidden = self._forward(cache, ids, positions, mask)
        cache.ids.extend(ids)
        return F.linear(hidden[-1], self._head)

    @torch.inference_mode()
    def look_ahead(
        self, cache: KVCache, ids: list[int], depths: list[int], parents: list[int]
    ) -> Tensor:
        """Logits (tokens, vocabulary) after each token of a tree that continues the cache.

        All branches go through the model in one pass: a token sees the cache, its ancestors and
        itself. The cache is as it was afterwards.

        Args:
            cache: What the tree continues.
            ids: Token of each node; a parent stands before its children.
            depths: Depth of each node, 0 for those right after the cache.
            parents: Index of each node's parent, -1 for none.
        """
        past = len(cache)
        mask = tree_mask(past, parents)
        hidden = self._forward(cache, ids, past + torch.tensor(depths), mask)
        return F.linear(hidden, self._head)

    def _forward(
        self, cache: KVCache, ids: list[int], positions: Tensor, mask: Tensor | None
    ) -> Tensor:
        shape = self.config
        cache.reserve(len(cache) + len(ids))
        angles = torch.outer(positions.float(), self._frequencies).repeat(1, 2)
        cos, sin = angles.cos(), angles.sin()
        x = self._embedding[torch.tensor(ids)]
        for index, layer in enumerate(self._layers):
            mixed = F.linear(self._normal(x, layer.attention_norm), layer.qkv)
            # (tokens, heads * width) -> (heads, tokens, width), queries before keys before values
            split = mixed.view(len(ids), -1, shape.head_width).transpose(0, 1)
            turned, values = split[: -shape.kv_heads], split[-shape.kv_heads :]
            turned = turned * cos + _rotate_half(turned) * sin
            keys, values = cache.write(index, turned[shape.heads :], values)
            seen = F.scaled_dot_product_attention(
                turned[None, : shape.heads], keys[None], values[None], mask, enable_gqa=True
            )
            x = x + F.linear(seen[0].transpose(0, 1).reshape(len(ids), -1), layer.out)
            gate, up = F.linear(self._normal(x, layer.mlp_norm), layer.gate_up).chunk(2, -1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        return self._normal(x, self._norm)

    def _normal(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (self.config.width,), weight, self.config.epsilon)


def _rotate_half(x: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat((-second, first), -1)


def _layer(weights: dict[str, Tensor], prefix: str) -> _Layer:
    # Popped, so that the unfused copies do not stay in memory beside the fused ones.
    def take(name: str) -> Tensor:
        return weights.pop(f"{prefix}{name}.weight")

    attention = [take(f"self_attn.{part}_proj") for part in "qkv"]
    return _Layer(
        attention_norm=take("input_layernorm"),
        qkv=torch.cat(attention),
        out=take("self_attn.o_proj"),
        mlp_norm=take("post_attention_layernorm"),
        gate_up=torch.cat([take("mlp.gate_proj"), take("mlp.up_proj")]),
        down=take("mlp.down_proj"),
    )
