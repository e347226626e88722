"""The keys of a state, as LangGraph itself will keep them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from langgraph.channels.any_value import AnyValue
from langgraph.channels.base import BaseChannel
from langgraph.channels.binop import BinaryOperatorAggregate
from langgraph.channels.ephemeral_value import EphemeralValue
from langgraph.channels.last_value import LastValue, LastValueAfterFinish
from langgraph.channels.untracked_value import UntrackedValue
from langgraph.graph import StateGraph

_ONE_WRITER = (EphemeralValue, LastValue, LastValueAfterFinish, UntrackedValue)


@dataclass(frozen=True)
class Key:
    """One key of a state.

    Attributes:
        type: What a reader finds.
        accepts: What a writer may give; differs from ``type`` where a reducer takes more.
        shared: Whether several nodes may write it in one superstep.
        kept: Whether it reaches checkpoints.
    """

    type: Any
    accepts: Any
    shared: bool
    kept: bool


def keys_of(schema: type[Any]) -> Mapping[str, Key]:
    """The keys of a state schema (``TypedDict``, dataclass or pydantic model)."""
    channels = StateGraph(schema).channels
    hints = get_type_hints(schema)
    return {name: _key(hints.get(name, Any), channel) for name, channel in channels.items()}


def _key(hint: Any, channel: BaseChannel[Any, Any, Any]) -> Key:
    one_writer = isinstance(channel, _ONE_WRITER) and getattr(channel, "guard", True)
    return Key(
        type=hint,
        accepts=_accepted(hint, channel),
        shared=not one_writer or isinstance(channel, AnyValue),
        kept=not isinstance(channel, UntrackedValue),
    )


def _accepted(hint: Any, channel: BaseChannel[Any, Any, Any]) -> Any:
    if not isinstance(channel, BinaryOperatorAggregate):
        return hint
    try:
        second = list(inspect.signature(channel.operator).parameters)[1]
        return get_type_hints(channel.operator).get(second, Any)
    except (TypeError, ValueError, NameError):
        # A reducer that is written in C, such as operator.add, does not say what it takes.
        return Any
