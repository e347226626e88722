"""Train, balance, calibrate and test the head that predicts ESConv's strategies.

Run::

    python -m affectgraph.reasoners.training.heads_esconv --data DIR --out DIR --json

``DIR`` holds ``esconv``. The units are the supporter's lines, unmerged, with the corpus's
strategies in the history, as EmoDynamiX counts them (Wan et al., 2025). Two ensembles are made by
one recipe: the first, of half the size, from the training chats, measured on the validation
chats, which it has not touched; the second, which is written, from both. Then the test split is
opened, once, for both. Everything was chosen on train and validation. Progress goes to standard
error; standard output is one JSON object. Needs the extra ``train``. ESConv is CC BY-NC 4.0, and
so is what learns from it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.training import command
from affectgraph.reasoners.heads.strategy import VERSION, WEIGHTS
from affectgraph.reasoners.heads.strategy_lines import LineVector
from affectgraph.reasoners.training.heads_esconv_data import (
    Chat,
    Say,
    chats,
    failed_chats,
    vectors,
)
from affectgraph.reasoners.training.heads_esconv_score import (
    PUBLISHED,
    Figures,
    early_advice,
    figures,
    floors,
    read_all,
    truths,
)
from affectgraph.reasoners.training.heads_kept import shipped_encoder

if TYPE_CHECKING:
    from affectgraph.reasoners.training.heads_esconv_fit import Ensemble, Recipe

HELD_OUT: Final = "strategy-esconv-train.safetensors"
"""The first ensemble, which has not seen the validation chats: to fit on those what weighs it."""


def run(data: Path, out: Path, recipe: Recipe, say: Say, *, limit: int = 0) -> dict[str, Any]:
    """Train both ensembles, test them, and write the second one into ``out``.

    Args:
        data: The folder that holds ``esconv``.
        out: Where the weights and their facts are written.
        recipe: How an ensemble is made.
        say: Told of the progress.
        limit: Chats of each split at most; 0 for all.

    Returns:
        ``{"name", "settings", "rows", "metrics", "baselines"}``, ready for JSON.

    Raises:
        SetupError: If the corpus is not there or not as it should be.
    """
    from affectgraph.reasoners.training.heads_esconv_fit import train

    learned = {split: chats(data, split, limit=limit) for split in ("train", "valid")}
    failed = failed_chats(data, limit=limit)
    known = _encoded([*learned["train"], *learned["valid"], *failed], out, say)
    say("first ensemble: train alone")
    alone = train(learned["train"], failed, known, replace(recipe, seeds=1), say)
    _write(alone, out / HELD_OUT)
    say("second ensemble: train and validation")
    both = train([*learned["train"], *learned["valid"]], failed, known, recipe, say)
    _write(both, out / WEIGHTS.name)
    validation = {
        "unseen chats of train, each by members that were not shown it": _unseen(alone),
        "unseen chats of train and validation, likewise": _unseen(both),
        **_measured("trained on train", alone, learned["valid"], known),
    }
    say("opening the test split")
    test = chats(data, "test", limit=limit)
    known = _encoded(test, out, say)
    metrics = {
        "valid": validation,
        "test": {
            **_measured("trained on train", alone, test, known),
            **_measured("trained on train and validation (shipped)", both, test, known),
        },
    }
    (out / WEIGHTS.with_suffix(".json").name).write_text(
        json.dumps(_facts(both, recipe), indent=1) + "\n", encoding="utf-8"
    )
    return {
        "name": VERSION,
        "settings": _settings(recipe),
        "rows": {
            **{split: len(truths(part)) for split, part in learned.items()},
            "failed": len(truths(failed)),
            "test": len(truths(test)),
        },
        "metrics": metrics,
        "baselines": {**floors(test, truths(learned["train"]), recipe.seed), **PUBLISHED},
    }


def _write(ensemble: Ensemble, file: Path) -> None:
    from safetensors.numpy import save_file

    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in ensemble.tensors.items()}, file)


def _encoded(of: Sequence[Chat], out: Path, say: Say) -> Mapping[str, LineVector]:
    from affectgraph.perceivers.text.encoder import MiniLMEncoder

    texts = [line.text for chat in of for line in chat]

    async def encode() -> dict[str, LineVector]:
        encoder, version = MiniLMEncoder(cache_size=0), await BlockingPool().run(shipped_encoder)
        return await vectors(texts, encoder.encode_all, out, say, version=version)

    return asyncio.run(encode())


def _unseen(ensemble: Ensemble) -> Figures:
    """What cross-validation says: of single members, and with the shift fitted on other folds."""
    mean = np.exp(ensemble.unseen.mean(axis=0))
    singly = [figures(ensemble.truth, each.argmax(axis=1)) for each in ensemble.unseen]
    return {
        "balanced, shift of the other folds": figures(ensemble.truth, ensemble.nested()),
        "unshifted": figures(ensemble.truth, mean.argmax(axis=1)),
        "unshifted, one member": singly,
    }


def _measured(
    name: str, ensemble: Ensemble, of: Sequence[Chat], known: Mapping[str, LineVector]
) -> dict[str, Figures]:
    truth, net = truths(of), ensemble.net
    found = dict[str, Figures]()
    for protocol in ("gold", "free"):
        probs, members = read_all(net, of, known, protocol)
        predicted = probs.argmax(axis=1)
        each = [figures(truth, member.argmax(axis=1)) for member in members]
        found[f"{name}, {protocol} history"] = {
            **figures(truth, predicted, probs),
            "early_advice": early_advice(of, predicted),
            "early_advice_of_the_data": early_advice(of, truth),
            "members": {
                key: {
                    "mean": round(float(np.mean([one[key] for one in each])), 4),
                    "sd": round(float(np.std([one[key] for one in each])), 4),
                }
                for key in ("accuracy", "macro_f1", "weighted_f1", "preference_bias")
            },
        }
    return found


def _settings(recipe: Recipe) -> dict[str, Any]:
    return asdict(recipe)


def _facts(ensemble: Ensemble, recipe: Recipe) -> dict[str, Any]:
    return {
        "version": VERSION,
        "settings": _settings(recipe),
        "temperature": round(ensemble.tensors["temperature"].item(), 4),
        "shift": [round(value, 4) for value in ensemble.tensors["shift"].tolist()],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command.options(
        "heads_esconv",
        "Train the strategy head.",
        data="folder with esconv",
        limit="chats of each split",
        out="folder for the results",
        out_required=True,
    )
    parser.prog = "python -m affectgraph.reasoners.training.heads_esconv"
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(arguments)
    for package in ("torch", "sklearn"):
        if find_spec(package) is None:
            raise ExtraMissingError("the trainer of the strategy head", "train")
    import torch

    from affectgraph.reasoners.training.heads_esconv_fit import Recipe
    from affectgraph.reasoners.training.heads_esconv_net import Lesson

    if given.threads:
        torch.set_num_threads(given.threads)
    recipe = Recipe(Lesson(), seed=given.seed)
    if given.limit:
        recipe = replace(recipe, lesson=replace(recipe.lesson, epochs=2), folds=2, seeds=1)
    result = run(given.data, given.out, recipe, command.sayer(given), limit=given.limit)
    command.write(given, result)


if __name__ == "__main__":
    main()
