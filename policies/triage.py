"""How much risk a person's words show: rules over folded words.

The levels follow the ladder of the Columbia scale (Posner et al. 2011), as
:class:`~affectgraph.policies.verdict.RiskAssessment` tells it. Rules decide what is said; the
words around it decide how it is meant: a negation, a time long past, a story, a joke or another
person lowers a level, and never all the way to nothing. What is unclear is told higher, not lower.
A rule set cannot find everything: pair it with a trained classifier and take the higher level.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from affectgraph.policies.phrases import Line
from affectgraph.policies.rules import Rule, RuleSet, shipped_rules
from affectgraph.policies.verdict import RiskAssessment, RiskAxis

_WINDOW: Final = 120


class Finding(NamedTuple):
    """One match of a rule, its context weighed.

    Attributes:
        name: Rule's name, with what lowered it: ``suicide-active:negated``.
        axis: What kind of risk.
        level: Level after weighing.
        span: Where in the utterance.
        negated: Whether a negation stood before it.
    """

    name: str
    axis: RiskAxis
    level: int
    span: tuple[int, int]
    negated: bool


class RiskTriage:
    """Assesses an utterance; a pure function of the text that never raises.

    Args:
        rules: Compiled rules; by default those of the package, compiled at the first use or by
            ``warm_up``.
    """

    name = "triage"

    def __init__(self, rules: RuleSet | None = None) -> None:
        self._given = rules

    def warm_up(self) -> None:
        """Compile the rules, half a second once a process; blocking.

        Raises:
            SetupError: If the rule file is damaged.
        """
        _ = self._rules

    @property
    def quick_below(self) -> int:
        """Characters that are assessed in a millisecond or two; none before the rules are there."""
        loaded = self._given is not None or shipped_rules.cache_info().currsize > 0
        return 200 if loaded else 0

    @property
    def _rules(self) -> RuleSet:
        return self._given or shipped_rules()

    def assess(self, text: str) -> RiskAssessment:
        """Assess one utterance.

        An internal fault gives level 3 with ``degraded`` set: resources, not silence.
        """
        try:
            return self._assess(text)
        except Exception:  # noqa: BLE001 - whatever fails here, the person must still be answered
            return RiskAssessment(
                level=3, axes=("suicide",), rules=("triage-failed",), degraded=True
            )

    def _assess(self, text: str) -> RiskAssessment:
        line = Line.of(text, self._rules.folding)
        hidden = self._rules.masks.sub(lambda m: _blank(m.group()), line.text)
        findings = list(self._findings(line, hidden))
        if not findings:
            return RiskAssessment(level=0)
        findings.sort(key=lambda finding: -finding.level)
        level = findings[0].level
        if level < 2 and any(f.negated for f in findings) and not all(f.negated for f in findings):
            # "I'm not suicidal, I just can't take it any more": the denial does not stand alone.
            level = 2
        return RiskAssessment(
            level=level,
            axes=tuple(dict.fromkeys(f.axis for f in findings if f.level >= min(level, 2) - 1)),
            spans=tuple(dict.fromkeys(finding.span for finding in findings)),
            rules=tuple(dict.fromkeys(finding.name for finding in findings)),
        )

    def _findings(self, line: Line, hidden: str) -> Iterator[Finding]:
        for rule, expression in self._rules.rules:
            for match in expression.finditer(hidden):
                start, end = match.span()
                if rule.alone and hidden[:start].strip(' .,"_') + hidden[end:].strip(' .,"_'):
                    continue
                level, why = self._weigh(rule, hidden, *_bounds(line, start, end))
                yield Finding(
                    name=rule.name + (f":{why}" if why else ""),
                    axis=rule.axis,
                    level=level,
                    span=line.original(start, end),
                    negated=why == "negated",
                )

    def _weigh(
        self, rule: Rule, hidden: str, first: int, start: int, end: int, last: int
    ) -> tuple[int, str]:
        """The level in its context, and what lowered it."""
        rules, level = self._rules, rule.level
        before = hidden[max(first, start - _WINDOW) : start]
        sentence = hidden[first:last]
        if rule.negatable and self._negated(before, hidden[end:last]):
            return (1 if level <= 3 else 2), "negated"
        if level == 1:
            return 1, ""
        to_agent = not rule.third_party and " me " not in hidden[start:end]
        if to_agent and rules.addressee.search(before):
            return 1, "asked"
        if rules.fiction.search(sentence) and self._told(rule, before, hidden[start:end], sentence):
            return (1 if rule.third_party or rule.axis != "suicide" else min(level, 2)), "fiction"
        if rules.past.search(sentence) and not rules.present.search(sentence):
            floor = 2 if rule.axis in ("suicide", "self-harm", "abuse") and level >= 2 else 1
            return min(level, max(floor, level - 3)), "past"
        if rule.game and rules.games.search(sentence):
            return 1, "game"
        if rule.hyperbole and level <= 3 and rules.laughter.search(sentence + _next(hidden, last)):
            return level - 1, "laughter"
        of_self = rule.axis in ("suicide", "self-harm") and not rule.third_party
        if of_self and rules.third.search(before):
            return min(level, 3), "third-party"
        return level, ""

    def _negated(self, before: str, after: str) -> bool:
        found = self._rules.negated.search(before)
        if found is None or found["flip"] is not None:
            return False
        # "I never wanted to die so much" and "not only ..." say more, not less.
        return not after.startswith(("so ", "more ", "this ", "as much "))

    def _told(self, rule: Rule, before: str, said: str, sentence: str) -> bool:
        """Whether a sentence about a story tells of somebody in it, or quotes."""
        if rule.third_party or before.count('"') % 2 == 1:
            return True
        subject = self._rules.third.search(before) is not None
        return subject and " i " not in before and " im " not in f" {before}{said}{sentence[:4]}"


def accumulate(previous_level: int, assessment: RiskAssessment) -> int:
    """The level of a conversation after one more utterance.

    It never falls by itself: that someone now says that they are fine is no proof of it.

    Args:
        previous_level: Level of the conversation so far, 0 to 6.
        assessment: The new utterance's.
    """
    return max(previous_level, assessment.level)


def _blank(text: str) -> str:
    return "".join("_" if char not in " ." else char for char in text)


def _bounds(line: Line, start: int, end: int) -> tuple[int, int, int, int]:
    first, last = line.sentence(start)
    return first, start, end, max(last, end)


def _next(hidden: str, last: int) -> str:
    """The words after a sentence, up to the next full stop; laughter often stands there."""
    rest = hidden[last : last + 40].removeprefix(". ")
    return " " + rest.split(" . ")[0]
