"""The library of written replies: a data file, and the choice among its variants."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from affectgraph.perceivers.errors import SetupError
from affectgraph.reasoners.context import ReasoningContext
from affectgraph.reasoners.plan import Plan
from affectgraph.reasoners.replies.datafiles import packaged, read
from affectgraph.reasoners.replies.findings import Situation
from affectgraph.reasoners.replies.form import Loops
from affectgraph.reasoners.replies.lexicon import lexicon
from affectgraph.reasoners.replies.situations import (
    Foreign,
    LanguageName,
    SituationName,
    Tone,
    rules,
    situation_of,
)
from affectgraph.reasoners.replies.slots import Slots, slots_of
from affectgraph.reasoners.replies.words import sentences, words
from affectgraph.reasoners.tables import asks_for_advice
from affectgraph.reasoners.taxonomy import STRATEGIES

Group = Literal["sad", "loss", "afraid", "angry", "glad", "even"]
"""Emotion groups of the written replies; ``loss`` is grief for somebody who died."""
Move = Literal["ask", "reflect", "affirm", "suggest", "inform", "interpret", "pace", "attend"]
"""What a strategy does, in both strategy sets."""

_GROUPS: Final[Mapping[str, Group]] = {
    "sadness": "sad", "depression": "sad", "fear": "afraid", "anger": "angry", "disgust": "angry",
    "joy": "glad", "neutral": "even",
}  # fmt: skip
_GROUP_NAMES: Final[tuple[Group, ...]] = ("sad", "loss", "afraid", "angry", "glad", "even")
_MOVES: Final[tuple[Move, ...]] = (
    "ask", "reflect", "affirm", "suggest", "inform", "interpret", "pace", "attend",
)  # fmt: skip
_LEAST: Final = 6
_TOLD: Final = 2
"""Words from which a mood that only perception tells is answered."""
_SURE: Final = 0.5
"""Share of belief from which an emotion, or a mood, is answered."""

Variants = tuple[str, ...]


class _Tongue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    low: Variants = Field(min_length=1)
    glad: Variants = Field(min_length=1)
    even: Variants = Field(min_length=1)
    note: str


class LibraryFile(BaseModel):
    """The data file: see ``reasoners/data/written_replies.yaml`` for what each part is.

    Attributes:
        version: Of the wording.
        moves: Strategy set to strategy to move.
        openings: Group to first sentences.
        asked: First sentences for who asks something in an even mood, as they have told nothing
            that one could thank for; those of the group where there are none.
        closings: Move to group to last sentences, at least six each.
        situations: Whole replies for what needs no plan.
        languages: Whole replies in other languages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    moves: dict[str, dict[str, Move]]
    openings: dict[Group, Variants]
    asked: Variants = ()
    closings: dict[Move, dict[Group, Variants]]
    situations: dict[SituationName, Variants]
    languages: dict[LanguageName, _Tongue]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        faults = [
            f"{len(self.closings.get(move, {}).get(group, ()))} closings for {move} x {group}"
            for move in _MOVES
            for group in _GROUP_NAMES
            if len(self.closings.get(move, {}).get(group, ())) < _LEAST
        ]
        for group in _GROUP_NAMES:
            # Without a slot, so that there is something to say whatever the person wrote; the
            # loss is the one group that always has its slot.
            free = [o for o in self.openings.get(group, ()) if group == "loss" or "{" not in o]
            if len(free) < _LEAST:
                faults.append(f"{len(free)} openings without a slot for {group}")
        if self.asked and all("{" in opening for opening in self.asked):
            faults.append("no opening without a slot for who asks")
        faults += [
            f"no move for the strategy {label!r} of {name}"
            for name, labels in STRATEGIES.items()
            for label in labels.labels
            if label not in self.moves.get(name, {})
        ]
        if faults:
            raise ValueError(f"at least {_LEAST} of each are needed: {'; '.join(faults)}")
        return self


@dataclass(frozen=True)
class Written:
    """A written reply.

    Attributes:
        text: The words.
        reason: ``situation-...`` where the message itself asks for written words; else empty.
    """

    text: str
    reason: str = ""


