"""Forms in plain text: each label between two fixed texts, the response to the line's end."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from affectgraph.perceivers.errors import BackendError, BuildError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.plan import (
    SMES_ORDER,
    Decision,
    LabelField,
    LabelStageName,
    Plan,
    StageName,
    check_order,
)

_BREAKS = ("\n", "\r")
_META = re.compile(r"[\\.^$*+?()\[\]{}|]")
_SLACK = 8
"""Spaces that may surround a label."""


def escaped(text: str) -> str:
    """Text as a regular expression that every engine of grammars reads alike.

    Only what has a meaning there is escaped.
    """
    return _META.sub(r"\\\g<0>", text)


@dataclass(frozen=True)
class TextForm(ABC):
    """What the plain forms have in common.

    A response is one line that neither begins nor ends with white space; a label holds no line
    break and not the mark that ends it. What is otherwise cannot be written, nothing is escaped.

    Attributes:
        order: Order of the stages, the response last.

    Raises:
        BuildError: If the order is no permutation of the stages.
    """

    name: ClassVar[str]
    order: tuple[StageName, ...] = SMES_ORDER

    def __post_init__(self) -> None:
        check_order(self.order)

    @property
    @abstractmethod
    def gap(self) -> str:
        """Between a label's opening and the label."""

    @property
    @abstractmethod
    def closing(self) -> str:
        """After a label."""

    @abstractmethod
    def opening(self, stage: LabelStageName) -> str:
        """Before a label."""

    @abstractmethod
    def introduction(self, labels: int) -> str:
        """Before the response, after so many labels."""

    def check(self, labels: LabelSet) -> None:
        """Check that every label of a set can be written."""
        for label in labels.labels:
            try:
                self._spelled(label)
            except ValueError as error:
                raise BuildError(f"{labels.name}: {error}") from None

    def write(self, plan: Plan, response: str) -> str:
        """The whole form."""
        if not response or response != response.strip() or any(b in response for b in _BREAKS):
            raise ValueError(
                f"codec {self.name!r}: a response is one line, not empty, without white space"
                " around it"
            )
        lead = self.lead(plan, "response")
        return f"{lead} {response}" if lead else response

    def lead(self, plan: Plan, stage: StageName) -> str:
        """The form so far, up to where the value of a stage begins."""
        before = self.order[: self.order.index(stage)]
        decided = plan.decided(before)
        text = "".join(
            f"{self.opening(d.stage)}{self.gap}{self._spelled(d.label)}{self.closing}"
            for d in decided
        )
        return text + self._opened(stage, len(decided))

    def read(
        self, text: str, fields: Sequence[LabelField], source: str
    ) -> tuple[list[Decision], str]:
        """Read a whole form."""
        parser = self.parser(source, fields)
        items = parser.feed(text)
        parser.close()
        if parser.rest:
            raise BackendError(source, f"the form {self.name!r} goes on after its end")
        decisions = [item for item in items if isinstance(item, Decision)]
        return decisions, "".join(item for item in items if isinstance(item, str))

    def parser(self, source: str, fields: Sequence[LabelField]) -> TextParser:
        """A parser of a form that arrives in pieces."""
        return TextParser(self, source, fields)

    def grammar(self, fields: Sequence[LabelField]) -> str:
        """A regular expression that the form matches."""
        labels = "".join(
            f"{escaped(self.opening(f.stage) + self.gap)}"
            f"({'|'.join(map(escaped, f.allowed))}){escaped(self.closing)}"
            for f in fields
        ).replace("\n", "\\n")
        introduction = escaped(self.introduction(len(fields)))
        return f"{labels}{introduction}{' ' if introduction else ''}[^ \\t\\r\\n][^\\r\\n]*"

    def schema(self, fields: Sequence[LabelField]) -> None:
        """No JSON."""
        del fields

    @abstractmethod
    def ask(self, fields: Sequence[LabelField]) -> str:
        """An instruction that describes the form."""

    def _opened(self, stage: StageName, labels: int) -> str:
        return self.introduction(labels) if stage == "response" else self.opening(stage)

    def _spelled(self, label: str) -> str:
        if label != label.strip() or self.closing in label or any(b in label for b in _BREAKS):
            raise ValueError(f"codec {self.name!r} cannot write the label {label!r}")
        return label


class TextParser:
    """Reads a plain form as it arrives.

    White space around a label and before the response counts for nothing: models that nothing
    holds to the form are free with it.

    Args:
        form: The codec.
        source: Name for errors and decisions.
        fields: What must be decided, in order.
    """

    def __init__(self, form: TextForm, source: str, fields: Sequence[LabelField]) -> None:
        self._form, self._source, self._fields = form, source, tuple(fields)
        self._open = list(fields)
        self._buffer = ""
        self._introduced = False
        self._left: BackendError | None = None
        self.started = False
        self.done = False
        self.rest = ""

    @property
    def broken(self) -> bool:
        """Whether the text has left the form."""
        return self._left is not None

    def feed(self, chunk: str) -> list[Decision | str]:
        """Take a chunk; give what is now known."""
        if self._left is not None:
            raise self._left
        if self.done:
            self.rest += chunk
            return []
        self._buffer += chunk
        found: list[Decision | str] = []
        try:
            while self._open and (decision := self._decision()) is not None:
                found.append(decision)
            if not self._open:
                found += self._words()
        except BackendError as fault:
            self._left = fault
            if not found:
                raise
        return found

    def close(self, *, cut: bool = False) -> None:
        """The text has ended."""
        del cut  # a line needs no end
        if self._left is not None:
            raise self._left
        if self._open:
            raise self._fault(f"ended before the {self._open[0].stage} was whole")
        if not self.started:
            raise self._fault("ended without a response")

    def _decision(self) -> Decision | None:
        field = self._open[0]
        opening, closing = self._form.opening(field.stage), self._form.closing
        if not self._begins(opening):
            return None
        start = len(opening)
        limit = start + max(map(len, field.labels.labels)) + _SLACK
        end = self._buffer.find(closing, start, limit + len(closing))
        if end < 0:
            if len(self._buffer) >= limit + len(closing):
                raise self._fault(f"names no allowed {field.stage}")
            return None
        label = self._buffer[start:end].strip()
        if label not in field.allowed:
            raise self._fault(f"names no allowed {field.stage}")
        self._buffer = self._buffer[end + len(closing) :]
        self._open.pop(0)
        return field.certain(label, self._source)

    def _words(self) -> list[str]:
        if not self._introduced:
            introduction = self._form.introduction(len(self._fields))
            if not self._begins(introduction):
                return []
            self._buffer = self._buffer.removeprefix(introduction)
            self._introduced = True
        if not self.started:
            self._buffer = self._buffer.lstrip()
        ends = [at for at in map(self._buffer.find, _BREAKS) if at >= 0]
        words, self._buffer = self._buffer, ""
        if ends:
            words, self.rest, self.done = words[: min(ends)], words[min(ends) :], True
        self.started = self.started or bool(words)
        return [words] if words else []

    def _begins(self, fixed: str) -> bool:
        """Whether the buffer begins with a fixed text; ``False`` while it may still come to."""
        if self._buffer.startswith(fixed):
            return True
        if fixed.startswith(self._buffer):
            return False
        raise self._fault(f"has no {fixed.strip()!r} where it is due")

    def _fault(self, what: str) -> BackendError:
        return BackendError(self._source, f"the form {self._form.name!r} {what}")
