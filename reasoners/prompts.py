"""One prompt layout for both forms of the reasoner.

System text, exemplars, history, then the person's words with what was recalled and perceived,
then the assistant's turn in the codec. Each stage's prompt is the last one's plus a label, and
each turn's is the last turn's plus the reply and the new message, so a prefix cache spares all
but what is new. That holds as long as the history is told in the words of the live turn, which is
what :class:`~affectgraph.reasoners.history.notes.Notes` keeps with each exchange.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.reasoners.codecs import Codec, codec_named
from affectgraph.reasoners.context import Exchange, ReasoningContext, latest_recap
from affectgraph.reasoners.contracts import Message
from affectgraph.reasoners.definitions import DEFINITIONS
from affectgraph.reasoners.exemplars import ESCONV_NAMES, Exemplar, exemplars_of, opening_for
from affectgraph.reasoners.layout import SHORT_SYSTEM, SYSTEM, TRAINED_SYSTEM, PromptLayout
from affectgraph.reasoners.plan import Decision, LabelStageName, Plan
from affectgraph.reasoners.tables import asks_for_advice
from affectgraph.reasoners.taxonomy import ESCONV_8, MESC_10
from affectgraph.reasoners.telling import (
    DATA_NOTE,
    RISK_LEVEL,
    bounded,
    on_one_line,
    retold,
    told,
    with_fact,
)

__all__ = [
    "DATA_NOTE",
    "SHORT_SYSTEM",
    "SYSTEM",
    "TRAINED_SYSTEM",
    "PromptLayout",
    "Prompts",
    "Telling",
]


@dataclass(frozen=True)
class Telling:
    """What a prompt tells of the past.

    Attributes:
        kept: Exchanges that are told word by word, oldest first.
        summary: What the others said, one sentence a line.
        clip: Characters at most of one message of those that are clipped.
        clipped: How many of those kept are clipped, from the oldest on.
    """

    kept: tuple[Exchange, ...] = ()
    summary: str = ""
    clip: int = 0
    clipped: int = 0

    @classmethod
    def of(cls, history: Sequence[Exchange], *, at_most: int) -> Telling:
        """What the newest recap says, and whatever came after it.

        Args:
            history: Past exchanges, oldest first.
            at_most: How many are told where there is no recap. The oldest are then left out half
                as many at a time, so that most turns' prompts begin as the last one's.
        """
        at = latest_recap(history)
        if at is None:
            excess, step = len(history) - at_most, max(1, at_most // 2)
            start = -(-excess // step) * step if excess > 0 else 0
            return cls(tuple(history[min(start, len(history)) :] if at_most else ()))
        recap = history[at].recap
        assert recap is not None
        names = set(recap.kept)
        kept = (e for i, e in enumerate(history) if i > at or e.key in names)
        return cls(tuple(kept), recap.summary, recap.clip, recap.clipped)


class Prompts:
    """Writes prompts after a layout.

    Args:
        layout: What goes in.
        allowed: Labels that each stage may choose; told where strategies are defined.
        codec: How plans and responses are written; by default the layout's, in its order.

    Raises:
        BuildError: If the layout names a codec that there is not.
    """

    def __init__(
        self,
        layout: PromptLayout,
        allowed: Mapping[LabelStageName, Sequence[str]] | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.layout = layout
        self.codec = codec or codec_named(layout.codec, layout.order)
        self._allowed = dict(allowed or {})

    def opening(self, name: str = "") -> list[Message]:
        """What prompts begin with: the system text, and the exemplars of a name."""
        messages = [Message(role="system", content=self._system())]
        if self.layout.exemplars:
            for exemplar in exemplars_of(name):
                messages += self._shown(exemplar)
        return messages

    def opening_of(self, context: ReasoningContext, emotion: Distribution | None = None) -> str:
        """Which exemplars a thread begins with; chosen in its first turn and kept from then on.

        Args:
            context: What is known.
            emotion: Belief over MESC-7 that chooses them where nothing was perceived.
        """
        if not self.layout.exemplars:
            return ""
        at = latest_recap(context.history)
        if at is not None and (recap := context.history[at].recap) is not None and recap.opening:
            return recap.opening
        if context.history:
            first = context.history[0]
            decided = first.plan.user_emotion
            known = decided is not None and decided.distribution.label_set == MESC_7.name
            belief = decided.distribution if decided is not None and known else None
            return opening_for(belief, advice=asks_for_advice(first.said))
        if context.affect is not None:
            # Not by a decision, even where there is one: it is the same for every stage.
            emotion = context.affect.distribution.to(MESC_7)
        return opening_for(emotion, advice=asks_for_advice(context.utterance))

    def base(self, context: ReasoningContext, emotion: Distribution | None = None) -> list[Message]:
        """Everything up to the person's words; the joint form starts from here.

        Args:
            context: What is known.
            emotion: Belief over MESC-7 that chooses a new thread's exemplars where nothing was
                perceived.
        """
        telling = Telling.of(context.history, at_most=self.layout.exchanges)
        opening = self.opening(self.opening_of(context, emotion))
        return opening + self.past(telling, self.told(context))

    def label(self, context: ReasoningContext, stage: LabelStageName) -> list[Message]:
        """The base, the labels so far, and what stands before the label that is due."""
        lead = self.codec.lead(context.plan, stage)
        return [*self.base(context), Message(role="assistant", content=lead)]

    def response(self, context: ReasoningContext) -> list[Message]:
        """The base, the labels, and what stands before the response."""
        lead = self.codec.lead(context.plan, "response")
        return [*self.base(context), Message(role="assistant", content=lead)]

    def dialogue(self, exchanges: Sequence[Exchange]) -> list[Message]:
        """A whole conversation as the prompt after its last reply tells it, every exchange told.

        This is what a model is trained on: a prompt of the same thread begins like it.
        """
        return self.opening() + self.past(Telling(tuple(exchanges)))

    def told(self, context: ReasoningContext) -> str:
        """The person's message of this turn, with what was recalled and perceived."""
        return told(context, self.layout, at_risk=context.risk_level >= RISK_LEVEL)

    def printed(self, exchange: Exchange, clip: int = 0) -> tuple[str, str]:
        """An exchange as the history tells it: the person's message, and the reply in the codec.

        Args:
            exchange: The exchange.
            clip: Characters at most of each; 0 for the layout's own limit. What is clipped is
                told without its facts. A message at risk is not clipped.
        """
        limit = min(clip or self.layout.words, self.layout.words)
        message = retold(exchange, limit, clipped=clip > 0)
        replied = bounded(on_one_line(exchange.replied), limit)
        return message, self._written(exchange.plan, replied) if replied else ""

    def past(self, telling: Telling, message: str | None = None) -> list[Message]:
        """The history, then the message that is due, if any.

        Who replied nothing says nothing: what the person said before and after stands together,
        as chats alternate.
        """
        clips = [telling.clip if i < telling.clipped else 0 for i in range(len(telling.kept))]
        pairs = [
            (*self.printed(e, clip), e.replied) for e, clip in zip(telling.kept, clips, strict=True)
        ]
        if message is not None:
            pairs.append((message, "", ""))
        if pairs and telling.summary:
            fact = f"earlier in this conversation they said: {on_one_line(telling.summary)}"
            said, reply, words = pairs[0]
            pairs[0] = with_fact(said, fact), reply, words
        messages: list[Message] = []
        for said, reply, words in pairs:
            if messages and messages[-1].role == "user":
                said = "\n".join(filter(None, (messages.pop().content, said)))
            messages.append(Message(role="user", content=said))
            if reply:
                messages.append(Message(role="assistant", content=reply, words=words))
        return messages

    def _written(self, plan: Plan, reply: str) -> str:
        try:
            return self.codec.write(plan, reply)
        except ValueError:
            # Labels of another taxonomy that this form cannot hold: the words alone.
            return self.codec.write(Plan(), reply)

    def _system(self) -> str:
        parts = [self.layout.system]
        if self.layout.define:
            parts.append(DATA_NOTE)
            definitions = DEFINITIONS.get(self.layout.strategies, {})
            allowed = self._allowed.get("strategy", tuple(definitions))
            lines = [f"- {name}: {definitions[name]}" for name in allowed if name in definitions]
            parts.append("First decide, then respond. Strategies:\n" + "\n".join(lines))
        return "\n".join(parts)

    def _shown(self, exemplar: Exemplar) -> list[Message]:
        esconv = self.layout.strategies == ESCONV_8.name
        strategies = ESCONV_8 if esconv else MESC_10
        strategy = ESCONV_NAMES[exemplar.strategy] if esconv else exemplar.strategy
        plan = Plan(
            user_emotion=_shown_label("user_emotion", MESC_7, exemplar.user_emotion),
            strategy=_shown_label("strategy", strategies, strategy),
            system_emotion=_shown_label("system_emotion", MESC_7, exemplar.system_emotion),
        )
        return [
            Message(role="user", content=exemplar.said),
            Message(role="assistant", content=self.codec.write(plan, exemplar.replied)),
        ]


def _shown_label(stage: LabelStageName, labels: LabelSet, label: str) -> Decision:
    belief = Distribution.certain(labels, label)
    return Decision(stage=stage, distribution=belief, label=label, source="exemplar")
