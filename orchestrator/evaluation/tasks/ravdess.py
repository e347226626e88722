"""``ravdess``: emotions of voices that the model never heard."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.orchestrator.evaluation import floors
from affectgraph.orchestrator.evaluation.bench import Bench
from affectgraph.orchestrator.evaluation.bootstrap import Floats
from affectgraph.orchestrator.evaluation.classified import Classified
from affectgraph.orchestrator.evaluation.latency import timed
from affectgraph.orchestrator.evaluation.metrics import (
    ACCURACY,
    MACRO_F1,
    UAR,
    WAR,
)
from affectgraph.orchestrator.evaluation.readings import as_arrays, as_told, carried
from affectgraph.orchestrator.evaluation.result import (
    Fact,
    Result,
    Row,
    Table,
)
from affectgraph.orchestrator.evaluation.subjects import version
from affectgraph.perceivers.affect import Reading
from affectgraph.perceivers.contracts import Perceiver
from affectgraph.perceivers.corpora import ravdess as corpus
from affectgraph.perceivers.errors import ExtraMissingError, InputError
from affectgraph.perceivers.labels import RAVDESS_8, LabelSet
from affectgraph.perceivers.media import SAMPLE_RATE, AudioFile
from affectgraph.perceivers.models import models_of
from affectgraph.perceivers.speech import VoiceEmotion
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.training import ravdess
from affectgraph.perceivers.turn import Consent, Turn

_FOLDS: Final = (
    "1,440 recordings of 24 actors, four folds of six held-out actors; each recording is judged by"
    " a head that never heard its actor, trained as the shipped head is (which heard all of them,"
    " so that its own accuracy here would say nothing). Choices and temperature come from inner"
    " folds over the 18 training actors; the majority and the random row from their labels."
    " Intervals draw whole actors. The corpus has two sentences,"
    " acted; on other voices the same models fall far lower."
)
_HEARD: Final = (
    "The spec's own perceiver, by its readings of every recording; where it abstains, every class"
    " is told by its share. Shares, majority and random come from the actors of the other three"
    " folds of six. If it was trained on RAVDESS, it knows these actors and the figures say"
    " nothing of others. A perceiver whose labels do not reach the eight is compared in Ekman's"
    " seven. Intervals draw whole actors."
)
_MEMBERS: Final = 3
"""Attentive members of a head, as many as the shipped one has."""
_TRAININGS: Final = 6
_SECONDS: Final = 4
_ROUNDS: Final = 40
_METRICS: Final = (ACCURACY, UAR, WAR, MACRO_F1)


_PUBLISHED: Final = (
    Row.published(
        "ResLSTM-SA (Krasnoproshin and Vashkevich, 2026)", "other held-out actors", uar=0.6517
    ),
)


@dataclass(frozen=True)
class _Judged:
    """Recordings and what was said of each.

    Attributes:
        labels: The label set.
        label: Index into its labels, shape (n,).
        actor: 1 to 24, shape (n,); odd numbers are men.
        probs: Shape (n, k).
        note: The protocol.
        facts: Beside the tables.
    """

    labels: LabelSet
    label: NDArray[np.int64]
    actor: NDArray[np.int64]
    probs: Floats
    note: str
    facts: dict[str, Fact]


class Ravdess:
    """Livingstone and Russo (2018); speech, eight emotions."""

    name = "ravdess"
    about = (
        "8 emotions of 24 actors' voices, four folds of held-out actors; calibration; milliseconds"
        " an utterance. Trains the folds: about 20 minutes of one core the first time, seconds"
        " afterwards; --limit 160 gives a quick look"
    )

    async def run(self, bench: Bench) -> Result:
        """Judge held-out actors by our trainer's folds; any other perceiver by its readings."""
        perceiver = bench.subjects.perceiver("speech")
        ours = await bench.aside(lambda: VoiceEmotion(WhisperEncoder(bench.store)))
        if set(models_of(ours)) <= set(models_of(perceiver)):
            judged = await _held_out(bench, ours)
        else:
            judged = await _heard(bench, perceiver)
        return await bench.aside(lambda: _result(bench, judged))


async def _held_out(bench: Bench, voice: VoiceEmotion) -> _Judged:
    """Train and judge the four folds; the encoder's layers and what is told are kept."""
    if find_spec("torch") is None:
        raise ExtraMissingError("the evaluation ravdess", "train")
    await voice.warm_up()
    read = await bench.aside(lambda: corpus.load(bench.data, limit=bench.limit, seed=bench.seed))

    async def judge(_: Sequence[Path]) -> dict[str, NDArray[Any]]:
        return {"probs": (await bench.aside(lambda: _cross_validated(bench, read))).probs}

    known = await bench.aside(lambda: _known(read.files))
    key = await bench.aside(lambda: _recipe(bench))
    kept = bench.kept("ravdess-folds", key, str(bench.seed), str(bench.limit))
    # One chunk of all recordings: every fold's heads are needed for the whole.
    whole = replace(kept, size=len(read.files))
    told = await whole.over(read.files, judge, known_by=known.__getitem__)
    probs = np.asarray(told["probs"], np.float64)
    facts: dict[str, Fact] = dict(await bench.aside(lambda: _latency(voice, read.files[0])))
    return _Judged(RAVDESS_8, read.label, read.actor, probs, _FOLDS, facts)


