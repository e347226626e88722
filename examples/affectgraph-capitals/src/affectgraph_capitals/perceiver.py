"""A perceiver: capital letters and exclamation marks as evidence of arousal."""

from __future__ import annotations

from typing import Final

from affectgraph.perceivers.affect import (
    Affect,
    Distribution,
    Evidence,
    Modality,
    Reading,
    expected_vad,
)
from affectgraph.perceivers.errors import BuildError
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.turn import Turn
from affectgraph_capitals.loudness import Loudness, loudness

MODEL: Final = "capitals.v1"

# Assumed: how the seven emotions are spread over messages that are written calmly, and loudly.
_CALM: Final = dict.fromkeys(EKMAN_7.labels, 0.1) | {"neutral": 0.4}
_LOUD: Final = {"anger": 0.55, "joy": 0.2, "surprise": 0.15, "fear": 0.1}


class Capitals:
    """Reads how loud a message is written.

    Loudness says how aroused a person is and little of why, so the distribution stays broad. The
    evidence is each shouted word and each run of exclamation marks.

    Args:
        shortest: Letters from which on a word in capitals counts as shouted, at least 1.

    Raises:
        BuildError: If ``shortest`` is below 1.
    """

    def __init__(self, shortest: int = 3) -> None:
        if shortest < 1:
            raise BuildError(f"{MODEL}: shortest must be at least 1, is {shortest}")
        self._shortest = shortest

    @property
    def modality(self) -> Modality:
        """``text``."""
        return "text"

    async def warm_up(self) -> None:
        """Nothing to load; a perceiver with a model loads it here."""

    async def perceive(self, turn: Turn) -> Reading:
        """Read what was typed; abstain from a text without words."""
        heard = loudness(turn.text, self._shortest)
        if heard.words == 0:
            return Reading.abstain("text", "absent", "no words in this turn")
        return Reading(
            modality="text", affect=_affect(heard, turn), covers=len(turn.text), model=MODEL
        )


def _affect(heard: Loudness, turn: Turn) -> Affect:
    belief = Distribution.over(
        EKMAN_7,
        {
            label: (1 - heard.share) * _CALM[label] + heard.share * _LOUD.get(label, 0.0)
            for label in EKMAN_7.labels
        },
    )
    # Valence and dominance follow from the labels; arousal is what was measured.
    vad = expected_vad(belief).model_copy(update={"arousal": heard.share})
    return Affect(
        distribution=belief,
        vad=vad,
        confidence=belief.top_p,
        evidence=tuple(Evidence(kind="span", start=a, end=b) for a, b in heard.spans),
        captured_at=turn.at,
    )
