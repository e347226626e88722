"""``mosi``: negative or positive opinions in videos, and their late fusion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import fusion_tasks as shared
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.result import Kept, Result, Row, Table
from affectgraph.perceivers.corpora.mosi import SENTIMENTS
from affectgraph.perceivers.training import fusion_mosi
from affectgraph.perceivers.training.fusion_learn import Learned, require_extra

_NOTES: Final = {
    fusion_mosi.WORDS[0]: (
        "Words: the agent's encoder on the transcripts; sound and pictures: the published features,"
        " in units of their spread within the video. Models see the utterances around. All is"
        " learned, chosen and calibrated by 5 folds over the training videos (the mean of 5 models"
        " a modality), but for the pictures: their published features know the labels of the"
        " training videos, so how far they can be believed is judged by their agreement with the"
        " words on the test videos, without labels (transductively: the rows with pictures are no"
        " forecast for new videos)."
    ),
    fusion_mosi.WORDS[1]: (
        "The published features of words, sound and pictures, weighed on the training videos as if"
        " that could be done: those of words and pictures come from networks that were trained on"
        " these videos' labels. This is what a careless fusion reaches."
    ),
}


class Mosi:
    """Zadeh et al. (2016), with the features of Poria et al. (2017)."""

    name = "mosi"
    about = "sentiment in videos: words, sound, pictures, and their late fusion"

    async def run(self, bench: Bench) -> Result:
        """Learn on the training videos, read the test videos; with our words, then theirs."""
        require_extra("the evaluation mosi")

        async def encode(name: str, texts: Sequence[str]) -> NDArray[np.float32]:
            return await shared.encoded(bench, name, texts)

        told = await fusion_mosi.run(
            bench.data,
            encode,
            limit=bench.limit,
            seed=bench.seed,
        )
        return await bench.aside(partial(_result, bench, told))


def _result(bench: Bench, told: dict[str, Learned]) -> Result:
    tables = []
    for whose, learned in told.items():
        rows = (
            *shared.floor_rows(bench, learned),
            *shared.fused_rows(bench, learned),
            *(
                Row.published(name, accuracy=value / 100)
                for name, value in fusion_mosi.PUBLISHED.items()
            ),
        )
        tables.append(Table(f"CMU-MOSI, test videos, {whose}", rows, _NOTES[whose]))
        title = f"CMU-MOSI, what the fusion adds, {whose}"
        tables.append(shared.differences(bench, learned, title))
    learned = told[fusion_mosi.WORDS[0]]
    everything = learned.told(list(learned.probs))
    return Result(
        "mosi",
        tuple(tables),
        shared.figures(learned, SENTIMENTS, "CMU-MOSI test"),
        shared.facts(learned),
        (Kept("mosi", "accuracy", learned.truth, everything.argmax(axis=1), learned.sequence),),
    )