class WrittenReplies:
    """Chooses written replies for what a person said and what was decided.

    The choice is the same for the same conversation, and goes round sentences that stand in the
    replies of the thread so far, as long as there are others.

    Args:
        path: A library of one's own in the same form; by default the package's.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: LibraryFile | None = None

    @property
    def loaded(self) -> bool:
        """Whether the file was read; before, nothing can be chosen."""
        return self._file is not None

    def load(self) -> LibraryFile:
        """Read the file, once; blocks, so call it away from the event loop.

        Raises:
            SetupError: If the file is absent or does not parse.
        """
        if self._file is None:
            # All data that choosing and checking go by is read here, away from the loop.
            lexicon()
            rules()
            self._file = _package_file() if self._path is None else read(self._path, LibraryFile)
        return self._file

    def reply(self, context: ReasoningContext, plan: Plan | None = None) -> Written:
        """A whole reply: for the situation if the message is one, else for the plan.

        Raises:
            SetupError: If the file was not loaded.
        """
        known = self.situation(context)
        return known or Written(self._planned(context, plan or context.plan))

    def situation(self, context: ReasoningContext) -> Written | None:
        """A whole reply to what needs no plan; ``None`` for all else."""
        file, found = self._ready(), situation_of(context.utterance)
        if found is None:
            return None
        rng, used = _rng(context), _used(context)
        if isinstance(found, Foreign):
            text = self._foreign(file.languages[found.language], found.tone, rng, used)
            return Written(text, f"situation-language-{found.language}")
        return Written(_pick(file.situations[found], rng, used), f"situation-{found}")

    def grief(self, context: ReasoningContext, plan: Plan) -> Written | None:
        """A whole reply to who tells of a death, by their own words; ``None`` for all else.

        Raises:
            SetupError: If the file was not loaded.
        """
        if _group(context, plan)[0] != "loss":
            return None
        return Written(self._planned(context, plan), "situation-loss")

    def closing(self, context: ReasoningContext, plan: Plan, said: str) -> str:
        """One written sentence (two for advice) that goes on from what was said.

        Raises:
            SetupError: If the file was not loaded.
        """
        group, _ = _group(context, plan)
        variants = self._ready().closings[self.move(context, plan)][group]
        situation, loops = Situation(context, plan), Loops()
        unlike = [v for v in variants if not any(_loops(loops, v, said, situation))]
        return _pick(unlike or variants, _rng(context), _used(context) | _folded(said))

    def openings(self, group: Group) -> Variants:
        """First sentences of a group, slots and all."""
        return self._ready().openings[group]

    def closings(self, move: Move, group: Group) -> Variants:
        """Last sentences of a move and a group."""
        return self._ready().closings[move][group]

    def _planned(self, context: ReasoningContext, plan: Plan) -> str:
        group, slots = _group(context, plan)
        rng, used = _rng(context), _used(context)
        file = self._ready()
        asks = group == "even" and context.utterance.rstrip().endswith("?")
        variants = file.asked if asks and file.asked else file.openings[group]
        told = [(t, slots.filled(t)) for t in variants]
        # What reflects the person's own words is preferred, as long as it is new.
        own = [text for t, text in told if text is not None and "{" in t]
        plain = [text for t, text in told if text is not None and "{" not in t]
        fresh = [text for text in own if not _folded(text) & used]
        opening = rng.choice(fresh) if fresh else _pick(plain or own, rng, used)
        closing = self.closing(context, plan, opening)
        return f"{opening} {closing}"

    def move(self, context: ReasoningContext, plan: Plan) -> Move:
        """What the decided strategy does; to ask, where none was decided or it is not known.

        Who asks what to do is told something that they could do.
        """
        if asks_for_advice(context.utterance):
            return "suggest"
        decided = plan.strategy
        if decided is None:
            return "ask"
        return self._ready().moves.get(decided.distribution.label_set, {}).get(decided.label, "ask")

    def _foreign(
        self, tongue: _Tongue, tone: Tone, rng: random.Random, used: frozenset[str]
    ) -> str:
        variants = {"low": tongue.low, "glad": tongue.glad, "even": tongue.even}[tone]
        text = _pick(variants, rng, used)
        # Said once a thread.
        return text if _folded(tongue.note) <= used else f"{text} {tongue.note}"

    def _ready(self) -> LibraryFile:
        if self._file is None:
            raise SetupError("the written replies were not loaded: call load() before the turn")
        return self._file


@cache
def _package_file() -> LibraryFile:
    return read(packaged("written_replies.yaml"), LibraryFile)


def _group(context: ReasoningContext, plan: Plan) -> tuple[Group, Slots]:
    """Emotion group by the person's own words, then by what is believed of them.

    A belief that is spread over several emotions is answered by what they have in common.
    """
    slots = slots_of(context.utterance)
    if slots.person is not None and slots.mood != "glad":
        return "loss", slots
    if slots.mood is not None:
        return next((g for g in _GROUP_NAMES if g == slots.mood), "even"), slots
    if len(words(context.utterance)) < _TOLD:
        return "even", slots
    situation = Situation(context, plan)
    belief, feels = situation.belief, situation.feels
    if belief is not None and (belief[belief.top] >= _SURE or situation.borne_out):
        return _GROUPS.get(belief.top, "even"), slots
    if feels.get("low", 0.0) + feels.get("angry", 0.0) >= _SURE:
        return "sad", slots
    return "glad" if feels.get("glad", 0.0) >= _SURE else "even", slots


def _loops(loops: Loops, closing: str, said: str, situation: Situation) -> Iterator[bool]:
    return (bool(loops.find(sentence, said, situation)) for sentence in sentences(closing))


def _rng(context: ReasoningContext) -> random.Random:
    """Seeded by the conversation, so that a turn that is played again says the same."""
    told = f"{len(context.history)}\n{context.utterance}"
    return random.Random(zlib.crc32(told.encode()))  # noqa: S311 - a choice of words


def _used(context: ReasoningContext) -> frozenset[str]:
    return frozenset(s for exchange in context.history for s in _folded(exchange.replied))


def _folded(text: str) -> frozenset[str]:
    return frozenset(" ".join(words(sentence)) for sentence in sentences(text))


def _pick(variants: Sequence[str], rng: random.Random, used: frozenset[str]) -> str:
    """A variant none of whose sentences was said; if there is none, one with the fewest."""
    least = min(_said(variants, used))
    return rng.choice(
        [v for v, n in zip(variants, _said(variants, used), strict=True) if n == least]
    )


def _said(variants: Sequence[str], used: frozenset[str]) -> Iterator[int]:
    return (len(_folded(variant) & used) for variant in variants)
