"""MELD for the fusion: words, eight numbers of the voice, action units of the faces."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.blocking import BlockingPool
from affectgraph.perceivers.corpora.meld import Scenes, Split, load
from affectgraph.perceivers.labels import EKMAN_7
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.fusion_context import Settings, Utterances
from affectgraph.perceivers.training.fusion_learn import Given, Learned, learn

Matrix = NDArray[np.floating[Any]]
Encode = Callable[[str, Sequence[str]], Awaitable[Matrix]]
"""Called with what the texts are and the texts; gives features of shape (n, d)."""

PUBLISHED: Final[Mapping[str, float]] = {
    "DialogueRNN": 57.0,
    "MMGCN": 58.7,
    "COSMIC": 65.2,
    "PRC-Emo": 70.4,
}
"""Weighted F1 on the seven emotions of the test split, in per cent."""

SPLITS: Final[tuple[Split, ...]] = ("train", "dev", "test")

_TEXT: Final = Settings(hidden=96, epochs=6, drop_in=0.4, balance=0.3)
_SIGNAL: Final = Settings(hidden=32, epochs=10, drop_in=0.1, drop=0.3, balance=0.3)
_LOUD: Final = 1e3


async def run(
    data: Path,
    encode: Encode,
    *,
    limit: int = 0,
    seed: int = 0,
    seeds: int = 3,
    say: Say = lambda _: None,
) -> Learned:
    """Learn on train, choose, calibrate and weigh on dev, read test.

    Args:
        data: MELD's folder, or the one that holds it as ``meld``.
        encode: Makes features of texts.
        limit: Utterances of each split at most; 0 for all.
        seed: Of the draw of the slice and of the first model.
        seeds: Models of each modality that are averaged.
        say: Told of the progress.
    """
    pool = BlockingPool(size=1)
    scenes = await pool.run(
        lambda: {split: load(data, split, limit=limit, seed=seed) for split in SPLITS}
    )
    words = {split: await encode(f"meld-{split}", each.texts) for split, each in scenes.items()}

    def work() -> Learned:
        given, fold = parts(scenes, words)
        return learn(given, fold, len(EKMAN_7), range(seed, seed + seeds), say)

    return await pool.run(work)


def parts(
    scenes: Mapping[Split, Scenes], words: Mapping[Split, Matrix]
) -> tuple[dict[str, Given], NDArray[np.int64]]:
    """Features of the three modalities; dev is the one fold of validation rows."""
    typical = np.nanmedian(scenes["train"].voice, axis=0)
    features = {
        "text": {split: _words(scenes[split], words[split]) for split in SPLITS},
        "speech": {split: _voice(scenes[split], typical) for split in SPLITS},
        "face": {split: _face(scenes[split]) for split in SPLITS},
    }
    settings = {"text": _TEXT, "speech": _SIGNAL, "face": _SIGNAL}
    apart = len(scenes["train"].texts) + int(scenes["train"].dialogue.max()) + 1
    labels = np.concatenate([scenes["train"].emotion, scenes["dev"].emotion])
    sequence = np.concatenate([scenes["train"].dialogue, scenes["dev"].dialogue + apart])
    fold = np.concatenate([np.full(len(scenes["train"]), -1), np.zeros(len(scenes["dev"]), int)])
    given = {}
    for name, of in features.items():
        there = {split: _there(name, scenes[split]) for split in SPLITS}
        given[name] = Given(
            Utterances(np.concatenate([of["train"], of["dev"]]), labels, sequence),
            Utterances(of["test"], scenes["test"].emotion, scenes["test"].dialogue),
            np.concatenate([there["train"], there["dev"]]),
            there["test"],
            settings[name],
        )
    return given, fold


def _there(name: str, scenes: Scenes) -> NDArray[np.bool_]:
    if name == "face":
        return scenes.seen
    if name == "speech":
        return np.asarray(~np.isnan(scenes.voice).all(axis=1), dtype=np.bool_)
    return np.ones(len(scenes), np.bool_)


def _words(scenes: Scenes, words: Matrix) -> NDArray[np.float32]:
    """Features of the words, and whether the speaker is the one before."""
    same = np.array(
        [
            row > 0
            and scenes.dialogue[row] == scenes.dialogue[row - 1]
            and scenes.speakers[row] == scenes.speakers[row - 1]
            for row in range(len(scenes))
        ],
        np.float32,
    )
    return np.concatenate([np.asarray(words, np.float32), same[:, None]], axis=1)


def _voice(scenes: Scenes, typical: Matrix) -> NDArray[np.float32]:
    """The eight numbers, on their scales of hearing, and how they differ from the dialogue's."""
    missing = np.isnan(scenes.voice)
    voice = np.clip(np.where(missing, typical, scenes.voice), -_LOUD, _LOUD)
    scale = np.array([True, False, False, True, True, True, False, False])
    voice = np.where(scale, np.log(np.maximum(voice, 0) + 0.1), voice)
    rest = _from_mean(voice, scenes.dialogue)
    return np.concatenate([voice, rest, missing], axis=1).astype(np.float32)


def _face(scenes: Scenes) -> NDArray[np.float32]:
    """Intensities, and how they differ from the dialogue's."""
    rest = _from_mean(scenes.face, scenes.dialogue)
    return np.concatenate([scenes.face, rest, scenes.seen[:, None]], axis=1).astype(np.float32)


def _from_mean(rows: Matrix, dialogue: NDArray[np.int64]) -> Matrix:
    _, place, counts = np.unique(dialogue, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), rows.shape[1]))
    np.add.at(sums, place, rows)
    return np.asarray(rows - sums[place] / counts[place, None])
