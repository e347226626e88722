"""What goes into a prompt, by the size of the model that reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Self

from affectgraph.reasoners.contracts import Backend
from affectgraph.reasoners.plan import SMES_ORDER, StageName

SYSTEM: Final = (
    "You are a supportive companion. You are an AI, and you say so when asked. Listen, show that"
    " you understand the feeling, and answer in two or three short sentences, 60 words at most."
    " Ask before you advise. Never diagnose, and never invent a life of your own."
)
SHORT_SYSTEM: Final = (
    "You are a supportive companion, an AI. Listen, show that you understand the feeling, and"
    " answer in two short sentences. Never diagnose. Ask before giving advice."
)
TRAINED_SYSTEM: Final = (
    "You are a supportive companion, an AI. Listen first, answer in a few short sentences, and"
    " never diagnose."
)
"""What a model hears that was trained on dialogues in this form. Its weights depend on the exact
words: whoever changes them trains anew."""

TRAINED: Final = frozenset({"smollm2-135m-esconv"})
"""Models that were trained with :meth:`PromptLayout.trained`, in process or served."""
LayoutName = Literal["full", "small", "trained"]


@dataclass(frozen=True)
class PromptLayout:
    """What goes into a prompt.

    Attributes:
        system: Opening instruction.
        order: Order of the labels.
        strategies: Name of the strategy set whose definitions are told.
        codec: Name of the form in which plans and responses stand in exemplars, in the history
            and in the live turn alike, so that each turn's prompt extends the last one's.
        define: Whether to tell the definitions, and what data is; a small model gains nothing
            from either.
        exemplars: Whether to show exchanges that fit the mood in which the thread began; a large
            model needs none.
        tell_affect: Whether to tell what was perceived. Where the labels are weighted by it
            anyway, a small model only parrots it.
        exchanges: How many past exchanges are told where no recap says which.
        recollections: How many memories are told.
        clip: Characters at most of one memory.
        words: Characters at most of one message, live or past; its middle is left out.
        history: Tokens at most of the history, for the reasoner's own compressor.
    """

    system: str = SYSTEM
    order: tuple[StageName, ...] = SMES_ORDER
    strategies: str = "mesc-10"
    codec: str = "lines"
    define: bool = True
    exemplars: bool = False
    tell_affect: bool = True
    exchanges: int = 8
    recollections: int = 3
    clip: int = 500
    words: int = 4000
    history: int = 3000

    @classmethod
    def small(
        cls, *, order: tuple[StageName, ...] = SMES_ORDER, strategies: str = "mesc-10"
    ) -> Self:
        """For models of some hundred million parameters: shown, not told, and little of it."""
        return cls(
            system=SHORT_SYSTEM,
            order=order,
            strategies=strategies,
            define=False,
            exemplars=True,
            tell_affect=False,
            exchanges=3,
            recollections=1,
            clip=200,
            words=1200,
            history=400,
        )

    @classmethod
    def trained(
        cls, *, order: tuple[StageName, ...] = SMES_ORDER, strategies: str = "esconv-8"
    ) -> Self:
        """For a small model that was trained on whole dialogues in just this form.

        A short system text, no exemplars, no definitions, and the one-line form of SMES, which
        costs three tokens beside the labels' own. The trainer renders its dialogues by
        :meth:`~affectgraph.reasoners.prompts.Prompts.dialogue` with this layout.
        """
        return cls(
            system=TRAINED_SYSTEM,
            order=order,
            strategies=strategies,
            codec="smes",
            define=False,
            exemplars=False,
            tell_affect=False,
            exchanges=12,
            recollections=1,
            clip=200,
            words=1200,
            history=700,
        )

    @classmethod
    def fitting(
        cls,
        backend: Backend,
        *,
        order: tuple[StageName, ...] = SMES_ORDER,
        strategies: str = "mesc-10",
    ) -> Self:
        """The layout for a backend.

        Trained for a model that is known to be, by its name; else small for one in process and
        full for a server. A model of one's own that ``affectgraph train reasoner`` made is not
        known: name its layout, ``trained``.
        """
        name: LayoutName = "small" if getattr(backend, "provider", "") == "local" else "full"
        if getattr(backend, "model", "") in TRAINED:
            name = "trained"
        return cls.named(name, order=order, strategies=strategies)

    @classmethod
    def named(
        cls,
        name: LayoutName,
        *,
        order: tuple[StageName, ...] = SMES_ORDER,
        strategies: str = "mesc-10",
    ) -> Self:
        """The layout of a name."""
        if name == "small":
            return cls.small(order=order, strategies=strategies)
        if name == "trained":
            return cls.trained(order=order, strategies=strategies)
        return cls(order=order, strategies=strategies)
