r"""How a plan and a response are written: four lines while generated, one line in a history.

Four lines, the response last so that it can stream::

    User emotion: sadness
    Strategy: Open questions
    System emotion: neutral
    Response: That sounds hard. What happened?

One line, after figure 6 of SMES (Chu et al.)::

    (sadness)(Open questions)(neutral): That sounds hard. What happened?
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import BackendError
from affectgraph.reasoners.contracts import LabelField
from affectgraph.reasoners.plan import SMES_ORDER, Decision, LabelStageName, Plan, StageName

HEADERS: Final = MappingProxyType[LabelStageName, str](
    {
        "user_emotion": "User emotion:",
        "strategy": "Strategy:",
        "system_emotion": "System emotion:",
    }
)
RESPONSE_HEADER: Final = "Response:"
_LABELS: Final = re.compile(r"^(\([^()]*\))+: ")


def label_lines(plan: Plan, order: Sequence[StageName] = SMES_ORDER) -> str:
    """The decided labels of a plan as lines, each with its line break."""
    decisions = [getattr(plan, stage) for stage in order if stage != "response"]
    return "".join(f"{HEADERS[d.stage]} {d.label}\n" for d in decisions if d is not None)


def one_line(plan: Plan, response: str, order: Sequence[StageName] = SMES_ORDER) -> str:
    """The compact form of SMES; a label that was not decided is left out."""
    decisions = [getattr(plan, stage) for stage in order if stage != "response"]
    labels = "".join(f"({d.label})" for d in decisions if d is not None)
    return f"{labels}: {response}" if labels else response


def spoken(message: str) -> str | None:
    """The words of an assistant's message of a history; ``None`` for an exemplar's four lines."""
    if f"\n{RESPONSE_HEADER}" in message:
        return None
    return _LABELS.sub("", message)


def allowed_labels(field: LabelField) -> tuple[str, ...]:
    """The labels that a field's prior does not rule out."""
    if field.prior is None:
        return field.labels.labels
    return tuple(label for label in field.labels.labels if field.prior[label] > 0)


def joint_regex(fields: Sequence[LabelField]) -> str:
    """A regular expression that the four lines match; labels with no prior weight are barred."""
    lines = [
        f"{re.escape(HEADERS[f.stage])} ({'|'.join(map(re.escape, allowed_labels(f)))})\\n"
        for f in fields
    ]
    return "".join(lines).replace("\\ ", " ") + f"{RESPONSE_HEADER} [^\\n]+"


class JointParser:
    """Reads the four lines as they arrive; how they are cut into chunks makes no difference.

    Args:
        backend: Name for errors and for the decisions' source.
        fields: What must be decided, in order.

    Attributes:
        started: Whether a word of the response was seen.
    """

    def __init__(self, backend: str, fields: Sequence[LabelField]) -> None:
        self._backend = backend
        self._open = list(fields)
        self._buffer = ""
        self._in_response = False
        self.started = False

    def feed(self, chunk: str) -> list[Decision | str]:
        """Take a chunk; give what is now known.

        Raises:
            BackendError: If the text is not in the form; the message quotes none of it.
        """
        self._buffer += chunk
        found: list[Decision | str] = []
        while self._open and "\n" in self._buffer:
            line, self._buffer = self._buffer.split("\n", 1)
            found.append(self._decision(line))
        if not self._open:
            found += self._words()
        return found

    def close(self) -> None:
        """The text has ended.

        Raises:
            BackendError: If labels or the response are missing.
        """
        if self._open:
            raise self._fault(f"ended before the line '{HEADERS[self._open[0].stage]}' was whole")
        if not self.started:
            raise self._fault("ended without a response")

    def _decision(self, line: str) -> Decision:
        field = self._open.pop(0)
        header = HEADERS[field.stage]
        if not line.startswith(header):
            raise self._fault(f"has no line '{header}' where it is due")
        label = line.removeprefix(header).strip()
        if label not in allowed_labels(field):
            raise self._fault(f"names no allowed label after '{header}'")
        return Decision(
            stage=field.stage,
            distribution=Distribution.certain(field.labels, label),
            label=label,
            source=self._backend,
        )

    def _words(self) -> list[str]:
        if not self._in_response:
            if len(self._buffer) < len(RESPONSE_HEADER):
                return []
            if not self._buffer.startswith(RESPONSE_HEADER):
                raise self._fault(f"has no line '{RESPONSE_HEADER}' where it is due")
            self._buffer = self._buffer.removeprefix(RESPONSE_HEADER)
            self._in_response = True
        if not self.started:
            self._buffer = self._buffer.lstrip()
        words, self._buffer = self._buffer, ""
        self.started = self.started or bool(words)
        return [words] if words else []

    def _fault(self, what: str) -> BackendError:
        return BackendError(self._backend, f"the joint generation {what}")
