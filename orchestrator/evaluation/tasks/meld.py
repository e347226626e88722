"""``meld``: seven emotions in dialogues, from words, voice and face, and their late fusion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np

from affectgraph.orchestrator.evaluation import fusion_tasks as shared
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.result import Kept, Result, Row, Table
from affectgraph.perceivers.fusion.late import WEIGHTS
from affectgraph.perceivers.fusion.pool import Pool
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.training import fusion_meld
from affectgraph.perceivers.training.fusion_learn import Learned, companies, require_extra
from affectgraph.perceivers.training.fusion_words import WIDTH, basic

_SEEDS: Final = 3
_TITLE: Final = "MELD, test utterances, 7 emotions"
_NOTE: Final = (
    "Each modality's model is learned on train, with the other utterances of the dialogue around"
    " it (no labels of theirs), and stopped, calibrated and weighed on dev; means of 3 models. A"
    " modality that a row lacks is left out there; a row that has none is told by the classes'"
    " frequencies. Voice is eight published numbers, face the published action units."
)


class Meld:
    """Poria et al. (2019)."""

    name = "meld"
    about = "7 emotions in dialogues: words, voice, face, and their late fusion"

    async def run(self, bench: Bench) -> Result:
        """Learn on train and dev, read test."""
        require_extra("the evaluation meld")
        seen: dict[str, shared.Probs] = {}

        async def encode(name: str, texts: Sequence[str]) -> np.ndarray:
            features = await shared.encoded(bench, name, texts)
            if features.shape[1] == WIDTH:
                seen[name] = basic(features)
            return features

        learned = await fusion_meld.run(
            bench.data,
            encode,
            limit=bench.limit,
            seed=bench.seed,
            seeds=1 if bench.limit else _SEEDS,
        )
        return await bench.aside(partial(_result, bench, learned, seen.get("meld-test")))


def _result(bench: Bench, learned: Learned, words: shared.Probs | None) -> Result:
    published = tuple(
        Row.published(name, weighted_f1=value / 100)
        for name, value in fusion_meld.PUBLISHED.items()
    )
    rows = (*shared.floor_rows(bench, learned), *shared.fused_rows(bench, learned), *published)
    tables = [
        Table(_TITLE, rows, _NOTE),
        shared.differences(bench, learned, "MELD, what the fusion adds"),
    ]
    if words is not None:
        tables.append(_agent(bench, learned, words))
    everything = learned.told(list(learned.probs))
    return Result(
        "meld",
        tuple(tables),
        shared.figures(learned, EKMAN_7.labels, "MELD test"),
        shared.facts(learned),
        (Kept("meld", "weighted_f1", learned.truth, everything.argmax(axis=1), learned.sequence),),
    )


def _agent(bench: Bench, learned: Learned, words: shared.Probs) -> Table:
    """The agent's own weights, on the words as its text perceiver reads them."""
    pool, probs = Pool.load(WEIGHTS), {**learned.probs, "text": words}
    rows = shared.floor_rows(bench, learned)
    rows += [
        shared.scored(
            bench,
            learned,
            " + ".join(("text perceiver", *(name for name in names if name != "text"))),
            "ours",
            pool.pooled(
                {name: probs[name] for name in names}, {n: learned.there[n] for n in names}
            ),
        )
        for names in companies(list(probs))
        if "text" in names
    ]
    note = (
        "The text perceiver never saw MELD and reads each utterance by itself; voice and face are"
        " the models above. The weights are those that the agent ships, learned on dev from models"
        " of MELD's own."
    )
    return Table("MELD, the agent's text perceiver and its weights", tuple(rows), note)
