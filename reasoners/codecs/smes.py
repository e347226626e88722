"""The one-line form of figure 6 of SMES (Chu et al., paper 1).

::

    (sadness)(Open questions)(neutral): That sounds hard. What happened?
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from affectgraph.reasoners.codecs.text import TextForm
from affectgraph.reasoners.plan import LabelField, LabelStageName


@dataclass(frozen=True)
class SmesLine(TextForm):
    """Labels in brackets, a colon, the response; the form with the fewest tokens.

    Without any label it is the response alone.

    Attributes:
        order: Order of the labels.
    """

    name: ClassVar[str] = "smes"

    @property
    def gap(self) -> str:
        """None: a label stands close to its bracket."""
        return ""

    @property
    def closing(self) -> str:
        """A bracket."""
        return ")"

    def opening(self, stage: LabelStageName) -> str:
        """A bracket."""
        del stage
        return "("

    def introduction(self, labels: int) -> str:
        """A colon, after labels."""
        return ":" if labels else ""

    def ask(self, fields: Sequence[LabelField]) -> str:
        """The line with what may stand in each bracket."""
        labels = "".join(f"({f.stage.replace('_', ' ')})" for f in fields)
        kinds = "\n".join(
            f"({f.stage.replace('_', ' ')}) is one of {', '.join(f.allowed)}" for f in fields
        )
        return f"Answer on one line, in exactly this form:\n{labels}: your response\n{kinds}"
