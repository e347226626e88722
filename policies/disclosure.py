"""What the agent says of itself: that it is an AI, and that it reads faces or voices.

At the start of a conversation, at least every three hours, and whenever it is sincerely asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from affectgraph.perceivers.errors import SetupError
from affectgraph.policies.folding import Folding
from affectgraph.policies.phrases import Line, PhraseBook

AI_NOTICE: Final = (
    "I'm an AI, a computer program, not a person and not a health professional."
    " I can get things wrong."
)
AI_ANSWER: Final = (
    "You asked, so plainly: I'm an AI, a computer program. No human is writing these messages."
)
READING_NOTICE: Final = (
    "I'm estimating how you feel from {senses}. These are guesses, they can be wrong,"
    " and you can turn this off at any time."
)
_SOURCES: Final = {"camera": "your camera", "microphone": "your voice"}


class DisclosurePolicy:
    """Decides which notices a turn needs.

    Args:
        interval: Longest time between two AI notices of a conversation.
    """

    name = "disclosure"

    def __init__(self, interval: timedelta = timedelta(hours=3)) -> None:
        self._interval = interval
        self._questions = _questions()

    def notices(
        self,
        at: datetime,
        last: datetime | None,
        utterance: str,
        senses: tuple[str, ...],
        *,
        noticed: Collection[str] = (),
    ) -> tuple[str, ...]:
        """The notices to show before the reply, in order; often none.

        Args:
            at: Time of the turn (time zone aware).
            last: When the AI notice was last shown in this conversation; ``None`` if never.
            utterance: What the person said.
            senses: Which of ``camera`` and ``microphone`` are being read for emotion now.
            noticed: Senses that the person has been told of since ``last``. Left empty, the
                notice stands beside every turn in which a sense is active.
        """
        due = last is None or not timedelta() <= at - last < self._interval
        notices: list[str] = []
        if self.asks(utterance):
            notices.append(AI_ANSWER)
        elif due:
            notices.append(AI_NOTICE)
        active = [s for s in _SOURCES if s in senses and (due or s not in noticed)]
        if active:
            named = " and ".join(_SOURCES[sense] for sense in active)
            notices.append(READING_NOTICE.format(senses=named))
        return tuple(notices)

    def asks(self, utterance: str) -> bool:
        """Whether the person sincerely asks if the agent is human."""
        masks, questions, folding = self._questions
        line = Line.of(utterance, folding)
        return questions.search(masks.sub("_ ", line.text)) is not None


class _QuestionFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    note: str
    version: str
    groups: dict[str, str]
    masks: tuple[str, ...]
    questions: tuple[str, ...]


@cache
def _questions() -> tuple[re.Pattern[str], re.Pattern[str], Folding]:
    text = (files("affectgraph.policies") / "data" / "disclosure.json").read_text("utf-8")
    try:
        file = _QuestionFile.model_validate_json(text)
    except ValidationError as error:
        raise SetupError(f"disclosure.json does not parse: {error}") from error
    book = PhraseBook(file.groups)
    masks, questions = book.compile(file.masks), book.compile(file.questions)
    return masks, questions, Folding(book.vocabulary)
