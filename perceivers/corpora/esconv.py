"""ESConv (Liu et al., 2021): peer support chats with situations and strategies; CC BY-NC 4.0."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

from affectgraph.perceivers.corpora.find import folder, spread
from affectgraph.perceivers.errors import SetupError

Split = Literal["train", "valid", "test"]

_SPEAKERS: Final = MappingProxyType({"usr": "seeker", "sys": "supporter"})


@dataclass(frozen=True)
class Line:
    """One message of a chat; ``strategy`` is the supporter's, ``""`` for the seeker."""

    speaker: str
    text: str
    strategy: str


@dataclass(frozen=True)
class Chat:
    """One chat.

    Attributes:
        situation: What the seeker wrote of it beforehand.
        problem: One of 13 problem types, as the file names it.
        emotion: One of 11 emotion types, as the file names it.
        before: Intensity of the emotion at the start, 1 to 5; ``None`` if it was not told.
        after: Intensity at the end, 1 to 5; ``None`` if it was not told.
        lines: The messages.
    """

    situation: str
    problem: str
    emotion: str
    before: int | None
    after: int | None
    lines: tuple[Line, ...]


def load(data: Path, split: Split, *, limit: int = 0, seed: int = 0) -> tuple[Chat, ...]:
    """Read a split.

    Args:
        data: ESConv's folder, or the one that holds it as ``esconv``.
        split: Which.
        limit: Chats at most, drawn evenly over the problems; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If the file is absent, or a line is not as it should be.
    """
    file = folder(data, "esconv", f"{split}.txt") / f"{split}.txt"
    chats = []
    with file.open(encoding="utf-8") as opened:
        for number, line in enumerate(opened, 1):
            try:
                chats.append(_chat(json.loads(line)))
            except (KeyError, TypeError, ValueError, AttributeError):
                raise SetupError(
                    f"{file}:{number}: want situation, problem_type, emotion_type, survey_score and"
                    " a dialog of text, speaker and strategy"
                ) from None
    if not chats:
        raise SetupError(f"{file}: no chats")
    return tuple(chats[row] for row in spread([chat.problem for chat in chats], limit, seed))


def _chat(told: dict[str, Any]) -> Chat:
    seeker = told["survey_score"]["seeker"]
    return Chat(
        situation=told["situation"].strip(),
        problem=told["problem_type"].strip(),
        emotion=told["emotion_type"].strip(),
        before=_intensity(seeker.get("initial_emotion_intensity")),
        after=_intensity(seeker.get("final_emotion_intensity")),
        lines=tuple(
            Line(_SPEAKERS[each["speaker"]], each["text"].strip(), each.get("strategy") or "")
            for each in told["dialog"]
        ),
    )


def _intensity(told: str | None) -> int | None:
    return int(told) if told else None
