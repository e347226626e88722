"""ESConv's chats (Liu et al., 2021) as a reasoner is trained on them.

ESConv labels no turn's emotion. The seeker's is what the framework's own text reader finds in the
turn, weighed with the emotion that the seeker named for the whole chat; the system's is what the
rule table holds fitting. What an AI must not learn to say stays in the history and out of the
loss: disclosures of a life of one's own, and claims to be human or to treat people.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Final

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora import esconv
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.dialogues import Dialogue, planned
from affectgraph.reasoners.training.own_dialogues import tone_for

ReadEmotions = Callable[[Sequence[str]], Awaitable[Sequence[Distribution | None]]]
"""Beliefs over MESC-7 for texts; ``None`` where a text cannot be read."""

NAMED_ODDS: Final = 2.0
"""How much the emotion that a seeker named for the chat raises the odds of it in each turn."""

EMOTION_TYPES: Final = MappingProxyType(
    {
        "anxiety": "fear",
        "fear": "fear",
        "nervousness": "fear",
        "depression": "depression",
        "sadness": "sadness",
        "shame": "sadness",
        "guilt": "sadness",
        "pain": "sadness",
        "anger": "anger",
        "jealousy": "anger",
        "disgust": "disgust",
    }
)
_KIN: Final = (
    "mother|father|mom|mum|dad|parents?|brother|sister|son|daughter|kids?|children|wife|husband"
    "|partner|boyfriend|girlfriend|friends?|boss|family|job|dog|cat|therapist|doctor|ex"
)
_LIFE: Final = re.compile(
    rf"\bmy (?:own |best |old |late |ex[- ]?)*(?:{_KIN})\b"
    r"|\bi(?: a|')?m (?:a|an|also a|also an) (?:\w+ )?(?:human|man|woman|person|student|teacher"
    r"|nurse|mother|father|mom|dad|therapist|counsell?or|doctor|psychologist|listener)\b"
    r"|\bas an? (?:therapist|counsell?or|doctor|psychologist|human|parent|mother|father)\b"
    r"|\bwhen i (?:was|am|feel|felt|get|had|lost|got|have)\b"
    r"|\bi(?:'ve| have)(?: \w+)? (?:been|gone|lost|struggled|suffered|experienced|dealt|felt|lived"
    r"|had)\b"
    r"|\bi (?:went|used to|lost|struggled|suffered|grew up|dealt|remember|live|lived|had|was)\b"
    r"|\bmyself\b|\bhappened to me\b|\bfor me\b|\bin my (?:life|case|experience)\b"
    r"|\b(?:me too|same here)\b|\bi(?: also)? (?:personally|always|usually|often|sometimes)\b",
    re.IGNORECASE,
)
_CHAT: Final = re.compile(
    r"\b(?:mturk|turk(?:er)?s?|hits?|survey|quit button|worker|click|this task|the task|chat ?box"
    r"|type (?:quit|in)|requester)\b",
    re.IGNORECASE,
)


def fit_to_say(text: str, strategies: Sequence[str]) -> bool:
    """Whether a supporter's turn is fit to be learned by an AI.

    Args:
        text: The turn.
        strategies: Of its messages.
    """
    if "Self-disclosure" in strategies or not text:
        return False
    return not _LIFE.search(text) and not _CHAT.search(text)


async def load(
    data: Path, split: esconv.Split, read: ReadEmotions, *, limit: int = 0, seed: int = 0
) -> tuple[Dialogue, ...]:
    """Read a split as merged turns.

    What a supporter says before the seeker has spoken is left out, as an agent is spoken to
    first. The strategy of a turn is the one with most words in it.

    Args:
        data: ESConv's folder, or the one that holds it as ``esconv``.
        split: Which.
        read: The text reader.
        limit: Chats at most, drawn evenly over the problems; 0 for all.
        seed: Of the draw.

    Raises:
        SetupError: If the corpus is not there or not as it should be.
    """
    chats = await BlockingPool(1).run(lambda: esconv.load(data, split, limit=limit, seed=seed))
    pairs = [_pairs(chat) for chat in chats]
    beliefs = iter(await read([said for chat in pairs for said, _ in chat]))
    dialogues = []
    for number, (chat, turns) in enumerate(zip(chats, pairs, strict=True)):
        exchanges, learned = list[Exchange](), list[bool]()
        for said, lines in turns:
            felt = felt_in(next(beliefs), chat.emotion)
            replied = " ".join(line.text for line in lines)
            names = [line.strategy for line in lines]
            plan = planned(felt, _strategy(lines), tone_for(felt), ESCONV_8)
            exchanges.append(Exchange(said=said, replied=replied, plan=plan))
            learned.append(fit_to_say(replied, names))
        name = f"esconv/{split}/{number}"
        dialogues.append(Dialogue(name, tuple(exchanges), tuple(learned)))
    return tuple(dialogues)


def felt_in(read: Distribution | None, named: str) -> str:
    """The most likely of MESC-7 for a turn.

    Args:
        read: What the text reader finds in it; ``None`` where it cannot be read.
        named: The emotion type of the chat, as the corpus names it.
    """
    if read is None:
        return "neutral"
    odds = read.as_dict()
    kind = EMOTION_TYPES.get(named)
    if kind == "depression":
        # The reader knows sadness alone; in a chat on a lasting low mood it is that.
        odds["depression"] += odds["sadness"]
        odds["sadness"] = 0.0
    if kind is not None:
        odds[kind] *= NAMED_ODDS
    return max(MESC_7.labels, key=lambda label: odds[label])


def _pairs(chat: esconv.Chat) -> list[tuple[str, list[esconv.Line]]]:
    """What the seeker said, with the supporter's messages that follow."""
    runs = [list(run) for _, run in groupby(chat.lines, key=lambda line: line.speaker)]
    if runs and runs[0][0].speaker == "supporter":
        runs = runs[1:]
    turns = zip(runs[::2], runs[1::2], strict=False)
    return [(" ".join(line.text for line in asked), answered) for asked, answered in turns]


def _strategy(lines: Sequence[esconv.Line]) -> str:
    words = Counter[str]()
    for line in lines:
        words[line.strategy or "Others"] += 1 + len(line.text.split())
    return words.most_common(1)[0][0]
