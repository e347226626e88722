"""What the fusion tasks share: encoded words, and the tables of what was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    ECE,
    MACRO_F1,
    WEIGHTED_F1,
    class_f1,
    confusion,
    difference,
    measure,
    reliability,
)
from affectgraph.orchestrator.evaluation.result import Bars, Fact, Figure, Row, Table
from affectgraph.perceivers.errors import SetupError
from affectgraph.perceivers.fusion.pool import log_linear
from affectgraph.perceivers.training.fusion_learn import Learned, companies
from affectgraph.perceivers.training.fusion_words import Encoder, numbers

Probs = NDArray[np.float64]

LABELS: Final = (ACCURACY, WEIGHTED_F1, MACRO_F1)


async def encoded(bench: Bench, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Features of texts by the bench's encoder, kept chunk by chunk, shape (n, d).

    Of the encoder of this package all that it says; of any other embedder its vectors.

    Raises:
        SetupError: If the spec has no encoder.
    """
    embedder = bench.subjects.embedder
    if embedder is None:
        raise SetupError(f"spec {bench.subjects.name!r} has no encoder of texts: name one")
    seen = await bench.aside(lambda: bench.subjects.version("encoder"))

    async def predict(chunk: Sequence[str]) -> dict[str, NDArray[Any]]:
        if isinstance(embedder, Encoder):
            rows = [numbers(each) for each in await embedder.encode_all(chunk, keep=False)]
        else:
            rows = [np.asarray(row) for row in await embedder.embed(chunk)]
        return {"features": np.stack(rows).astype(np.float32)}

    found = await bench.kept(f"words-{name}", *seen).over(texts, predict)
    return np.asarray(found["features"], dtype=np.float32)


def scored(bench: Bench, learned: Learned, name: str, kind: Any, probs: Probs) -> Row:
    """One system's row: dialogues are drawn whole."""
    truth, groups = learned.truth, learned.sequence
    metrics = measure(LABELS, truth, probs.argmax(axis=1), bench.bootstrap, groups)
    if kind != "baseline":
        metrics = metrics | measure([ECE], truth, probs, bench.bootstrap, groups)
    return Row(name, kind, metrics, len(truth))


def floor_rows(bench: Bench, learned: Learned) -> list[Row]:
    """Majority, random, and the gold label of the utterance before."""
    n, k = len(learned.truth), len(learned.shares)
    # The floors take labels; these have the frequencies of those that were learned from.
    labels = np.repeat(np.arange(k), np.round(learned.shares * 10_000).astype(np.int64))
    most = floors.majority(labels, n)
    told = {
        "majority": most,
        "random": floors.random(labels, n, bench.seed),
        "the label of the utterance before (gold history)": floors.persistence(
            learned.truth, learned.sequence, int(most[0])
        ),
    }
    return [
        scored(bench, learned, name, "baseline", np.eye(k)[each]) for name, each in told.items()
    ]


def fused_rows(bench: Bench, learned: Learned) -> list[Row]:
    """Each modality alone, each pair, all; and what is lost when one goes missing in the test."""
    names = list(learned.probs)
    all_kept = learned.pool.of(names)
    rows = [
        scored(bench, learned, " + ".join(each), "ours", learned.told(each))
        for each in companies(names)
    ]
    rows.append(
        scored(bench, learned, "all, one missing at random", "ours", at_random(learned, bench.seed))
    )
    rows += [
        scored(
            bench,
            learned,
            f"all, {missing} missing, the weights of all kept",
            "ablation",
            _weighed(learned, {name: all_kept[name] for name in names if name != missing}),
        )
        for missing in names
    ]
    plain = _weighed(learned, dict.fromkeys(names, 1.0))
    return [*rows, scored(bench, learned, "all, every weight 1", "ablation", plain)]


def at_random(learned: Learned, seed: int) -> Probs:
    """All modalities, of which every row lacks one that is drawn for it."""
    names = list(learned.probs)
    lost = np.random.default_rng(seed).integers(len(names), size=len(learned.truth))
    there = {
        name: learned.there[name] & (lost != place) for place, name in enumerate(learned.probs)
    }
    return learned.pool.pooled(learned.probs, there)


def differences(bench: Bench, learned: Learned, title: str) -> Table:
    """All modalities against the best single one, and every company with it against it alone."""
    names = list(learned.probs)
    best = best_single(learned)
    alone = learned.told([best]).argmax(axis=1)

    def against(name: str, probs: Probs) -> Row:
        told = probs.argmax(axis=1)
        metrics = {
            metric.name: difference(
                metric, learned.truth, told, alone, bench.bootstrap, learned.sequence
            )
            for metric in LABELS
        }
        return Row(name, "ours", metrics, len(learned.truth))

    rows = [
        against(f"{' + '.join(each)} minus {best}", learned.told(each))
        for each in companies(names)
        if best in each and len(each) > 1
    ]
    gone = {name: learned.there[name] & (name == best) for name in names}
    missing = learned.pool.pooled(learned.probs, gone)
    rows.append(against(f"all, but all others missing, minus {best}", missing))
    note = f"{best} is the best single modality on the validation rows; dialogues drawn whole."
    return Table(title, tuple(rows), note)


def best_single(learned: Learned) -> str:
    """The modality that by itself is right most often on the validation rows."""
    right = {
        name: float((each.argmax(axis=1) == learned.held_truth)[learned.held_there[name]].mean())
        for name, each in learned.held.items()
    }
    return max(right, key=right.__getitem__)


def facts(learned: Learned) -> dict[str, Fact]:
    """Weights, how each modality was calibrated, and the rows that have it."""
    told: dict[str, Fact] = {
        f"weight of {name} in {company}": weight
        for company, weights in learned.pool.weights.items()
        for name, weight in weights.items()
    }
    told |= {f"calibration of {name}": each.kind for name, each in learned.calibrators.items()}
    told |= {f"rows with {name}": int(each.sum()) for name, each in learned.there.items()}
    return told


def figures(learned: Learned, labels: Sequence[str], title: str) -> tuple[Figure, ...]:
    """Confusion and reliability of all modalities together, F1 by class of each."""
    names = list(learned.probs)
    everything = learned.told(names)
    told: Mapping[str, Probs] = {name: learned.told([name]) for name in names} | {"all": everything}
    series = {
        name: class_f1(learned.truth, each.argmax(axis=1), len(labels))
        for name, each in told.items()
    }
    return (
        confusion(f"{title}, all", labels, learned.truth, everything.argmax(axis=1)),
        reliability(f"{title}, all", everything, learned.truth),
        Bars(f"{title}, F1 by class", tuple(labels), series),
    )


def _weighed(learned: Learned, weights: Mapping[str, float]) -> Probs:
    """What modalities say under weights that are the same in every row.

    One that a row lacks has no say there: an even distribution leaves a product as it is. A row
    that has none of them is told by the classes' frequencies.
    """
    said = {
        name: np.where(learned.there[name][:, None], learned.probs[name], 1 / len(learned.shares))
        for name in weights
    }
    told = log_linear(said, weights)
    told[~np.logical_or.reduce([learned.there[name] for name in weights])] = learned.shares
    return told
