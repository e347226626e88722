"""Which dialogue heads MESC's tables show; chosen by cross-validation over train and val."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from affectgraph.reasoners.heads.features import Part
from affectgraph.reasoners.heads.runs import Protocol
from affectgraph.reasoners.training.heads_fit import Recipe, WordsRecipe
from affectgraph.reasoners.training.heads_mesc_fit import HeadForm

FELT: Final[frozenset[Part]] = frozenset({"emotions", "strategies", "words", "manner"})
"""What the head of the person's emotion sees."""
CHOSEN: Final[frozenset[Part]] = frozenset({"emotions", "strategies", "words", "manner", "text"})
"""What the head of the strategy sees."""
_LABELS: Final[frozenset[Part]] = frozenset({"emotions", "strategies"})
_FEELING: Final[frozenset[Part]] = frozenset({"emotions", "words"})
_TIMED: Final[frozenset[Part]] = frozenset({"timing"})

HOW: Final = Recipe()
"""How the heads are fitted."""
WORDS: Final = WordsRecipe()
"""How lines are read by themselves."""
CLUES: Final = WordsRecipe(components=48, penalty=1e-2)
"""How the clues of a video model are read; there are few."""

_OWN: Final = "the history's labels are those that the head itself reads in the words said"
_TIMES: Final = "with how fast the person speaks and how long they wait (times of the subtitles)"
_NO_EMOTION: Final = "without the person's emotion, neither of the past nor as it is read now"
_COPIES: Final = "mostly copies the last label"


@dataclass(frozen=True)
class NamedForm:
    """A head as a row.

    Attributes:
        name: The row's name.
        form: The head.
        kind: Whether it is ours, or an ablation of it.
        both: Whether it stands in the table of the split by episode as well.
        note: What a reader of the row must know.
    """

    name: str
    form: HeadForm
    kind: Literal["ours", "ablation"] = "ours"
    both: bool = False
    note: str = ""


def _all() -> Iterator[NamedForm]:
    protocols: tuple[tuple[Protocol, str], ...] = (("gold", ""), ("free", _OWN))
    for protocol, note in protocols:
        felt = HeadForm("user_emotion", protocol, FELT, recipe=HOW)
        yield NamedForm("dialogue head", felt, both=True, note=note)
        yield NamedForm(
            "dialogue head, with speech timing",
            HeadForm("user_emotion", protocol, FELT | _TIMED, recipe=HOW),
            "ablation",
            note="; ".join(filter(None, (note, _TIMES))),
        )
        chosen = HeadForm("strategy", protocol, CHOSEN, recipe=HOW)
        yield NamedForm("dialogue head", chosen, both=True, note=note)
        yield NamedForm(
            "dialogue head, without the person's emotion",
            HeadForm("strategy", protocol, CHOSEN - _FEELING, recipe=HOW),
            "ablation",
            note="; ".join(filter(None, (note, _NO_EMOTION))),
        )
    yield NamedForm(
        "dialogue head, without labels of the past",
        HeadForm("user_emotion", "free", FELT - _LABELS, recipe=HOW),
        "ablation",
        note="the words alone: no label of the past, given or read",
    )
    yield NamedForm(
        "dialogue head, without labels of the past",
        HeadForm("strategy", "free", CHOSEN - _LABELS, recipe=HOW),
        "ablation",
        note="the words alone: no label of the past, given or read",
    )
    yield NamedForm(
        "dialogue head",
        HeadForm("user_emotion", "gold", FELT, "utterance", HOW),
        note=_COPIES,
    )
    yield NamedForm(
        "dialogue head",
        HeadForm("strategy", "gold", CHOSEN, "utterance", HOW),
        note=_COPIES,
    )


FORMS: Final[tuple[NamedForm, ...]] = tuple(_all())
