"""What the local engine needs of a model: extend a cache, look ahead, start afresh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from torch import Tensor


class Cache(Protocol):
    """Keys and values of the tokens so far."""

    @property
    def ids(self) -> list[int]:
        """The tokens, in order."""
        ...

    def __len__(self) -> int: ...

    def truncate(self, length: int) -> None:
        """Forget every token from ``length`` on."""
        ...

    def copy(self, length: int) -> Self:
        """A cache of its own with the first ``length`` tokens."""
        ...


C = TypeVar("C")


def tree_mask(past: int, parents: Sequence[int]) -> Tensor:
    """Which tokens each node of a tree may see: the cache, its ancestors and itself.

    Args:
        past: Tokens in the cache.
        parents: Index of each node's parent, which stands before it; -1 for none.

    Returns:
        Booleans (nodes, past + nodes).
    """
    import torch

    mask = torch.zeros(len(parents), past + len(parents), dtype=torch.bool)
    mask[:, :past] = True
    for node, parent in enumerate(parents):
        if parent >= 0:
            mask[node, past:] = mask[parent, past:]
        mask[node, past + node] = True
    return mask


class Decoder(Protocol[C]):
    """A causal language model over one sequence."""

    @property
    def positions(self) -> int:
        """Tokens of the longest sequence."""
        ...

    def new_cache(self) -> C:
        """An empty cache."""
        ...

    def extend(self, cache: C, ids: list[int]) -> Tensor:
        """Take one or more tokens into the cache; logits (vocabulary,) after the last."""
        ...

    def look_ahead(self, cache: C, ids: list[int], depths: list[int], parents: list[int]) -> Tensor:
        """Logits (tokens, vocabulary) after each token of a tree that continues the cache."""
        ...
