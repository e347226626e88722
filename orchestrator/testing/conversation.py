"""A conversation played without a model: which prompts its turns would have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from affectgraph.memory.record import Recollection
from affectgraph.perceivers.affect import Affect
from affectgraph.reasoners.context import Exchange, ReasoningContext, Recap
from affectgraph.reasoners.contracts import Message
from affectgraph.reasoners.history import Notes, trimmed
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.prompts import Prompts


@dataclass(frozen=True)
class PlayedTurn:
    """One turn as it was.

    Attributes:
        said: What the person said.
        replied: What was delivered.
        plan: What was decided.
        affect: What was perceived.
        recollections: What was recalled.
        risk_level: Risk, 0 to 6.
    """

    said: str
    replied: str
    plan: Plan = field(default_factory=Plan)
    affect: Affect | None = None
    recollections: tuple[Recollection, ...] = ()
    risk_level: int = 0


@dataclass(frozen=True)
class TurnPrompt:
    """The prompt of a turn, and what was kept of it.

    Attributes:
        messages: The prompt up to the person's words.
        exchange: What the turn left in the thread.
        moved: Whether the window has moved since the turn before, so that it begins otherwise.
    """

    messages: tuple[Message, ...]
    exchange: Exchange
    moved: bool


async def played(
    prompts: Prompts, notes: Notes, turns: Sequence[PlayedTurn], *, keep: int = 20
) -> list[TurnPrompt]:
    """The prompts of a conversation, turn by turn, as an agent writes and keeps them.

    Args:
        prompts: Writes them.
        notes: Takes down what the next one must know.
        turns: The conversation.
        keep: Exchanges that stay with the thread.
    """
    history: tuple[Exchange, ...] = ()
    found: list[TurnPrompt] = []
    told, moved = Recap(), False
    for number, turn in enumerate(turns):
        context = ReasoningContext(
            utterance=turn.said,
            affect=turn.affect,
            recollections=turn.recollections,
            history=history,
        )
        exchange = Exchange(
            said=turn.said,
            replied=turn.replied,
            plan=turn.plan,
            risk_level=turn.risk_level,
            turn=f"turn-{number}",
        )
        decided = context.model_copy(update={"plan": turn.plan})
        exchange = await notes.note(decided, exchange, room=keep)
        found.append(TurnPrompt(tuple(prompts.base(context)), exchange, moved))
        before, told = told, exchange.recap or Recap()
        # Decided after this turn, so it is the next one's prompt that begins otherwise.
        stays = (*before.kept, exchange.key), before.summary, before.clip, before.clipped
        moved = (told.kept, told.summary, told.clip, told.clipped) != stays
        # A message at risk that its own turn's prompt had no room for is told whole afterwards.
        moved = moved or exchange.told != prompts.told(context)
        history = trimmed((*history, exchange), keep)
    return found


def chatml(messages: Sequence[Message]) -> str:
    """A prompt as ChatML writes it; the assistant's last message is left open."""
    continued = bool(messages) and messages[-1].role == "assistant"
    closed = messages[:-1] if continued else messages
    text = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in closed)
    return f"{text}<|im_start|>assistant\n{messages[-1].content if continued else ''}"
