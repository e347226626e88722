"""Learns the weights of the late fusion, and what each modality says, on MELD or CMU-MOSI.

Run it as ``python -m affectgraph.perceivers.training.fusion --data DIR [--corpus mosi]``, where
``DIR`` holds the corpora. On MELD everything is learned and chosen on the training and validation
splits, and the test split is read once, at the end; ``--out`` writes ``late.json``, the weights
that the agent ships. On CMU-MOSI the test videos' inputs, but not their labels, also calibrate the
pictures (transductively; see :mod:`affectgraph.perceivers.training.fusion_mosi`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.fusion.late import WEIGHTS
from affectgraph.perceivers.text.encoder import MiniLMEncoder
from affectgraph.perceivers.training import command, fusion_meld, fusion_mosi
from affectgraph.perceivers.training.calibration import expected_calibration_error
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.fusion_learn import (
    Learned,
    companies,
    require_extra,
)
from affectgraph.perceivers.training.fusion_words import Encoder, Words, basic

Metrics = dict[str, float]
Probs = NDArray[np.float64]

CORPORA: Final = ("meld", "mosi")
_READER: Final = "text perceiver"


def scores(truth: NDArray[np.int64], probs: Probs) -> Metrics:
    """Accuracy, weighted and macro F1, expected calibration error."""
    from sklearn.metrics import accuracy_score, f1_score

    told = probs.argmax(axis=1)
    return {
        "accuracy": float(accuracy_score(truth, told)),
        "weighted_f1": float(f1_score(truth, told, average="weighted", zero_division=0.0)),
        "macro_f1": float(f1_score(truth, told, average="macro", zero_division=0.0)),
        "ece": expected_calibration_error(probs, truth),
    }


def measured(learned: Learned) -> dict[str, Metrics]:
    """Scores of every company on the test rows."""
    return {
        "+".join(names): scores(learned.truth, learned.told(names))
        for names in companies(list(learned.probs))
    }


def floors(learned: Learned, seed: int) -> dict[str, Metrics]:
    """Majority, random, and the last utterance's gold label."""
    n, k = len(learned.truth), len(learned.shares)
    most = np.full(n, learned.shares.argmax())
    drawn = np.random.default_rng(seed).choice(k, size=n, p=learned.shares)
    before = np.roll(learned.truth, 1)
    before[np.diff(learned.sequence, prepend=learned.sequence[0] - 1) != 0] = most[0]
    rows = {"majority": most, "random": drawn, "label of the utterance before (gold)": before}
    return {
        name: {key: value for key, value in scores(learned.truth, np.eye(k)[told]).items()
               if key != "ece"}
        for name, told in rows.items()
    }  # fmt: skip


def unseen(learned: Learned, words: Probs) -> dict[str, Metrics]:
    """Scores with the agent's own text perceiver, which never saw MELD, in place of the words.

    Args:
        learned: On MELD.
        words: What the text perceiver says of the test rows, shape (m, 7).
    """
    probs = {**learned.probs, "text": words}
    return {
        "+".join((_READER, *(name for name in each if name != "text"))): scores(
            learned.truth,
            learned.pool.pooled({n: probs[n] for n in each}, {n: learned.there[n] for n in each}),
        )
        for each in companies(list(probs))
        if "text" in each
    }


def train_meld(
    data: Path,
    words: Words,
    *,
    out: Path | None = None,
    limit: int = 0,
    seed: int = 0,
    seeds: int = 3,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Learn on MELD, and write the agent's weights into ``out`` if it is given.

    Returns:
        ``{"name", "metrics", "baselines", "weights", ...}``, ready for JSON.
    """
    seen: dict[str, Probs] = {}

    async def encode(name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        say(f"{name}: {len(texts):,} utterances")
        features = await words.encode(name, texts)
        seen[name] = basic(features)
        return features

    learned = asyncio.run(
        fusion_meld.run(data, encode, limit=limit, seed=seed, seeds=seeds, say=say)
    )
    report = _report("meld", learned, seed)
    report["metrics"] |= unseen(learned, seen["meld-test"])
    report["baselines"] |= {
        name: {"weighted_f1": value / 100} for name, value in fusion_meld.PUBLISHED.items()
    }
    if out is not None:
        facts: dict[str, Any] = {
            "fitted_on": {"corpus": "MELD dev", "rows": len(learned.held_truth), "seed": seed},
            "test": measured(learned),
        }
        learned.pool.save(out / WEIGHTS.name, **facts)
        say(f"wrote {out / WEIGHTS.name}")
    return report


def train_mosi(
    data: Path,
    words: Words,
    *,
    limit: int = 0,
    seed: int = 0,
    seeds: int = 1,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Learn on CMU-MOSI, with the encoder's words and with the published ones."""
    found = asyncio.run(
        fusion_mosi.run(data, words.encode, limit=limit, seed=seed, seeds=seeds, say=say)
    )
    parts = {name: _report("mosi", learned, seed) for name, learned in found.items()}
    first = next(iter(parts.values()))
    published = {row: {"accuracy": value / 100} for row, value in fusion_mosi.PUBLISHED.items()}
    return {
        "name": first["name"],
        "baselines": first["baselines"] | published,
        **{
            key: {name: part[key] for name, part in parts.items()}
            for key in ("metrics", "weights", "calibration", "settings")
        },
    }


def _report(corpus: str, learned: Learned, seed: int) -> dict[str, Any]:
    return {
        "name": f"fusion-{corpus}",
        "metrics": measured(learned),
        "baselines": floors(learned, seed),
        "weights": learned.pool.weights,
        "calibration": {name: each.kind for name, each in learned.calibrators.items()},
        "settings": {name: vars(each) for name, each in learned.settings.items()},
    }


def train(
    corpus: str,
    data: Path,
    *,
    out: Path | None = None,
    cache: Path | None = None,
    encoder: Encoder | None = None,
    limit: int = 0,
    seed: int = 0,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Learn on a corpus; see the module's text.

    Raises:
        ExtraMissingError: If torch or scikit-learn is absent.
        SetupError: If the corpus or the encoder's weights are absent.
    """
    require_extra("the fusion trainer")
    words = Words(encoder or MiniLMEncoder(cache_size=0), cache)
    seeds = 1 if limit else 3
    if corpus == "mosi":
        return train_mosi(data, words, limit=limit, seed=seed, say=say)
    return train_meld(data, words, out=out, limit=limit, seed=seed, seeds=seeds, say=say)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; see the module's text."""
    parser = command.options(
        "fusion",
        "Learn how to fuse readings.",
        data="folder that holds the corpora",
        limit="utterances of each split",
        out="folder for late.json (default: write nothing)",
    )
    parser.add_argument("--corpus", choices=CORPORA, default="meld")
    parser.add_argument("--cache", type=Path, help="folder that keeps the encoded words")
    given = parser.parse_args(arguments)
    report = train(
        given.corpus,
        given.data,
        out=given.out,
        cache=given.cache,
        limit=given.limit,
        seed=given.seed,
        say=command.sayer(given),
    )
    command.write(given, report)


if __name__ == "__main__":
    main()
