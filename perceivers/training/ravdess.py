"""Train, calibrate, test and export the voice emotion head on RAVDESS.

Run::

    python -m affectgraph.perceivers.training.ravdess --data DIR

Progress goes to standard error; standard output is one JSON object with ``name``, ``metrics`` and
``baselines``. Four folds hold out six actors each. What is chosen for a fold (the linear part's
components and shrinkage, the share of the parts, the temperature) is chosen on six of its other 18
actors, who are judged by a head that was trained on the remaining twelve. Nothing is chosen on the
actors held out. Needs the extra ``train`` and the model ``whisper-tiny.en``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.corpora import ravdess as corpus
from affectgraph.perceivers.corpora.ravdess import FOLDS
from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.labels import RAVDESS_8
from affectgraph.perceivers.speech.emotion import WEIGHTS
from affectgraph.perceivers.speech.encoder import WhisperEncoder
from affectgraph.perceivers.speech.voice_onnx import LinearPart, Member, head_model
from affectgraph.perceivers.training import command
from affectgraph.perceivers.training.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    softmax,
)
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.ravdess_data import COPIES, Voices, load
from affectgraph.perceivers.training.ravdess_net import (
    CHOICES,
    CLASSES,
    Choice,
    Components,
    Floats,
    Recipe,
    Rows,
    as_member,
    fit_linear,
    fit_net,
    linear_logits,
    net_logits,
    pooled,
)

FIRST_PROBE: Final = 0.764
"""Accuracy of a logistic regression over the same layers, all of the file encoded."""

SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the linear part in the whole."""

