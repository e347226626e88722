"""The rule files: what they may hold, and that no expression can run away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from affectgraph.perceivers.errors import SetupError
from affectgraph.policies.folding import Folding
from affectgraph.policies.phrases import Line, PhraseBook
from affectgraph.policies.rules import RuleSet, shipped_rules

_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT)


def _expressions(rules: RuleSet) -> Iterator[tuple[str, re.Pattern[str]]]:
    yield from ((rule.name, expression) for rule, expression in rules.rules)
    for name in ("masks", "negated", "third", "addressee", "past", "present", "laughter"):
        yield name, getattr(rules, name)
    yield "fiction", rules.fiction
    yield "games", rules.games


def _repeats(tree: Any) -> Iterator[tuple[int, Any]]:
    """Every repetition of a parsed expression: its largest count and its body."""
    for code, argument in tree:
        if code in _REPEATS:
            yield argument[1], argument[2]
        for child in _children(argument):
            yield from _repeats(child)


def _children(argument: Any) -> Iterator[Any]:
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, (tuple, list)):
        for part in argument:
            yield from _children(part)


@pytest.mark.parametrize(("name", "expression"), list(_expressions(shipped_rules())))
def test_every_repetition_is_bounded_and_none_nests_deeply(
    name: str, expression: re.Pattern[str]
) -> None:
    for most, body in _repeats(parser.parse(expression.pattern)):
        assert most <= 40, f"{name}: an unbounded repetition"
        if most > 1:
            for inner, deeper in _repeats(body):
                # Only a word (a run that a space must end) may stand inside a repeated gap.
                assert inner == 1 or not list(_repeats(deeper)), f"{name}: nested repetition"
                assert most <= 9, f"{name}: {most} repeats of a repetition"


def test_rule_names_are_unique_and_every_axis_has_a_rule() -> None:
    rules = [rule for rule, _ in shipped_rules().rules]
    assert len({rule.name for rule in rules}) == len(rules)
    assert {rule.axis for rule in rules} == {
        "suicide", "self-harm", "harm-to-others", "abuse", "medical-emergency",
    }  # fmt: skip


@pytest.mark.parametrize("phrase", ["(a", "a)", "<nobody>", "a||b", "", "a [b]", "()", "A"])
def test_a_phrase_that_does_not_parse_is_refused(phrase: str) -> None:
    with pytest.raises(SetupError):
        PhraseBook({}).compile([phrase])


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("red car", "a red car", True),
        ("red car", "a red, car", True),
        ("red car", "red. Car", False),
        ("red car", "redcar", False),
        ("(red|light blue) car", "light blue car", True),
        ("red? car", "car", True),
        ("a ~2 car", "a big old car", True),
        ("a ~2 car", "a very big old car", False),
        ("a ~2 car", "a not car", False),
        ("auto*", "automobiles", True),
        ("<colour> car", "green car", True),
        ("car $", "my car.", True),
        ("car $", "my car park", False),
    ],
)
def test_the_language_of_phrases(phrase: str, text: str, found: bool) -> None:
    book = PhraseBook({"colour": "(red|green)"}, ["not"])
    expression = book.compile([phrase])
    assert (expression.search(Line.of(text, Folding()).text) is not None) is found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don\u2019t", "i dont"),
        ("na\u00efve CAF\u00c9", "naive cafe"),
        ("so\u200bft", "soft"),
        ("wait... what?!", "wait , what ."),
        ("k!ll", "kill"),
        ("done!i", "done . i"),
        ("covid19", "covid19"),
        ("sooooo", "so"),
        ("d i e now", "die now"),
        ("a b c", "a b c"),
        ("killmyself", "kill myself"),
        ("deadline", "deadline"),
    ],
)
def test_folding(text: str, words: str) -> None:
    folded = Folding({"kill", "myself", "die", "now"}).words(text)
    assert " ".join(word.text for word in folded) == words
