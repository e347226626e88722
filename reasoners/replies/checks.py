"""The checks together: which there are, which are on, and what they say of a reply."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.text.language import unreadable
from affectgraph.reasoners.replies.findings import Check, Finding, Situation
from affectgraph.reasoners.replies.fit import Advice, Echo, Ground, Heard, Misread, Topic
from affectgraph.reasoners.replies.form import Ends, Language, Length, Loops, Marks
from affectgraph.reasoners.replies.honesty import Being, Diagnosis, Facts, Life, Promises
from affectgraph.reasoners.replies.tone import Contradiction, Manner, Mood
from affectgraph.reasoners.replies.words import sentences

DEFAULT_CHECKS: Final[tuple[Check, ...]] = (
    Marks(), Ends(), Loops(), Length(), Language(), Echo(), Life(), Being(), Promises(), Facts(),
    Diagnosis(), Advice(), Mood(), Manner(), Contradiction(), Misread(), Heard(), Topic(),
)  # fmt: skip
"""All of them, those of a sentence's form first."""

STRICT_CHECKS: Final[tuple[Check, ...]] = (*DEFAULT_CHECKS, Ground())
"""With those that only a small model needs."""

_ANY_LANGUAGE: Final = frozenset({"marks", "loops", "length", "echo"})


@dataclass(frozen=True)
class Checks:
    """Looks a reply over, sentence by sentence.

    The checks of content know English. Where the person writes another language, only those of
    form look (marks, loops, length, echo).

    Attributes:
        checks: What looks for faults, in this order.
    """

    checks: tuple[Check, ...] = DEFAULT_CHECKS

    @classmethod
    def without(cls, off: Sequence[str], *, words: int = 60, strict: bool = False) -> Checks:
        """All checks but those that are named.

        Args:
            off: Their names.
            words: Of a reply, at most.
            strict: Whether those for small models look, too.

        Raises:
            BuildError: If there is no check of a name.
        """
        known = [check.name for check in STRICT_CHECKS]
        if unknown := [name for name in off if name not in known]:
            raise BuildError(
                f"no check of replies is named {', '.join(unknown)}; there are: {', '.join(known)}"
            )
        those = STRICT_CHECKS if strict else DEFAULT_CHECKS
        each = (Length(words) if check.name == Length.name else check for check in those)
        return cls(tuple(check for check in each if check.name not in off))

    def sentence(self, sentence: str, before: str, situation: Situation) -> tuple[Finding, ...]:
        """What is wrong with one sentence, given those before it."""
        english = unreadable(situation.context.utterance) != "unsupported-language"
        return tuple(
            finding
            for check in self.checks
            if english or check.name in _ANY_LANGUAGE
            for finding in check.find(sentence, before, situation)
        )

    def reply(self, reply: str, situation: Situation) -> tuple[Finding, ...]:
        """What is wrong with a whole reply."""
        found: list[Finding] = []
        before = ""
        for sentence in sentences(reply):
            found += self.sentence(sentence, before, situation)
            before = f"{before} {sentence}".strip()
        if not before:
            found.append(Finding("ends", "fragment"))
        return tuple(found)


def codes(findings: Sequence[Finding]) -> tuple[str, ...]:
    """The codes of findings, each once, in their order."""
    return tuple(dict.fromkeys(finding.code for finding in findings))