def _cross_validated(bench: Bench, read: corpus.Ravdess) -> ravdess.HeldOut:
    """Train as the shipped head was trained, but for the actors who are held out."""
    encoded, folds = itertools.count(1), itertools.count(1)
    voices, trainer = ravdess.prepare(
        read,
        WhisperEncoder(bench.store),
        members=1 if bench.limit else _MEMBERS,
        seed=bench.seed,
        small=bench.limit > 0,
        # The layers know what they were made of; a fresh run takes none of them.
        cache=bench.run / "ravdess" if bench.resume else None,
        say=lambda _: bench.progress(
            "recordings, in hundreds", next(encoded), len(read.files) // 100
        ),
    )
    return ravdess.cross_validate(
        voices, trainer, lambda _: bench.progress("trained heads", next(folds), _TRAININGS)
    )


def _recipe(bench: Bench) -> str:
    """Names what the folds' heads depend on: the trainer's source and the encoder's."""
    digest = hashlib.sha256(version(WhisperEncoder(bench.store)).encode())
    room = Path(ravdess.__file__).parent
    for file in (*sorted(room.glob("ravdess*.py")), room / "calibration.py"):
        digest.update(file.read_bytes())
    return f"{_MEMBERS} {digest.hexdigest()}"


def _known(files: Sequence[Path]) -> dict[Path, str]:
    """What recordings are known by: their names, and their content."""
    return {file: f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files}


def _latency(voice: VoiceEmotion, file: Path) -> dict[str, float]:
    """Milliseconds that the emotion of four seconds of voice takes, from sound to probabilities."""
    samples = np.resize(AudioFile(file).samples, _SECONDS * SAMPLE_RATE)
    return timed("four_seconds_of_voice", voice.probabilities, [[samples]], _ROUNDS)


async def _heard(bench: Bench, perceiver: Perceiver) -> _Judged:
    """What a perceiver says of every recording."""
    await perceiver.warm_up()
    voices = await bench.aside(lambda: corpus.load(bench.data, limit=bench.limit, seed=bench.seed))
    key = await bench.aside(lambda: bench.subjects.version("speech"))
    known = await bench.aside(lambda: _known(voices.files))

    async def read(chunk: Sequence[Path]) -> dict[str, NDArray[Any]]:
        return as_arrays([await _perceived(perceiver, file) for file in chunk])

    kept = bench.kept("ravdess-readings", *key)
    told = as_told(await kept.over(voices.files, read, known_by=known.__getitem__))
    common = told.meets(RAVDESS_8)
    truth = carried(RAVDESS_8, common).argmax(axis=1)[voices.label]
    probs = np.zeros((len(truth), len(common)))
    for rows, others in _apart(truth, voices.actor, len(common)):
        prior: Floats = np.bincount(others, minlength=len(common)) / len(others)
        probs[rows] = told.to(common, prior)[rows]
    facts: dict[str, Fact] = {"abstained": int(told.abstained.sum())}
    return _Judged(common, truth, voices.actor, probs, _HEARD, facts)


def _apart(
    label: NDArray[np.int64], actor: NDArray[np.int64], classes: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64]]]:
    """The rows of each fold, and the labels of all other folds' actors.

    Where there is no other fold, each class once stands for them.
    """
    fold = corpus.fold_of(actor)
    for held in np.unique(fold):
        others = label[fold != held]
        yield np.flatnonzero(fold == held), others if len(others) else np.arange(classes)


async def _perceived(perceiver: Perceiver, file: Path) -> Reading | None:
    turn = Turn(audio=AudioFile(file), consent=Consent(microphone=True))
    try:
        return await perceiver.perceive(turn)
    except InputError:
        return None


def _result(bench: Bench, judged: _Judged) -> Result:
    truth, actor = judged.label, judged.actor
    classified = Classified(
        f"RAVDESS, {len(judged.labels)} classes",
        judged.labels.labels,
        truth,
        judged.probs,
        _METRICS,
        actor,
    )
    most, drawn = np.zeros_like(truth), np.zeros_like(truth)
    for fold, (at, others) in enumerate(_apart(truth, actor, len(judged.labels))):
        most[at] = floors.majority(others, len(at))
        drawn[at] = floors.random(others, len(at), bench.seed + fold)
    rows = (
        classified.floor(bench, "majority", most),
        classified.floor(bench, "random", drawn),
        classified.ours(bench),
        *(_PUBLISHED if judged.labels == RAVDESS_8 else ()),
    )
    return Result(
        "ravdess",
        (Table(classified.title, rows, judged.note),),
        classified.figures(),
        {**_slices(classified.told == truth, actor), **judged.facts},
        classified.kept(),
    )


def _slices(right: NDArray[np.bool_], actor: NDArray[np.int64]) -> dict[str, Fact]:
    """Accuracy of men, of women, and of the actors who are read worst and best."""
    men = actor % 2 == 1
    facts: dict[str, Fact] = {"recordings": len(actor), "actors": len(np.unique(actor))}
    for name, chosen in (("men", men), ("women", ~men)):
        if chosen.any():
            facts[f"accuracy, {name}"] = float(right[chosen].mean())
    each = [float(right[actor == who].mean()) for who in np.unique(actor)]
    return facts | {"accuracy, worst actor": min(each), "accuracy, best actor": max(each)}
