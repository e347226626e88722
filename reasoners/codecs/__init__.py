"""Codecs: how a plan and a response are written and read back."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from affectgraph.perceivers.errors import BuildError
from affectgraph.reasoners.codecs.contracts import Codec, FormParser
from affectgraph.reasoners.codecs.json import JsonObject
from affectgraph.reasoners.codecs.lines import Lines, MultiMoodLines
from affectgraph.reasoners.codecs.smes import SmesLine
from affectgraph.reasoners.plan import check_order

__all__ = [
    "CODECS",
    "Codec",
    "FormParser",
    "JsonObject",
    "Lines",
    "MultiMoodLines",
    "SmesLine",
    "codec_named",
]

CODECS: Final = MappingProxyType(
    {form.name: form for form in (JsonObject, SmesLine, Lines, MultiMoodLines)}
)
"""Name -> codec."""


def codec_named(name: str, order: Sequence[str] | None = None) -> Codec:
    """A codec by its name, in an order of stages or in its own.

    Raises:
        BuildError: If there is none of the name, or the order is no permutation of the stages.
    """
    if name not in CODECS:
        raise BuildError(f"no codec {name!r}; there are: {', '.join(CODECS)}")
    form = CODECS[name]
    return form() if order is None else form(order=check_order(tuple(order)))