_FEW_COPIES: Final = 2

Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What was chosen on actors that were not trained on.

    Attributes:
        choice: Components and shrinkage of the linear part.
        linear_temperature: Its logits are divided by it.
        share: Of the linear part's log-probabilities in the whole.
        temperature: The whole is divided by it.
    """

    choice: Choice
    linear_temperature: float
    share: float
    temperature: float


_NOTHING: Final = Settings(CHOICES[0], 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Told:
    """What heads say of recordings that they never heard.

    Attributes:
        linear: Logits under each choice, shape (choices, n, 8).
        members: Log-probabilities, averaged over the members, shape (n, 8).
    """

    linear: NDArray[np.float64]
    members: NDArray[np.float64]

    def at(self, rows: Rows) -> Told:
        """The same of some of the recordings."""
        return Told(self.linear[:, rows], self.members[rows])


@dataclass(frozen=True)
class HeldOut:
    """What the four folds say of the actors that they hold out.

    Attributes:
        probs: Under each fold's own settings, shape (n, 8).
        degraded: Probabilities for the degraded copies, shape (n, 8).
        parts: Probabilities of the linear part alone and of the members alone, (n, 8) each.
        label: Index into RAVDESS's labels, shape (n,).
        actor: 1 to 24, shape (n,).
        settings: Of each fold.
        told: What the parts said before anything was chosen.
    """

    probs: Probabilities
    degraded: Probabilities
    parts: dict[str, Probabilities]
    label: NDArray[np.int64]
    actor: NDArray[np.int64]
    settings: tuple[Settings, ...]
    told: Told

    @property
    def woman(self) -> NDArray[np.bool_]:
        """Whether the actor is a woman, shape (n,)."""
        return np.asarray(self.actor % 2 == 0)


class Trainer:
    """Fits heads on some of the recordings.

    Args:
        voices: The recordings.
        recipe: Of the members.
        seeds: One member each.
    """

    def __init__(
        self, voices: Voices, *, recipe: Recipe | None = None, seeds: Sequence[int] = (0,)
    ) -> None:
        self.voices = voices
        self._recipe = recipe or Recipe()
        self._seeds = tuple(seeds)
        self._features: Floats = pooled(voices)

    def judge(self, rows: Rows, others: Rows) -> tuple[Told, Told]:
        """Train on some recordings, judge others.

        Returns:
            What is told of the others, and of their degraded copies.
        """
        parts = fit_linear(self._features, self.voices.label, rows)
        told = [
            np.stack([linear_logits(part, self._features[copy, others]) for part in parts])
            for copy in (0, -1)
        ]
        inputs = self._components(rows)
        members = [np.zeros((len(others), CLASSES)) for _ in told]
        for seed in self._seeds:
            net = fit_net(inputs, self.voices, rows, self._recipe, seed)
            for slot, copy in enumerate((0, len(self.voices.start) - 1)):
                members[slot] += net_logits(net, inputs, others, copy) / len(self._seeds)
        clean, degraded = map(Told, told, members)
        return clean, degraded

    def final(self, rows: Rows, choice: Choice) -> tuple[LinearPart, tuple[Member, ...]]:
        """Train the parts of a head to be kept."""
        (linear,) = fit_linear(self._features, self.voices.label, rows, (choice,))
        inputs = self._components(rows)
        members = [
            as_member(fit_net(inputs, self.voices, rows, self._recipe, seed), inputs)
            for seed in self._seeds
        ]
        return linear, tuple(members)

    def _components(self, rows: Rows) -> Components:
        frames = int(self.voices.length[0, rows].sum()) // 2
        return Components(self.voices, rows, min(self._recipe.dim, frames))


def choose(told: Told, label: NDArray[np.int64]) -> Settings:
    """Choose what makes the labels most likely; ``told`` must be of actors not trained on."""
    targets = np.eye(CLASSES)[label]
    options = []
    for slot, choice in enumerate(CHOICES):
        temperature = fit_temperature(told.linear[slot], targets)
        loss = negative_log_likelihood(told.linear[slot], targets, temperature)
        options.append((loss, slot, choice, temperature))
    _, slot, choice, linear_temperature = min(options)
    mixtures = []
    for share in SHARES:
        whole = _mixed(told, slot, linear_temperature, share)
        temperature = fit_temperature(whole, targets)
        loss = negative_log_likelihood(whole, targets, temperature)
        mixtures.append((loss, share, temperature))
    _, share, temperature = min(mixtures)
    return Settings(choice, linear_temperature, share, temperature)


def _mixed(told: Told, slot: int, temperature: float, share: float) -> NDArray[np.float64]:
    linear = np.log(np.maximum(softmax(told.linear[slot] / temperature), 1e-30))
    return share * linear + (1.0 - share) * told.members


def _probabilities(told: Told, settings: Settings, share: float | None = None) -> Probabilities:
    slot = CHOICES.index(settings.choice)
    part = settings.share if share is None else share
    whole = _mixed(told, slot, settings.linear_temperature, part)
    # A part alone is calibrated by itself, or nearly: its own temperature is in it.
    return softmax(whole / (settings.temperature if share is None else 1.0))


def prepare(
    recordings: corpus.Ravdess,
    encoder: WhisperEncoder,
    *,
    members: int,
    seed: int = 0,
    small: bool = False,
    cache: Path | None = None,
    say: Say = lambda _: None,
) -> tuple[Voices, Trainer]:
    """Encode recordings, and make the trainer of heads of them.

    Args:
        recordings: What to train on.
        encoder: Whisper's encoder.
        members: Attentive members of a head.
        seed: Of draws, copies and members.
        small: Whether the recordings are a slice: fewer copies, and fewer components, for which
            a slice has too few frames.
        cache: Folder that keeps the layers; ``None`` keeps none.
        say: Told of the progress.
    """
    copies = _FEW_COPIES if small else COPIES
    voices = load(recordings, encoder, copies=copies, seed=seed, cache=cache, say=say)
    recipe = replace(Recipe(), dim=64) if small else Recipe()
    return voices, Trainer(voices, recipe=recipe, seeds=range(seed, seed + members))


def cross_validate(voices: Voices, trainer: Trainer, say: Say = lambda _: None) -> HeldOut:
    """Run the four folds: six trainings, four for the folds and two for what is chosen in them.

    Args:
        voices: The recordings, as :func:`~affectgraph.perceivers.training.ravdess_data.load` gives.
        trainer: Of these recordings.
        say: Told of the progress.
    """
    fold = voices.fold
    settings = [_NOTHING] * FOLDS
    # A pair of folds is left out at a time; what is judged of the one decides for the other.
    for pair in ((0, 1), (2, 3)):
        others = np.flatnonzero(np.isin(fold, pair))
        told, _ = trainer.judge(np.flatnonzero(~np.isin(fold, pair)), others)
        for held, judged in (pair, pair[::-1]):
            rows = np.flatnonzero(fold[others] == judged)
            settings[held] = choose(told.at(rows), voices.label[others[rows]])
        say(f"inner heads without folds {pair[0] + 1} and {pair[1] + 1}")
    shape = (len(voices.label), CLASSES)
    probs, degraded = np.zeros(shape), np.zeros(shape)
    parts = {"linear": np.zeros(shape), "attentive": np.zeros(shape)}
    said = Told(np.zeros((len(CHOICES), *shape)), np.zeros(shape))
    for held in range(FOLDS):
        out = np.flatnonzero(fold == held)
        told, worse = trainer.judge(np.flatnonzero(fold != held), out)
        said.linear[:, out], said.members[out] = told.linear, told.members
        probs[out] = _probabilities(told, settings[held])
        degraded[out] = _probabilities(worse, settings[held])
        parts["linear"][out] = _probabilities(told, settings[held], 1.0)
        parts["attentive"][out] = _probabilities(told, settings[held], 0.0)
        right = probs[out].argmax(axis=1) == voices.label[out]
        say(f"fold {held + 1}: {settings[held]}, accuracy {right.mean():.3f}")
    return HeldOut(probs, degraded, parts, voices.label, voices.actor, tuple(settings), said)


def measure(held: HeldOut, missed: NDArray[np.bool_]) -> dict[str, Any]:
    """Metrics pooled over all actors, each judged by heads that never heard them."""
    from sklearn.metrics import f1_score, recall_score

    truth, guess = held.label, held.probs.argmax(axis=1)
    right = guess == truth
    actors = {int(a): float(right[held.actor == a].mean()) for a in np.unique(held.actor)}
    recalls = recall_score(truth, guess, labels=range(CLASSES), average=None, zero_division=0)
    folds = corpus.fold_of(held.actor)
    return {
        "recordings": len(truth),
        "accuracy": float(right.mean()),
        "accuracy_by_fold": [float(right[folds == f].mean()) for f in range(FOLDS)],
        "macro_f1": float(f1_score(truth, guess, average="macro", zero_division=0)),
        "uar": float(np.mean(recalls)),
        "ece": expected_calibration_error(held.probs, truth),
        "accuracy_degraded": float((held.degraded.argmax(axis=1) == truth).mean()),
        "ece_degraded": expected_calibration_error(held.degraded, truth),
        "accuracy_men": _share(right[~held.woman]),
        "accuracy_women": _share(right[held.woman]),
        "accuracy_worst_actor": min(actors.values()),
        "accuracy_best_actor": max(actors.values()),
        "recall": dict(zip(RAVDESS_8.labels, map(float, recalls), strict=True)),
        "too_little_speech": int(missed.sum()),
        "accuracy_of_parts": {
            name: float((probs.argmax(axis=1) == truth).mean())
            for name, probs in held.parts.items()
        },
    }


def _share(right: NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if len(right) else None


def train(
    data: Path,
    out: Path | None,
    *,
    seed: int = 0,
    limit: int = 0,
    members: int = 1,
    encoder: WhisperEncoder | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """Cross-validate, then fit on all actors and write the head.

    Args:
        data: RAVDESS's folder, or one that holds it as ``ravdess``.
        out: Folder for ``ravdess.onnx`` and the cache of layers; ``None`` writes nothing.
        seed: Of draws, copies and members.
        limit: Recordings at most; 0 for all. A slice is trained on fewer copies.
        members: Attentive members of the head.
        encoder: Whisper's encoder.
        say: Told of the progress.

    Returns:
        ``name``, ``metrics`` and ``baselines``.

    Raises:
        ExtraMissingError: If scikit-learn or torch is absent.
        ModelMissingError: If Whisper is not pulled.
        SetupError: If there are no recordings.
    """
    if any(find_spec(module) is None for module in ("sklearn", "torch")):
        raise ExtraMissingError("the RAVDESS trainer", "train")
    recordings = corpus.load(data, limit=limit, seed=seed)
    voices, trainer = prepare(
        recordings,
        encoder or WhisperEncoder(),
        members=members,
        seed=seed,
        small=limit > 0,
        cache=out,
        say=say,
    )
    held = cross_validate(voices, trainer, say)
    settings = choose(held.told, voices.label)
    if out is not None:
        linear, trained = trainer.final(np.arange(len(voices.label)), settings.choice)
        calm = LinearPart(
            linear.weight / settings.linear_temperature, linear.bias / settings.linear_temperature
        )
        model = head_model(calm, trained, share=settings.share, temperature=settings.temperature)
        (out / WEIGHTS.name).write_bytes(model.SerializeToString())
        say(f"wrote {out / WEIGHTS.name}")
    counts = np.bincount(voices.label, minlength=CLASSES)
    return {
        "name": "ravdess",
        "metrics": measure(held, voices.missed)
        | {
            "temperature": settings.temperature,
            "components": settings.choice[0],
            "shrinkage": settings.choice[1],
            "share_linear": settings.share,
            "members": members,
        },
        "baselines": {
            "majority": float(counts.max() / counts.sum()),
            "random": 1.0 / CLASSES,
            "first_probe": FIRST_PROBE,
        },
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see the module's text."""
    parser = command.options(
        "ravdess",
        "Train the voice emotion head.",
        data="RAVDESS's folder or its parent",
        limit="recordings",
        out="folder for the head (default: write nothing)",
    )
    parser.add_argument("--members", type=int, default=1, help="attentive members of the head")
    given = parser.parse_args(arguments)
    result = train(
        given.data,
        given.out,
        seed=given.seed,
        limit=given.limit,
        members=given.members,
        say=command.sayer(given),
    )
    command.write(given, result)


if __name__ == "__main__":
    main()
