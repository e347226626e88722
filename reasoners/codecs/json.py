r"""One JSON object, the response last.

::

    {"user_emotion": "sadness", "strategy": "Open questions", "system_emotion": "neutral",
     "response": "That sounds hard.\nWhat happened?"}
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from affectgraph.perceivers.errors import BackendError, BuildError
from affectgraph.perceivers.labels import LabelSet
from affectgraph.reasoners.codecs.text import escaped
from affectgraph.reasoners.plan import (
    SMES_ORDER,
    Decision,
    LabelField,
    Plan,
    StageName,
    check_order,
)

_ESCAPE: Final = r'\\(["\\/bfnrt]|u[0-9a-fA-F]{4})'
_PAIR: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE: Final = r"\\u[dD][89a-fA-F]"
_STRING: Final = re.compile(rf'(?:[^"\\\x00-\x1f]|{_PAIR}|(?!{_LONE}){_ESCAPE})*')
_LONGEST: Final = 12
"""Characters of the longest escape, two halves of a pair."""
_SPACE: Final = " \t\n\r"


@dataclass(frozen=True)
class JsonObject:
    r"""A JSON object with a string for each stage.

    Any response can be written, except one that is empty or begins with white space; what JSON
    must escape is escaped, so a line break is ``\n``. Written with one space after a colon and a
    comma; read with any white space between marks, as a schema holds a server to no spacing.

    Attributes:
        order: Order of the keys, the response last.

    Raises:
        BuildError: If the order is no permutation of the stages.
    """

    name: ClassVar[str] = "json"
    order: tuple[StageName, ...] = SMES_ORDER

    def __post_init__(self) -> None:
        check_order(self.order)

    def check(self, labels: LabelSet) -> None:
        """Check that every label of a set can be written."""
        for label in labels.labels:
            try:
                _inside(label)
            except ValueError as error:
                raise BuildError(f"{labels.name}: {error}") from None

    def write(self, plan: Plan, response: str) -> str:
        """The whole object."""
        if not response or response[0].isspace():
            raise ValueError("codec 'json': a response is not empty and begins with no space")
        return f'{self.lead(plan, "response")}{_inside(response)}"}}'

    def lead(self, plan: Plan, stage: StageName) -> str:
        """The object so far, up to and with the quotation mark that opens a stage's value."""
        before = self.order[: self.order.index(stage)]
        parts = [f'"{d.stage}": "{_inside(d.label)}", ' for d in plan.decided(before)]
        return f'{{{"".join(parts)}"{stage}": "'

    def read(
        self, text: str, fields: Sequence[LabelField], source: str
    ) -> tuple[list[Decision], str]:
        """Read a whole object."""
        parser = self.parser(source, fields)
        items = parser.feed(text)
        parser.close()
        if parser.rest.strip(_SPACE):
            raise BackendError(source, "the form 'json' goes on after its end")
        decisions = [item for item in items if isinstance(item, Decision)]
        return decisions, "".join(item for item in items if isinstance(item, str))

    def parser(self, source: str, fields: Sequence[LabelField]) -> JsonParser:
        """A parser of an object that arrives in pieces."""
        return JsonParser(source, fields)

    def grammar(self, fields: Sequence[LabelField]) -> str:
        """A regular expression that the written object matches."""
        labels = "".join(
            f'"{f.stage}": "({"|".join(escaped(_inside(label)) for label in f.allowed)})", '
            for f in fields
        )
        unit = r'([^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-f]{4})'
        first = r'([^"\\\x00-\x20]|\\["\\/b]|\\u[0-9a-f]{4})'
        return f'\\{{{labels}"response": "{first}{unit}*"\\}}'

    def schema(self, fields: Sequence[LabelField]) -> Mapping[str, object]:
        """A JSON schema of the object, its properties in order."""
        properties: dict[str, object] = {
            f.stage: {"type": "string", "enum": list(f.allowed)} for f in fields
        }
        properties["response"] = {"type": "string"}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def ask(self, fields: Sequence[LabelField]) -> str:
        """The object with what may stand in each value."""
        keys = [f'"{f.stage}": one of {", ".join(f.allowed)}' for f in fields]
        keys.append('"response": your response')
        return "Answer with one JSON object and nothing else, its keys in this order:\n" + (
            "\n".join(keys)
        )


