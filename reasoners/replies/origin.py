"""Where the words of a reply came from, told without any of them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

ReplySource = Literal["model", "resampled", "written"]
"""The model's first try, its second, or the library of written replies."""


class ReplyOrigin(BaseModel):
    """Who made the words that a person received, and why not the model's first try.

    It rides on the pieces of a response (:class:`Spoken`) whenever it becomes known or changes;
    the last one holds.

    Attributes:
        source: Whose words begin the reply.
        reasons: Codes of what the checks found, in the order of the finding: of what was resampled,
            of what was replaced, and of what was cut off. Also ``situation-...`` for what is
            answered by written words at once. Never user content.
        cut: Whether the end of the model's words was left out.
        continued: Whether a written sentence stands after the model's words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: ReplySource
    reasons: tuple[str, ...] = ()
    cut: bool = False
    continued: bool = False


class Spoken(str):
    """A piece of a response that knows where it comes from; empty where only that is told.

    A plain piece is a model's, unchecked: whoever only wants words need not tell them apart.
    """

    __slots__ = ("origin",)
    origin: ReplyOrigin

    def __new__(cls, text: str, origin: ReplyOrigin) -> Self:
        """A piece with its origin."""
        piece = super().__new__(cls, text)
        piece.origin = origin
        return piece
