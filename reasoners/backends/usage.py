"""What a model call cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """Tokens of one call.

    Attributes:
        prompt_tokens: Tokens of the prompt, cached ones included.
        completion_tokens: Tokens that were generated.
        cached_tokens: Tokens of the prompt that a prefix cache spared.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


OnUsage = Callable[[Usage], None]
"""Called on the event loop after each model call that told its usage."""
