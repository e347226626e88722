"""YAML to plain data that knows its lines; nothing but mappings, lists and scalars.

Scalars are read as YAML 1.2's core schema has them, so that ``NO`` is Norway and ``10:30`` a
time of day in words. Tags, anchors and aliases are refused: no document can make an object, nor
grow when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from affectgraph.orchestrator.spec.faults import Place, SpecFault

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 24

Scalar = str | int | float | bool | None
Plain = Scalar | tuple["Plain", ...] | Mapping[str, "Plain"]
"""What an option may hold; lists are tuples."""

_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS: Final[Mapping[str, Scalar]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True)
class Located:
    """A value and the line on which it stands.

    Attributes:
        value: A scalar, a tuple or a dictionary of further located values.
        line: From 1.
    """

    value: Scalar | tuple[Located, ...] | dict[str, Located]
    line: int

    def plain(self) -> Plain:
        """The value without its lines."""
        if isinstance(self.value, tuple):
            return tuple(item.plain() for item in self.value)
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value


def scalar(text: str) -> Scalar:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    # An integer of more digits than Python converts is text.
    if _INTEGER.fullmatch(text) and len(text) < 400:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    return text


def parse(text: str, source: str) -> tuple[Located | None, list[SpecFault]]:
    """Read one document.

    Args:
        text: YAML.
        source: Its name in faults.

    Returns:
        The document (``None`` if it cannot be read at all) and its faults.
    """
    place = Place(source)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return None, [SpecFault(place, f"more than {MAX_BYTES // 1024} KiB: no spec is so long")]
    reading = _Reading(place)
    try:
        return reading.document(iter(yaml.parse(text, Loader=yaml.SafeLoader))), reading.faults
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = Place(source, mark.line + 1 if mark else 1)
        return None, [SpecFault(at, f"not valid YAML: {error.problem or error.context}")]
    except yaml.YAMLError:
        return None, [SpecFault(place, "not valid YAML: a character that no text may hold")]
    except _Refused as refused:
        return None, [refused.fault]


class _Refused(Exception):  # noqa: N818 - leaves the recursion with its fault, and nothing else
    def __init__(self, fault: SpecFault) -> None:
        self.fault = fault


class _Reading:
    """One pass over a document's events."""

    def __init__(self, place: Place) -> None:
        self.faults: list[SpecFault] = []
        self._place = place
        self._documents = 0

    def document(self, events: Iterator[Event]) -> Located | None:
        found: Located | None = None
        for event in events:
            if isinstance(event, DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    raise self._refused(event, "a second document", "one spec a file")
            elif isinstance(event, NodeEvent):
                found = self._node(event, events, self._place, 0)
        if found is None:
            self.faults.append(SpecFault(self._place, "the file is empty"))
        return found

    def _node(self, event: NodeEvent, events: Iterator[Event], place: Place, depth: int) -> Located:
        line = _line(event)
        place = Place(place.source, line, place.path)
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise self._refused(event, "anchors and aliases are not taken", "write the value out")
        if depth > MAX_DEPTH:
            raise self._refused(event, f"nested more than {MAX_DEPTH} deep")
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            raise self._refused(event, f"the tag {event.tag} is not taken", "no tags in a spec")
        if isinstance(event, ScalarEvent):
            return Located(scalar(event.value) if event.implicit[0] else event.value, line)
        if isinstance(event, SequenceStartEvent):
            return Located(tuple(self._items(events, place, depth)), line)
        assert isinstance(event, MappingStartEvent)
        return Located(self._pairs(events, place, depth), line)

    def _items(self, events: Iterator[Event], place: Place, depth: int) -> Iterator[Located]:
        for at, event in enumerate(events):
            if isinstance(event, CollectionEndEvent):
                return
            assert isinstance(event, NodeEvent)
            yield self._node(event, events, place.at(at), depth + 1)

    def _pairs(self, events: Iterator[Event], place: Place, depth: int) -> dict[str, Located]:
        pairs: dict[str, Located] = {}
        for event in events:
            if isinstance(event, CollectionEndEvent):
                break
            if not isinstance(event, ScalarEvent) or event.tag or event.anchor:
                raise self._refused(event, "a key must be a word")
            key, line = event.value, _line(event)
            here = place.at(key, line)
            value = self._node(_next_node(events), events, here, depth + 1)
            if key in pairs:
                first = pairs[key].line
                self.faults.append(
                    SpecFault(here, f"the key stands twice, first on line {first}", "keep one")
                )
            else:
                # The key's line, not the value's: that is where a reader looks.
                pairs[key] = Located(value.value, line)
        return pairs

    def _refused(self, event: Event, fault: str, hint: str = "") -> _Refused:
        return _Refused(SpecFault(Place(self._place.source, _line(event)), fault, hint))


def _line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _next_node(events: Iterator[Event]) -> NodeEvent:
    event = next(events)
    assert isinstance(event, NodeEvent)
    return event
