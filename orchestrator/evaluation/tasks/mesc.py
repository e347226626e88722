"""``mesc-emotion``: the client's emotion in psychotherapy dialogues, from words alone."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    MACRO_F1,
    WEIGHTED_F1,
    confusion,
    measure,
)
from affectgraph.orchestrator.evaluation.result import Kept, Result, Row, Table
from affectgraph.orchestrator.evaluation.tasks.mesc_published import published
from affectgraph.orchestrator.evaluation.texts import Floats, read_texts
from affectgraph.perceivers.corpora import mesc
from affectgraph.perceivers.labels import MESC_7

_NEUTRAL: Final = MESC_7.labels.index("neutral")
_METRICS: Final = (ACCURACY, WEIGHTED_F1, MACRO_F1)
_NOTE: Final = (
    "The client's {unit}s of the test split. Ours reads the words of each by itself, zero-shot: no"
    " history, no video, no training on MESC; its labels are told as these by way of Ekman's seven,"
    " which is lossy (surprise is split, depression is never told). The persistence rows repeat a"
    " gold label, which no system in use has, and so do the histories of the published systems,"
    " most of which are trained on MESC."
)


class MescEmotion:
    """Chu et al., MESC; the client's seven emotions."""

    name = "mesc-emotion"
    about = "client emotion in MESC from words alone, zero-shot, beside persistence"

    async def run(self, bench: Bench) -> Result:
        """Read the client's utterances and turns of the test split; nothing is chosen."""
        train = await bench.aside(lambda: mesc.load(bench.data, "train"))
        test = await bench.aside(
            lambda: mesc.load(bench.data, "test", limit=bench.limit, seed=bench.seed)
        )
        parts = [
            await self._unit(bench, "utterance", train, test, _before(test)),
            await self._unit(bench, "turn", train.turns(), test.turns(), _last_said(test)),
        ]
        return Result(
            self.name,
            tuple(table for part in parts for table in part.tables),
            tuple(figure for part in parts for figure in part.figures),
            {key: fact for part in parts for key, fact in part.facts.items()},
            tuple(kept for part in parts for kept in part.kept),
        )

    async def _unit(
        self,
        bench: Bench,
        unit: mesc.Unit,
        train: mesc.Sessions,
        test: mesc.Sessions,
        repeated: tuple[str, NDArray[np.int64]],
    ) -> Result:
        known, client = mesc.emotions(train.of("client")), test.of("client")
        told = await read_texts(bench, f"mesc-test-{unit}s", [row.text for row in client])
        prior: Floats = np.bincount(known, minlength=len(MESC_7)) / len(known)
        ours = told.to(MESC_7, prior).argmax(axis=1)
        truth = mesc.emotions(client)
        dialogue = _dialogues(client)
        systems = {
            "majority (always neutral)": floors.majority(known, len(truth)),
            "random": floors.random(known, len(truth), bench.seed),
            f"persistence, the client's last {unit} (gold)": floors.persistence(
                truth, dialogue, _NEUTRAL
            ),
            repeated[0]: repeated[1],
            f"{bench.subjects.name}, zero-shot": ours,
        }
        title = f"MESC, client emotion, test, {unit}s"

        def rows() -> tuple[Row, ...]:
            return tuple(
                Row(
                    name,
                    "ours" if guess is ours else "baseline",
                    measure(_METRICS, truth, guess, bench.bootstrap, dialogue),
                    len(truth),
                )
                for name, guess in systems.items()
            )

        table = Table(
            title, (*await bench.aside(rows), *published("emotion")), _NOTE.format(unit=unit)
        )
        return Result(
            title,
            (table,),
            (confusion(title, MESC_7.labels, truth, ours),),
            {f"{unit}s": len(truth), f"{unit}s_abstained": int(told.abstained.sum())},
            (Kept(title, "accuracy", truth, ours, dialogue),),
        )


def _before(test: mesc.Sessions) -> tuple[str, NDArray[np.int64]]:
    """The gold label of whatever was said before each utterance of the client's."""
    everyone = mesc.emotions(test.rows)
    told = floors.persistence(everyone, _dialogues(test.rows), _NEUTRAL)
    client = [row.speaker == "client" for row in test.rows]
    return "persistence, the last of anybody (gold)", told[client]


def _last_said(test: mesc.Sessions) -> tuple[str, NDArray[np.int64]]:
    """For each turn of the client's the gold label of the client's last utterance before it."""
    client = test.of("client")
    told = floors.persistence(mesc.emotions(client), _dialogues(client), _NEUTRAL)
    begins = [
        row.speaker == "client"
        and (before is None or (before.speaker, before.dialogue) != ("client", row.dialogue))
        for before, row in zip((None, *test.rows), test.rows, strict=False)
    ]
    starts = np.array(begins)[[row.speaker == "client" for row in test.rows]]
    return "persistence, the client's last utterance (gold)", told[starts]


def _dialogues(rows: tuple[mesc.Utterance, ...]) -> NDArray[np.int64]:
    return np.array([row.dialogue for row in rows], np.int64)
