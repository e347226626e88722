"""Any causal language model of the transformers library, as a decoder for the local engine.

Imports torch and transformers; import it lazily.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.backends.decoder import tree_mask


class TransformersCache:
    """Keys and values of the tokens so far, in transformers' own cache.

    Attributes:
        ids: The tokens, in order; shortened by :meth:`truncate`.
        past: The library's cache; holds as many tokens.
    """

    def __init__(self, past: Any, ids: list[int] | None = None) -> None:
        self.past = past
        self.ids = ids or []

    def __len__(self) -> int:
        return len(self.ids)

    def truncate(self, length: int) -> None:
        """Forget every token from ``length`` on."""
        if length < len(self.ids):
            self.past.crop(length - len(self.ids))
            del self.ids[length:]

    def copy(self, length: int) -> TransformersCache:
        """A cache of its own with the first ``length`` tokens."""
        copied = TransformersCache(deepcopy(self.past), list(self.ids))
        copied.truncate(length)
        return copied


class TransformersModel:
    """A causal model loaded by transformers, in float32 on the CPU.

    Args:
        model: The loaded model.
        positions: Tokens that it can tell apart by place.
    """

    def __init__(self, model: Any, positions: int) -> None:
        self._model = model
        self.positions = positions

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a checkpoint from disk, never from a hub and never with code of its own.

        Raises:
            SetupError: If the folder holds no causal language model.
        """
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise SetupError(
                f"the language model in {folder.name} cannot be loaded: {error}"
            ) from error
        return cls(model.eval(), int(model.config.max_position_embeddings))

    def new_cache(self) -> TransformersCache:
        """An empty cache."""
        from transformers import DynamicCache

        return TransformersCache(DynamicCache())

    @torch.inference_mode()
    def extend(self, cache: TransformersCache, ids: list[int]) -> Tensor:
        """Take ``ids`` (one or more) into the cache; logits (vocabulary,) after the last."""
        told = self._model(
            input_ids=torch.tensor([ids]),
            past_key_values=cache.past,
            use_cache=True,
            logits_to_keep=1,
        )
        cache.ids.extend(ids)
        last: Tensor = told.logits[0, -1]
        return last

    @torch.inference_mode()
    def look_ahead(
        self, cache: TransformersCache, ids: list[int], depths: list[int], parents: list[int]
    ) -> Tensor:
        """Logits (tokens, vocabulary) after each token of a tree that continues the cache.

        All branches go through the model in one pass: a token sees the cache, its ancestors and
        itself. The cache is as it was afterwards. Arguments as in ``Llama.look_ahead``.
        """
        past = len(cache)
        seen = tree_mask(past, parents)
        hidden = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        told = self._model(
            input_ids=torch.tensor([ids]),
            attention_mask=hidden[None, None],
            position_ids=past + torch.tensor([depths]),
            past_key_values=cache.past,
            use_cache=True,
        )
        cache.past.crop(-len(ids))
        logits: Tensor = told.logits[0]
        return logits
