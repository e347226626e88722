"""What a codec is: a way to write a plan and a response, and to read them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.plan import Decision, LabelField, Plan, StageName


class FormParser(Protocol):
    """Reads a form as it arrives; how it is cut into chunks makes no difference."""

    @property
    def started(self) -> bool:
        """Whether a word of the response was seen."""
        ...

    @property
    def done(self) -> bool:
        """Whether the form has ended; nothing that follows belongs to it."""
        ...

    @property
    def rest(self) -> str:
        """What followed the end of the form."""
        ...

    @property
    def broken(self) -> bool:
        """Whether the text has left the form; what is fed or closed from then on raises."""
        ...

    def feed(self, chunk: str) -> list[Decision | str]:
        """Take a chunk; give the decisions and the words that are now known.

        What stands before a fault in the same chunk is given, and the fault raised by the call
        after this one.

        Raises:
            BackendError: If the text is not in the form and nothing new was before the fault; the
                message quotes none of it.
        """
        ...

    def close(self, *, cut: bool = False) -> None:
        """The text has ended.

        Args:
            cut: Whether a limit of length ended it, so that the response may lack its end.

        Raises:
            BackendError: If the text has left the form, or labels, the response or its end are
                missing.
        """
        ...


@runtime_checkable
class Codec(Protocol):
    """How a plan and a response are written, labels first, so that the words can stream.

    Whatever :meth:`write` accepts, :meth:`read` gives back. A label that was not decided is left
    out, by both.
    """

    @property
    def name(self) -> str:
        """Short name."""
        ...

    @property
    def order(self) -> tuple[StageName, ...]:
        """Order of the stages, the response last."""
        ...

    def check(self, labels: LabelSet) -> None:
        """Check that every label of a set can be written.

        Raises:
            BuildError: If one cannot.
        """
        ...

    def write(self, plan: Plan, response: str) -> str:
        """The whole form.

        Raises:
            ValueError: If the response or a label cannot be written in this form.
        """
        ...

    def lead(self, plan: Plan, stage: StageName) -> str:
        """The form so far: what is decided before a stage, up to where its value begins.

        It begins every :meth:`write` of the plan, and every later stage's lead.

        Raises:
            ValueError: If a label cannot be written in this form.
        """
        ...

    def read(
        self, text: str, fields: Sequence[LabelField], source: str
    ) -> tuple[list[Decision], str]:
        """Read a whole form.

        Args:
            text: The form.
            fields: The labels that stand in it.
            source: Name for the decisions and for errors.

        Raises:
            BackendError: If :meth:`write` cannot have written it; the message quotes none of it.
        """
        ...

    def parser(self, source: str, fields: Sequence[LabelField]) -> FormParser:
        """A parser of a form that arrives in pieces."""
        ...

    def grammar(self, fields: Sequence[LabelField]) -> str:
        """A regular expression that the form matches; it names no barred label."""
        ...

    def schema(self, fields: Sequence[LabelField]) -> Mapping[str, object] | None:
        """A JSON schema of the form, for servers that hold nothing else; ``None`` if not JSON."""
        ...

    def ask(self, fields: Sequence[LabelField]) -> str:
        """An instruction that describes the form, for models that nothing holds to it."""
        ...


def gap(begun: str) -> str:
    """The space between an unfinished form and the label that continues it.

    A label after a colon is a word after a space; after a bracket or a quotation mark it stands
    close, as tokenizers expect.
    """
    return "" if begun.endswith(("(", '"')) else " "


def stop_of(begun: str) -> str:
    """What ends the label that continues an unfinished form."""
    return {"(": ")", '"': '"'}.get(begun[-1:], "\n")