class JsonParser:
    """Reads an object as it arrives.

    Args:
        source: Name for errors and decisions.
        fields: What must be decided, in order.
    """

    def __init__(self, source: str, fields: Sequence[LabelField]) -> None:
        self._source, self._open = source, list(fields)
        keys = [*(field.stage for field in fields), "response"]
        self._marks = ["{"]
        for key in keys:
            self._marks += [f'"{key}"', ":", '"', "value", '"', ","]
        self._marks[-1] = "}"
        self._buffer, self._value = "", ""
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
        self._buffer += chunk
        found: list[Decision | str] = []
        try:
            while self._marks and self._passed(found):
                self._marks.pop(0)
        except BackendError as fault:
            self._left = fault
            if not found:
                raise
            return found
        if not self._marks:
            self.done = True
            self.rest, self._buffer = self.rest + self._buffer, ""
        return found

    def close(self, *, cut: bool = False) -> None:
        """The text has ended."""
        if self._left is not None:
            raise self._left
        if self._open:
            raise self._fault(f"ended before the {self._open[0].stage} was whole")
        if not self.started:
            raise self._fault("ended without a response")
        if not self.done and not cut:
            raise self._fault("ended before its last bracket")

    def _passed(self, found: list[Decision | str]) -> bool:
        """Whether the next mark is whole; what becomes known is added, also before a fault."""
        mark = self._marks[0]
        if mark == "value":
            return self._label(found) if self._open else self._words(found)
        # White space before a value's end would belong to the value, which has taken it.
        self._buffer = self._buffer.lstrip(_SPACE)
        if self._buffer.startswith(mark):
            self._buffer = self._buffer.removeprefix(mark)
            return True
        if not mark.startswith(self._buffer):
            raise self._fault(f"has no {mark} where it is due")
        return False

    def _words(self, found: list[Decision | str]) -> bool:
        text = self._string()
        if not self.started:
            text = text.lstrip()
        if text:
            self.started = True
            found.append(text)
        return self._ended()

    def _label(self, found: list[Decision | str]) -> bool:
        self._value += self._string()
        field = self._open[0]
        if not self._ended():
            if len(self._value) > max(map(len, field.labels.labels)):
                raise self._fault(f"names no allowed {field.stage}")
            return False
        if self._value not in field.allowed:
            raise self._fault(f"names no allowed {field.stage}")
        label, self._value = self._value, ""
        self._open.pop(0)
        found.append(field.certain(label, self._source))
        return True

    def _string(self) -> str:
        """Take what the buffer holds of a string, decoded."""
        taken = _STRING.match(self._buffer)
        assert taken is not None, "the pattern matches the empty text"
        self._buffer = self._buffer[taken.end() :]
        return str(json.loads(f'"{taken[0]}"'))

    def _ended(self) -> bool:
        """Whether a string has ended, as far as its characters are taken."""
        rest = self._buffer
        if rest and rest[0] != '"' and (rest[0] != "\\" or len(rest) >= _LONGEST):
            raise self._fault("holds what no string may hold")
        return rest.startswith('"')

    def _fault(self, what: str) -> BackendError:
        return BackendError(self._source, f"the form 'json' {what}")


def _inside(text: str) -> str:
    """A string as JSON has it between its quotation marks.

    Raises:
        ValueError: If it holds half of a surrogate pair.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("codec 'json': half of a surrogate pair cannot be written")
    return json.dumps(text, ensure_ascii=False)[1:-1]
