"""CMU-MOSI for the fusion: words, sound and pictures of opinions in videos, negative or positive.

The published features of the words and of the pictures come from networks that were trained on
the labels of the training videos: there a linear model tells the label of held-out training
videos in 98 and 91 % of the utterances, where bc-LSTM reaches 78 and 56 % on test videos. Nothing
that is learned on them can be weighed on training videos. So

- the words are encoded anew, by the encoder of the agent, from the transcripts;
- how far the pictures can be believed is judged on the test videos *without their labels*, by
  their agreement with the words (:func:`by_agreement`). That is transductive: the pictures'
  calibration and weight are fitted to the inputs of the very videos that are told, so the rows with
  pictures do not say how a fusion that was finished beforehand would do on new videos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora.mosi import SENTIMENTS, Opinions, Split, load
from affectgraph.perceivers.fusion.pool import Pool
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.fusion_context import Settings, Utterances
from affectgraph.perceivers.training.fusion_fit import FOLDS, Calibrator, folds, vector_scaling
from affectgraph.perceivers.training.fusion_learn import Given, Learned, learn
from affectgraph.perceivers.training.fusion_meld import Encode

Matrix = NDArray[np.floating[Any]]
Probs = NDArray[np.float64]

PUBLISHED: Final[Mapping[str, float]] = {
    "bc-LSTM, text": 78.1,
    "bc-LSTM, audio": 60.3,
    "bc-LSTM, video": 55.8,
    "bc-LSTM, all": 80.3,
}
"""Binary accuracy on the test videos, in per cent (Poria et al., 2017)."""

SPLITS: Final[tuple[Split, ...]] = ("train", "test")

WORDS: Final = ("encoded words", "published words")

_LEAST: Final = 1e-9
_TEXT: Final = Settings(hidden=64, epochs=12, batch=8, drop_in=0.5)
_SIGNAL: Final = Settings(hidden=24, epochs=12, batch=8, drop_in=0.3)


async def run(
    data: Path,
    encode: Encode,
    *,
    limit: int = 0,
    seed: int = 0,
    seeds: int = 1,
    say: Say = lambda _: None,
) -> dict[str, Learned]:
    """Learn and calibrate by folds over the training videos; read the test videos.

    With the encoder's words the pictures are calibrated and weighed on the test videos' inputs,
    without labels: see :func:`by_agreement`.

    Args:
        data: MOSI's folder, or the one that holds it as ``mosi``.
        encode: Makes features of texts.
        limit: Utterances of each split at most; 0 for all.
        seed: Of the draw of the slice and of the first model.
        seeds: Models of each modality and fold that are averaged.
        say: Told of the progress.

    Returns:
        For each of :data:`WORDS` what was learned of ``text``, ``audio`` and ``video``: with the
        encoder's words and the pictures judged by agreement; and with the published words, all
        weighed as if that could be done on the training videos.
    """
    pool = BlockingPool(size=1)
    opinions = await pool.run(
        lambda: {split: load(data, split, limit=limit, seed=seed) for split in SPLITS}
    )
    words: dict[str, Matrix] = {}
    for split, each in opinions.items():
        words[split] = await encode(f"mosi-{split}", [text.lower() for text in each.texts])

    def work() -> dict[str, Learned]:
        given, fold = parts(opinions, words, 2 if limit else FOLDS)
        learned = learn(given, fold, len(SENTIMENTS), range(seed, seed + seeds), say)
        encoded, published = (
            learned.only({"text": name, "audio": "audio", "video": "video"}) for name in WORDS
        )
        return dict(zip(WORDS, (by_agreement(encoded, "text", "video"), published), strict=True))

    return await pool.run(work)


def parts(
    opinions: Mapping[Split, Opinions], words: Mapping[str, Matrix], count: int = FOLDS
) -> tuple[dict[str, Given], NDArray[np.int64]]:
    """Features of sound, pictures, and words twice; folds of training videos."""
    features: dict[str, Callable[[Split], Matrix]] = {
        WORDS[0]: lambda split: np.asarray(words[split], np.float32),
        WORDS[1]: lambda split: opinions[split].text,
        "audio": lambda split: _signal(opinions[split].audio, opinions[split].source),
        "video": lambda split: _signal(opinions[split].video, opinions[split].source),
    }
    train, test = opinions["train"], opinions["test"]
    given = {
        name: Given(
            Utterances(of("train"), train.sentiment, train.source),
            Utterances(of("test"), test.sentiment, test.source),
            np.ones(len(train), np.bool_),
            np.ones(len(test), np.bool_),
            _TEXT if name in WORDS else _SIGNAL,
        )
        for name, of in features.items()
    }
    return given, folds(train.source, count)


def by_agreement(learned: Learned, trusted: str, doubtful: str) -> Learned:
    """Calibrate a modality anew, by how it agrees with another on the test rows, without labels.

    This is transductive: what it says of a test row depends on the inputs of all of them. The
    trusted one's calibrated probabilities stand in for the labels of the test rows. Where the two
    err independently, this underrates the doubtful one, never the other way: the trusted one's own
    doubt is counted as disagreement. So calibrated, it counts with weight 1. How frequent the
    classes are is taken out of it: the trusted one has counted that already.

    Args:
        learned: What was learned.
        trusted: Was calibrated on rows that it had not seen.
        doubtful: Was not.
    """
    calibrator = _evidence(learned.raw[doubtful], learned.probs[trusted])

    def judged(raw: Mapping[str, Probs], probs: Mapping[str, Probs]) -> dict[str, Probs]:
        return {**probs, doubtful: calibrator.probs(np.log(raw[doubtful] + _LEAST))}

    weights = {
        name: {**each, **({doubtful: 1.0} if doubtful in each else {})}
        for name, each in learned.pool.weights.items()
    }
    for name, each in weights.items():
        if doubtful in each:
            without = [other for other in each if other != doubtful]
            weights[name] = {**each, **learned.pool.of(without)}
    return replace(
        learned,
        probs=judged(learned.raw, learned.probs),
        held=judged(learned.held_raw, learned.held),
        calibrators={**learned.calibrators, doubtful: calibrator},
        pool=Pool(weights),
    )


def _evidence(raw: Probs, targets: Probs) -> Calibrator:
    """What probabilities say of soft targets beyond how frequent these are."""
    found = vector_scaling(np.log(raw + _LEAST), targets)
    return replace(found, bias=found.bias - np.log(targets.mean(axis=0)))


def _signal(rows: Matrix, source: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features in units of their spread within the video: the speaker and the camera drop out."""
    out = np.zeros(rows.shape, np.float32)
    for video in np.unique(source):
        own = source == video
        out[own] = (rows[own] - rows[own].mean(0)) / (rows[own].std(0) + 1e-3)
    return np.clip(out, -4, 4)
