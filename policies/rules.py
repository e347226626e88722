"""The rule file of the triage: read, checked and compiled."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from affectgraph.perceivers.errors import SetupError
from affectgraph.policies.folding import Folding
from affectgraph.policies.phrases import PhraseBook
from affectgraph.policies.verdict import RiskAxis


class Rule(BaseModel):
    """One rule of the triage.

    Attributes:
        name: Name in assessments.
        axis: What kind of risk.
        level: Level from 0 to 6, before context is weighed.
        patterns: Phrases, any of which is enough.
        negatable: Whether a negation before it lowers the level.
        hyperbole: Whether laughter around it lowers the level by one.
        third_party: Whether someone else is at risk.
        game: Whether talk of a game around it lowers the level.
        alone: Whether the phrase must be the whole message.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z-]+$")
    axis: RiskAxis
    level: int = Field(ge=1, le=6)
    patterns: tuple[str, ...] = Field(min_length=1)
    negatable: bool = True
    hyperbole: bool = False
    third_party: bool = False
    game: bool = False
    alone: bool = False


class RuleFile(BaseModel):
    """The rule file as it is written; see ``phrases.py`` for the language of the phrases.

    Attributes:
        note: For the reader of the file.
        version: Date and number of the file.
        groups: Named groups of phrases.
        masks: Idioms, hidden from every rule.
        rules: What is looked for.
        negators: Words that negate what follows them.
        negation_fillers: What may stand between a negator and what it negates.
        flips: Words before a negator that undo it ("don't know", "can't promise").
        past: Signs that a sentence tells of a time long ago.
        present: Signs that it does not only.
        third_subjects: Subjects other than the speaker.
        addressee: The agent as subject.
        laughter: Signs of joking.
        fiction: Signs that a story, song or film is spoken of.
        games: Signs that a game is spoken of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    version: str
    groups: dict[str, str]
    masks: tuple[str, ...]
    rules: tuple[Rule, ...]
    negators: tuple[str, ...]
    negation_fillers: tuple[str, ...]
    flips: tuple[str, ...]
    past: tuple[str, ...]
    present: tuple[str, ...]
    third_subjects: tuple[str, ...]
    addressee: tuple[str, ...]
    laughter: tuple[str, ...]
    fiction: tuple[str, ...]
    games: tuple[str, ...]


@dataclass(frozen=True)
class RuleSet:
    """The compiled rule file. Every expression applies to :attr:`Line.text`.

    Attributes:
        rules: Each rule with its expression, the highest level first.
        masks: Idioms.
        negated: Matches a text that ends in an open negation.
        third: Matches a text that ends in a subject other than the speaker.
        addressee: Matches a text that ends in "you".
        past, present, laughter, fiction, games: Signs; see :class:`RuleFile`.
        folding: Folds text to the words of the file.
    """

    rules: tuple[tuple[Rule, re.Pattern[str]], ...]
    masks: re.Pattern[str]
    negated: re.Pattern[str]
    third: re.Pattern[str]
    addressee: re.Pattern[str]
    past: re.Pattern[str]
    present: re.Pattern[str]
    laughter: re.Pattern[str]
    fiction: re.Pattern[str]
    games: re.Pattern[str]
    folding: Folding = field(compare=False)


def compile_rules(file: RuleFile) -> RuleSet:
    """Compile a rule file.

    Raises:
        SetupError: If a phrase does not parse.
    """
    book = PhraseBook(file.groups, file.negators)
    rules = tuple(
        (rule, book.compile(rule.patterns))
        for rule in sorted(file.rules, key=lambda rule: -rule.level)
    )
    # The words of idioms are known words too, so that "deadline" is never read as two.
    masks = book.compile(file.masks)
    signs = {
        name: book.compile(getattr(file, name))
        for name in ("past", "present", "laughter", "fiction", "games")
    }
    fillers = "|".join(re.escape(filler) for filler in file.negation_fillers)
    negators, flips = ("|".join(map(re.escape, words)) for words in (file.negators, file.flips))
    between = f"(?:(?:{fillers}) ){{0,6}}"
    return RuleSet(
        rules=rules,
        masks=masks,
        negated=re.compile(
            f"(?<= )(?P<flip>(?:(?:{flips}|{negators}) )(?:[^ .]{{1,40}} ){{0,2}})?"
            f"(?:{negators}) {between}$"
        ),
        third=_ending(book, file.third_subjects, between),
        addressee=_ending(book, file.addressee, between),
        folding=Folding(book.vocabulary),
        **signs,
    )


def _ending(book: PhraseBook, phrases: tuple[str, ...], between: str) -> re.Pattern[str]:
    return re.compile(f"{book.compile(phrases).pattern}{between}$")


@cache
def shipped_rules() -> RuleSet:
    """The rules of the package, compiled once.

    Raises:
        SetupError: If the file is damaged.
    """
    text = (files("affectgraph.policies") / "data" / "risk_rules.json").read_text("utf-8")
    try:
        return compile_rules(RuleFile.model_validate_json(text))
    except ValidationError as error:
        raise SetupError(f"risk_rules.json does not parse: {error}") from error
