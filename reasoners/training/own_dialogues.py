"""The project's own dialogues, which are added to a corpus of people in need."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

from affectgraph.perceivers.affect import Distribution
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.labels import MESC_7
from affectgraph.reasoners.context import Exchange
from affectgraph.reasoners.tables import tone_weights
from affectgraph.reasoners.taxonomy import ESCONV_8
from affectgraph.reasoners.training.dialogues import Dialogue, planned

FILE: Final = "data/dialogues.yaml"


def load() -> tuple[Dialogue, ...]:
    """Read them; every reply is learned.

    Raises:
        SetupError: If a turn is not as it should be.
    """
    import yaml

    text = files("affectgraph.reasoners.training").joinpath(FILE).read_text("utf-8")
    told: list[list[Any]] = yaml.safe_load(text)
    dialogues = []
    for number, turns in enumerate(told):
        try:
            exchanges = tuple(_exchange(*turn) for turn in turns)
        except (TypeError, ValueError) as error:
            raise SetupError(f"{FILE}: dialogue {number}: {error}") from None
        dialogues.append(Dialogue(f"own/{number}", exchanges, (True,) * len(exchanges)))
    return tuple(dialogues)


def tone_for(felt: str) -> str:
    """The system's emotion that the rule table holds most fitting."""
    weights = tone_weights(Distribution.certain(MESC_7, felt))
    return max(weights, key=lambda label: weights[label])


def _exchange(said: str, felt: str, strategy: str, replied: str) -> Exchange:
    if felt not in MESC_7.labels or strategy not in ESCONV_8.labels:
        raise ValueError(f"({felt})({strategy}) are no labels of mesc-7 and esconv-8")
    plan = planned(felt, strategy, tone_for(felt), ESCONV_8)
    return Exchange(said=said, replied=replied, plan=plan)
