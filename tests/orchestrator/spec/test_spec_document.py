"""YAML to plain data: what is read, what is refused, and on which line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.orchestrator.spec.document import MAX_BYTES, MAX_DEPTH, parse, scalar


def read(text: str) -> Any:
    document, faults = parse(text, "a.yaml")
    assert faults == []
    assert document is not None
    return document.plain()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("10:30", "10:30"),
        ("2024-01-01", "2024-01-01"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".inf", float("inf")),
        ("'12'", "12"),
        ('"null"', "null"),
        ("|\n  a\n  b", "a\nb\n"),
    ],
)
def test_scalars_are_what_a_reader_takes_them_for(text: str, value: object) -> None:
    assert read(f"key: {text}\n") == {"key": value}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: &x 1\nb: *x", "a.yaml:1: anchors and aliases are not taken (write the value out)"),
        ("a: *x", "a.yaml:1: anchors and aliases are not taken"),
        ("a: 1\nb: !!python/object:os.system x", "a.yaml:2: the tag tag:yaml.org,2002:python/"),
        ("a: 1\nb: !mine {}", "a.yaml:2: the tag !mine is not taken"),
        ("a: !!str 1", "the tag tag:yaml.org,2002:str is not taken"),
        ("? [a]\n: 1", "a.yaml:1: a key must be a word"),
        ("? !!str a\n: 1", "a.yaml:1: a key must be a word"),
        ("a: 1\n---\nb: 2", "a.yaml:2: a second document (one spec a file)"),
        ("a: [1", "a.yaml:1: not valid YAML: "),
        ("a: 1\n b: 2", "a.yaml:2: not valid YAML: "),
        ("a: '\x07'", "not valid YAML: a character that no text may hold"),
        ("", "a.yaml: the file is empty"),
        ("# nothing\n", "a.yaml: the file is empty"),
        ("[" * 200, f"a.yaml:1: nested more than {MAX_DEPTH} deep"),
        ("a: " + "x" * MAX_BYTES, "a.yaml: more than 256 KiB"),
    ],
)
def test_what_is_no_plain_data_is_refused(text: str, fault: str) -> None:
    _, faults = parse(text, "a.yaml")
    assert fault in str(faults[0])


def test_a_key_that_stands_twice_is_a_fault_and_the_rest_is_read() -> None:
    document, faults = parse("a: 1\nb: {c: 1,\n  c: 2}\na: 3\n", "a.yaml")
    assert [str(fault) for fault in faults] == [
        "a.yaml:3: b.c: the key stands twice, first on line 2 (keep one)",
        "a.yaml:4: a: the key stands twice, first on line 1 (keep one)",
    ]
    assert document is not None
    assert document.plain() == {"a": 1, "b": {"c": 1}}


def test_a_growing_document_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    document, faults = parse("\n".join(lines), "a.yaml")
    assert document is None
    assert "anchors and aliases" in str(faults[0])


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    document, faults = parse(text, "a.yaml")
    assert document is not None or faults


@given(st.text(max_size=12))
def test_a_scalar_is_always_a_scalar(text: str) -> None:
    value = scalar(text)
    assert value is None or isinstance(value, str | int | float | bool)
