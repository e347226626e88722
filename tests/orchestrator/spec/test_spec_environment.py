"""Variables in a spec, and that their values are never told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectgraph.orchestrator.spec.environment import Environment, literal
from affectgraph.perceivers.errors import BuildError


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${NAME}", "ana"),
        ("hi ${NAME}!", "hi ana!"),
        ("${NAME}${NAME}", "anaana"),
        ("${NONE:-ben}", "ben"),
        ("${EMPTY:-ben}", "ben"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NAME:-ben}", "ana"),
        ("$${NAME}", "${NAME}"),
        ("$NAME $", "$NAME $"),
    ],
)
def test_variables_are_filled_in(text: str, filled: str) -> None:
    assert Environment({"NAME": "ana", "EMPTY": ""}).fill(text) == filled


@pytest.mark.parametrize("text", ["${NONE}", "a ${NONE} b"])
def test_a_variable_that_is_not_set_is_named(text: str) -> None:
    with pytest.raises(BuildError, match=r"NONE is not set; set it, or write \$\{NONE:-default\}"):
        Environment({}).fill(text)


@pytest.mark.parametrize("text", ["${", "${}", "${a b}", "${1}", "${NAME"])
def test_what_opens_no_variable_is_a_fault(text: str) -> None:
    with pytest.raises(BuildError, match=r"opens no variable"):
        Environment({"NAME": "x"}).fill(text)


def test_values_are_concealed_the_longest_first() -> None:
    environment = Environment({"A": "sesame", "B": "open sesame"})
    environment.fill("${A} ${B} ${C:-told}")
    assert environment.conceal("say open sesame, not sesame; told") == "say ${B}, not ${A}; told"


@given(st.text())
def test_a_literal_fills_to_itself(text: str) -> None:
    assert Environment({}).fill(literal(text)) == text
