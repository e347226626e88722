"""``emobank``: valence, arousal and dominance of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.metrics import CCC, MAE, PEARSON, measure
from affectgraph.orchestrator.evaluation.result import Kept, Kind, Result, Row, Table
from affectgraph.orchestrator.evaluation.subjects import AffectEncoder
from affectgraph.orchestrator.evaluation.texts import Floats, read_texts
from affectgraph.perceivers.corpora import emobank

AXES = ("valence", "arousal", "dominance")
_NOTE = (
    "Ratings of 1 to 5. Pearson, CCC and the mean absolute error over the test split; the mean and"
    " the random row come from the training ratings. A correlation with a constant is undefined."
    " The agent tells affect in [-1, 1] on a scale that is stretched to fit the emotions' anchors;"
    " its readings x stand here as 3 + 2x, which costs CCC and error but no correlation. Where the"
    " reader abstains, the training mean stands."
)


class EmoBank:
    """Buechel and Hahn (2017)."""

    name = "emobank"
    about = "valence, arousal and dominance of sentences: Pearson, CCC, error"

    async def run(self, bench: Bench) -> Result:
        """Read the test split; nothing is chosen."""
        train = await bench.aside(lambda: emobank.load(bench.data, "train"))
        test = await bench.aside(
            lambda: emobank.load(bench.data, "test", limit=bench.limit, seed=bench.seed)
        )
        told = await read_texts(bench, "emobank-test", test.texts)
        mean = train.vad.mean(axis=0).astype(np.float64)
        read = np.where(told.abstained[:, None], mean, 3.0 + 2.0 * told.vad)
        drawn = np.random.default_rng(bench.seed).integers(0, len(train.vad), len(test.vad))
        own = bench.subjects.name
        floor = {
            "training mean": np.tile(mean, (len(read), 1)),
            "random (training ratings)": train.vad[drawn].astype(np.float64),
        }
        ours = {f"{own}, as told in readings": read}
        encoder = bench.subjects.affect_encoder
        if encoder is not None:
            ours[f"{own}, the encoder's own scale"] = await _encoded(bench, encoder, test.texts)
        truth, best = test.vad.astype(np.float64), list(ours.values())[-1]
        tables = [
            await bench.aside(partial(_table, bench, truth, floor, ours, axis)) for axis in range(3)
        ]
        return Result(
            self.name,
            tuple(tables),
            facts={
                "texts": len(read),
                "abstained": int(told.abstained.sum()),
                "source of the readings": told.source,
            },
            kept=tuple(
                Kept(_title(axis), "pearson", truth[:, axis], best[:, axis]) for axis in range(3)
            ),
        )


async def _encoded(bench: Bench, encoder: AffectEncoder, texts: tuple[str, ...]) -> Floats:
    """What the encoder itself says, on EmoBank's scale, shape (n, 3)."""

    async def encode(chunk: Sequence[str]) -> dict[str, NDArray[Any]]:
        read = await encoder.encode_all(chunk, keep=False)
        return {"vad": np.array([each.vad for each in read], np.float64)}

    key = await bench.aside(lambda: bench.subjects.version("encoder"))
    told = await bench.kept("emobank-test-encoder", *key).over(texts, encode)
    return np.asarray(told["vad"], np.float64)


def _title(axis: int) -> str:
    return f"EmoBank, {AXES[axis]}, test"


def _table(
    bench: Bench, truth: Floats, floor: dict[str, Floats], ours: dict[str, Floats], axis: int
) -> Table:
    def row(name: str, kind: Kind, told: Floats) -> Row:
        metrics = (PEARSON, CCC, MAE)
        figures = measure(metrics, truth[:, axis], told[:, axis], bench.bootstrap)
        return Row(name, kind, figures, len(truth))

    rows = (
        *(row(name, "baseline", told) for name, told in floor.items()),
        *(row(name, "ours", told) for name, told in ours.items()),
    )
    return Table(_title(axis), rows, _NOTE)
