"""What no generated sentence may say.

Each policy reviews one :class:`~affectgraph.policies.contracts.Sentence` before anyone sees it.
Phrases catch what is plainly said; they do not replace a model trained for the task.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from affectgraph.perceivers.errors import SetupError
from affectgraph.policies.contracts import Policy, Sentence
from affectgraph.policies.folding import Folding
from affectgraph.policies.phrases import Line, PhraseBook
from affectgraph.policies.verdict import Verdict

_MARKS: Final = frozenset('.,"')


class _Phrases(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reason: str = Field(pattern=r"^[a-z-]+$")
    negatable: bool = False
    reflected: bool = False
    echo: bool = False
    patterns: tuple[str, ...] = Field(min_length=1)


class _PhrasePolicy(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rules: tuple[_Phrases, ...]


class _OutputFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    version: str
    negators: tuple[str, ...]
    reflecting: tuple[str, ...]
    groups: dict[str, str]
    policies: tuple[_PhrasePolicy, ...]
    wording: tuple[tuple[str, str], ...]


class PhrasePolicy:
    """Blocks a sentence that holds one of its phrases.

    Args:
        name: Name of the policy in ``output_rules.json``.

    Raises:
        SetupError: If the file has no such policy.
    """

    def __init__(self, name: Literal[
        "human-claims", "scope", "self-harm-safety", "dignity", "attachment"
    ]) -> None:  # fmt: skip
        file = _file()
        found = next((p for p in file.policies if p.name == name), None)
        if found is None:
            raise SetupError(f"output_rules.json has no policy {name!r}")
        book = PhraseBook(file.groups, file.negators)
        self.name: str = name
        self._rules = tuple((rule, book.compile(rule.patterns)) for rule in found.rules)
        self._folding = Folding(book.vocabulary)
        self._negators = frozenset(file.negators)
        self._reflecting = frozenset(file.reflecting)

    def review(self, subject: Sentence) -> Verdict:
        """Allow, or block with the reasons that were found."""
        line = Line.of(subject.text, self._folding)
        said = {word.text for word in self._folding.words(subject.utterance)}
        reasons = tuple(
            dict.fromkeys(
                rule.reason
                for rule, expression in self._rules
                for match in expression.finditer(line.text)
                if not (rule.negatable and _near(self._negators, line.text[: match.start()]))
                and not (rule.reflected and _near(self._reflecting, line.text[: match.start()]))
                and not (rule.echo and _last_word(match.group()) in said)
            )
        )
        return Verdict(action="block" if reasons else "allow", policy=self.name, reasons=reasons)


class PromptLeakPolicy:
    """Blocks a sentence that shows the prompt, its labels or the marks of a chat format."""

    name = "prompt-leak"
    _signs = re.compile(
        r"\b(user|system|client|assistant|therapist)['\u2019]?s?[ _-]emotion\s*[:=]"
        r"|\bsystem prompt\b|\bmy (system )?(prompt|instructions) (is|are|say|says|tell|tells)\b"
        r"|\bI (was|am|have been) (instructed|prompted|programmed) to\b"
        r"|\bas an? (ai )?(large )?language model\b"
        r"|^\W{0,3}(strategy|response|reply|user|assistant|human|ai|system|context|memory|memories"
        r"|client|supporter|seeker|support strategy|user_emotion|system_emotion)\W{0,3}:"
        r"|\b(user_emotion|system_emotion|chosen strategy)\b"
        r"|\bthe speaker('s)? (is|appears|looks|face)\b"
        r"|<\|?/?(im_start|im_end|system|user|assistant|think|s|inst|eot_id|endoftext)\b"
        r"|\[/?INST\]|<<SYS>>|^\s*#{2,4} |```|\{\s*\"",
        re.IGNORECASE,
    )

    def review(self, subject: Sentence) -> Verdict:
        """Allow or block."""
        if self._signs.search(subject.text):
            return Verdict(action="block", policy=self.name, reasons=("prompt-leak",))
        return Verdict(action="allow", policy=self.name)


class RepetitionPolicy:
    """Drops a sentence that was already delivered, by revising it to nothing."""

    name = "repetition"

    def __init__(self) -> None:
        self._folding = Folding()

    def review(self, subject: Sentence) -> Verdict:
        """Allow, or revise to nothing."""
        said = self._words(subject.text)
        held = f" {self._words(subject.before)} "
        if said.count(" ") >= 1 and f" {said} " in held:
            return Verdict(
                action="revise", policy=self.name, reasons=("repetition",), replacement=""
            )
        return Verdict(action="allow", policy=self.name)

    def _words(self, text: str) -> str:
        return " ".join(w.text for w in self._folding.words(text) if w.text not in _MARKS)


class EchoPolicy:
    """Drops a sentence that gives the person's own words back to them at length.

    Args:
        longest: Words in a row that may be the person's; a restatement changes "I" to "you" and
            stays well below.
    """

    name = "echo"

    def __init__(self, longest: int = 9) -> None:
        self._longest = longest
        self._folding = Folding()

    def review(self, subject: Sentence) -> Verdict:
        """Allow, or revise to nothing."""
        said, heard = self._runs(subject.text), self._runs(subject.utterance)
        if said & heard:
            return Verdict(action="revise", policy=self.name, reasons=("echo",), replacement="")
        return Verdict(action="allow", policy=self.name)

    def _runs(self, text: str) -> set[tuple[str, ...]]:
        words = [w.text for w in self._folding.words(text) if w.text not in _MARKS]
        size = self._longest + 1
        return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


class WordingPolicy:
    """Revises words about suicide that safe-messaging guides advise against."""

    name = "wording"

    def __init__(self) -> None:
        self._pairs = tuple(
            (re.compile(rf"\b{old.replace(' ', r'[ ]+')}\b", re.IGNORECASE), new)
            for old, new in _file().wording
        )

    def review(self, subject: Sentence) -> Verdict:
        """Allow, or revise with better words."""
        text = subject.text
        for old, new in self._pairs:
            text = old.sub(new, text)
        if text == subject.text:
            return Verdict(action="allow", policy=self.name)
        return Verdict(
            action="revise", policy=self.name, reasons=("unsafe-wording",), replacement=text
        )


def default_output_policies() -> tuple[Policy[Sentence], ...]:
    """The output policies of the package: those that block first, then those that revise."""
    return (
        PhrasePolicy("self-harm-safety"),
        PhrasePolicy("scope"),
        PhrasePolicy("human-claims"),
        PhrasePolicy("dignity"),
        PhrasePolicy("attachment"),
        PromptLeakPolicy(),
        RepetitionPolicy(),
        EchoPolicy(),
        WordingPolicy(),
    )


def _near(words: frozenset[str], before: str) -> bool:
    """Whether one of the words is among the last four of ``before``, in the same clause."""
    for word in reversed(before.split()[-4:]):
        if word in _MARKS:
            return False
        if word in words:
            return True
    return False


def _last_word(phrase: str) -> str:
    words = [word for word in phrase.split() if word not in _MARKS]
    return words[-1]


@cache
def _file() -> _OutputFile:
    text = (files("affectgraph.policies") / "data" / "output_rules.json").read_text("utf-8")
    try:
        return _OutputFile.model_validate_json(text)
    except ValidationError as error:
        raise SetupError(f"output_rules.json does not parse: {error}") from error
