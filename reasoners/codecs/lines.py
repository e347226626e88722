r"""Forms of four lines: ours, and that of MultiMood (Le et al., paper 2).

Ours::

    User emotion: sadness
    Strategy: Open questions
    System emotion: neutral
    Response: That sounds hard. What happened?

MultiMood's names the agent's side as its corpus does, and has an order of its own::

    Client's emotion: sadness
    Therapist's emotion: neutral
    Therapist's strategy: Open questions
    Therapist's response: That sounds hard. What happened?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Final

from affectgraph.reasoners.codecs.text import TextForm
from affectgraph.reasoners.plan import MULTIMOOD_ORDER, LabelField, LabelStageName, StageName

_OURS: Final = MappingProxyType[StageName, str](
    {
        "user_emotion": "User emotion:",
        "strategy": "Strategy:",
        "system_emotion": "System emotion:",
        "response": "Response:",
    }
)
_MULTIMOOD: Final = MappingProxyType[StageName, str](
    {
        "user_emotion": "Client's emotion:",
        "strategy": "Therapist's strategy:",
        "system_emotion": "Therapist's emotion:",
        "response": "Therapist's response:",
    }
)


@dataclass(frozen=True)
class Lines(TextForm):
    """Our four lines.

    Attributes:
        order: Order of the lines.
    """

    name: ClassVar[str] = "lines"
    headers: ClassVar[Mapping[StageName, str]] = _OURS

    @property
    def gap(self) -> str:
        """A space."""
        return " "

    @property
    def closing(self) -> str:
        """A line break."""
        return "\n"

    def opening(self, stage: LabelStageName) -> str:
        """The line's header."""
        return self.headers[stage]

    def introduction(self, labels: int) -> str:
        """The last line's header."""
        del labels
        return self.headers["response"]

    def ask(self, fields: Sequence[LabelField]) -> str:
        """The lines with what may stand in each."""
        lines = [f"{self.headers[f.stage]} one of {', '.join(f.allowed)}" for f in fields]
        lines.append(f"{self.headers['response']} your response, on this line")
        return "Answer in exactly these lines:\n" + "\n".join(lines)


@dataclass(frozen=True)
class MultiMoodLines(Lines):
    """The four lines of MultiMood's prompt.

    Attributes:
        order: Order of the lines; MultiMood's by default.
    """

    name: ClassVar[str] = "multimood"
    headers: ClassVar[Mapping[StageName, str]] = _MULTIMOOD
    order: tuple[StageName, ...] = MULTIMOOD_ORDER
