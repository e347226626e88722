"""``affectgraph train NAME``: the trainers; each is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Final

import typer


@dataclass(frozen=True)
class Trainer:
    """A trainer.

    Attributes:
        module: Holds ``main(arguments)``, which reads the arguments itself.
        about: What it trains, one line.
    """

    module: str
    about: str


TRAINERS: Final[Mapping[str, Trainer]] = MappingProxyType(
    {
        "reasoner": Trainer(
            "affectgraph.reasoners.training.reasoner",
            "The language model: labels and responses, on ESConv or MESC.",
        ),
        "experts": Trainer(
            "affectgraph.reasoners.training.experts",
            "The weights that combine perception, model and rules to one label.",
        ),
        "strategy": Trainer(
            "affectgraph.reasoners.training.heads_esconv",
            "The head that chooses strategies, on ESConv.",
        ),
        "mesc": Trainer(
            "affectgraph.reasoners.training.heads_mesc",
            "The heads of MESC's emotions and strategies; their weights never ship.",
        ),
        "text": Trainer(
            "affectgraph.perceivers.training.text",
            "The text encoder, on GoEmotions and EmoBank.",
        ),
        "face": Trainer("affectgraph.perceivers.training.ferplus", "The reader of faces, on FER+."),
        "voice": Trainer(
            "affectgraph.perceivers.training.ravdess", "The reader of voices, on RAVDESS."
        ),
        "fusion": Trainer(
            "affectgraph.perceivers.training.fusion", "The weights that fuse the modalities."
        ),
    }
)

train = typer.Typer(
    no_args_is_help=True,
    help="Train a part. Every trainer tells its own arguments: affectgraph train NAME --help",
)
# The trainers read their arguments themselves, --help too.
_PASSED_ON: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def _command(trainer: Trainer) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        import_module(trainer.module).main(context.args)

    return run


for _name, _trainer in TRAINERS.items():
    train.command(_name, help=_trainer.about, context_settings=_PASSED_ON)(_command(_trainer))
