"""What a model call cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, or of several.

    Attributes:
        prompt_tokens: Tokens of the prompt, cached ones included.
        completion_tokens: Tokens that were generated.
        cached_tokens: Tokens of the prompt that a prefix cache spared; 0 where that was not told,
            as by a server whose stream was left before its end.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0

    @property
    def processed_tokens(self) -> int:
        """Tokens of the prompt that the model had to read."""
        return self.prompt_tokens - self.cached_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )

    @classmethod
    def told_by(cls, usage: Any) -> Usage:
        """What a server of the OpenAI form tells in ``usage``."""
        details = getattr(usage, "prompt_tokens_details", None)
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens or 0,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
        )


OnUsage = Callable[[Usage], None]
"""Called on the event loop after each model call that told its usage."""

_LISTENER: Final[ContextVar[OnUsage | None]] = ContextVar("affectgraph_usage", default=None)


@contextmanager
def overhearing(listener: OnUsage) -> Iterator[None]:
    """Have a listener told, too, what the calls inside cost: how a span learns of its tokens."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def tell(usage: Usage, on_usage: OnUsage | None) -> None:
    """Say what a call cost to who asked for it, and to the span around it."""
    for listener in (on_usage, _LISTENER.get()):
        if listener is not None:
            listener(usage)
