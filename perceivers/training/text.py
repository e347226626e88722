"""Train, quantise, calibrate and test the text encoder on GoEmotions and EmoBank.

Run::

    affectgraph models pull minilm
    python -m affectgraph.perceivers.training.text --data DIR --out DIR

``DIR`` holds ``goemotions`` and ``emobank``. Three heads are trained at once over one MiniLM:
GoEmotions' 28 labels, EmoBank's valence, arousal and dominance, and an embedding that stays near
the original's. Temperature, thresholds and the alignment of the axes are fitted on the
validation splits, on the int8 graph that is shipped; the test splits are opened once, at the end.
Progress goes to standard error; standard output is one JSON object. Needs the extra ``train``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from affectgraph.perceivers.affect import Distribution, expected_vad
from affectgraph.perceivers.corpora import emobank, goemotions
from affectgraph.perceivers.corpora.emobank import RatedTexts
from affectgraph.perceivers.corpora.goemotions import LabelledTexts, ekman
from affectgraph.perceivers.errors import ExtraMissingError
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28
from affectgraph.perceivers.models import ModelStore
from affectgraph.perceivers.text.affect_onnx import quantised, set_temperature
from affectgraph.perceivers.text.encoder import TOKENIZER, VERSION, WEIGHTS
from affectgraph.perceivers.text.network import TextNetwork
from affectgraph.perceivers.text.original import MODEL, OriginalMiniLM
from affectgraph.perceivers.text.scale import FACTS
from affectgraph.perceivers.training import command
from affectgraph.perceivers.training.calibration import fit_temperature
from affectgraph.perceivers.training.command import Say
from affectgraph.perceivers.training.text_scores import (
    PUBLISHED,
    Metrics,
    baselines,
    emotion_scores,
    soft,
    thresholds,
    vad_scores,
)

if TYPE_CHECKING:
    from affectgraph.perceivers.training.text_fit import Config

Matrix = NDArray[np.floating[Any]]
_LONGEST: Final = 256


@dataclass(frozen=True)
class _Read:
    """What the graph says of texts: probs (n, 28), vad (n, 3)."""

    probs: Matrix
    vad: Matrix


@dataclass(frozen=True)
class Corpora:
    """Both corpora, by split."""

    emotions: Mapping[str, LabelledTexts]
    rated: Mapping[str, RatedTexts]

    @classmethod
    def load(cls, data: Path, limit: int = 0) -> Corpora:
        """Read them from the folder that holds both."""
        splits: tuple[goemotions.Split, ...] = ("train", "dev", "test")
        return cls(
            {split: goemotions.load(data, split, limit=limit) for split in splits},
            {split: emobank.load(data, split, limit=limit // 5) for split in splits},
        )


def read(network: TextNetwork, texts: Sequence[str]) -> _Read:
    """Run texts through a graph, one by one as the agent does."""
    rows = network.run(texts)
    return _Read(
        *(np.stack([row[name] for row in rows]).astype(np.float64) for name in ("probs", "vad"))
    )


def align(read_: _Read, labels: Matrix) -> dict[str, list[float]]:
    """The line from EmoBank's axes to those of the anchors, from GoEmotions' validation texts.

    Texts that are labelled neutral lie at 0 in the mean, and the spread over all texts is that of
    the anchors of their labels.
    """
    neutral = labels[:, GOEMOTIONS_28.labels.index("neutral")] > 0
    centre = read_.vad[neutral if neutral.any() else slice(None)].mean(axis=0)
    anchors = []
    for row in soft(labels):
        weights = dict(zip(GOEMOTIONS_28.labels, row.tolist(), strict=True))
        vad = expected_vad(Distribution.over(GOEMOTIONS_28, weights))
        anchors.append((vad.valence, vad.arousal, vad.dominance))
    slope = np.std(anchors, axis=0) / np.maximum(read_.vad.std(axis=0), 1e-6)
    return {"centre": centre.round(4).tolist(), "slope": slope.round(4).tolist()}


def run(data: Path, out: Path, config: Config, say: Say, *, limit: int = 0) -> dict[str, Any]:
    """Train, quantise, calibrate, test; write the encoder and its facts into ``out``.

    Returns:
        ``{"name", "settings", "rows", "metrics", "baselines"}``, ready for JSON.

    Raises:
        ExtraMissingError: If torch or transformers is not installed.
        ModelMissingError: If ``minilm`` is not pulled.
        SetupError: If the data are not there.
    """
    for package in ("torch", "transformers", "sklearn"):
        if find_spec(package) is None:
            raise ExtraMissingError("the text trainer", "train")
    from affectgraph.perceivers.training.text_fit import Lessons, fit

    corpora = Corpora.load(data, limit)
    train = corpora.rated["train"].vad
    mean, scale = train.mean(axis=0), train.std(axis=0)
    lessons = Lessons(
        corpora.emotions["train"].texts,
        corpora.emotions["train"].labels,
        corpora.rated["train"].texts,
        (train - mean) / scale,
    )
    store = ModelStore()
    folder = store.path(MODEL, "model.safetensors").parent
    out.mkdir(parents=True, exist_ok=True)
    net = fit(lessons, folder, OriginalMiniLM(store, max_tokens=_LONGEST), config, out, say)
    shutil.copy(folder / TOKENIZER, out / TOKENIZER)
    quantised(net.exported(mean, scale), out / WEIGHTS.name)
    say("quantised; reading the validation and test splits")
    facts, metrics = finish(out, corpora)
    return {
        "name": VERSION,
        "settings": {**vars(config), "temperature": facts["temperature"]},
        "rows": {split: len(part.texts) for split, part in corpora.emotions.items()},
        "metrics": metrics,
        "baselines": {
            **baselines(
                corpora.emotions["train"].labels, corpora.emotions["test"].labels, config.seed
            ),
            **PUBLISHED,
        },
    }


def finish(out: Path, corpora: Corpora) -> tuple[dict[str, Any], dict[str, Metrics]]:
    """Calibrate the graph in ``out`` on the validation splits, then open the test splits.

    Returns:
        The facts that are kept beside the weights, and the figures by split.
    """
    graph = out / WEIGHTS.name
    set_temperature(graph, 1.0)
    labels = corpora.emotions["dev"].labels
    raw = read(TextNetwork(graph, out / TOKENIZER, _LONGEST), corpora.emotions["dev"].texts)
    # At temperature 1 the logarithms of the probabilities are the logits, up to a shift.
    temperature = fit_temperature(np.log(np.maximum(raw.probs, 1e-12)), soft(labels))
    set_temperature(graph, temperature)
    network = TextNetwork(graph, out / TOKENIZER, _LONGEST)
    seen = {split: read(network, corpora.emotions[split].texts) for split in ("dev", "test")}
    dev = seen["dev"]
    cuts = thresholds(dev.probs, labels), thresholds(dev.probs @ ekman(), labels @ ekman())
    metrics = {}
    for split, told in seen.items():
        metrics[split] = emotion_scores(told.probs, corpora.emotions[split].labels, *cuts)
        rated = corpora.rated[split]
        metrics[split] |= vad_scores(read(network, rated.texts).vad, rated.vad)
    facts = {
        "version": VERSION,
        "temperature": round(temperature, 4),
        "alignment": align(dev, labels),
        "thresholds": dict(zip(GOEMOTIONS_28.labels, cuts[0].round(4).tolist(), strict=True)),
        "thresholds_ekman": dict(zip(EKMAN_7.labels, cuts[1].round(4).tolist(), strict=True)),
    }
    (out / FACTS.name).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return facts, metrics


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = command.options(
        "text",
        "Train the text encoder.",
        data="folder with both corpora",
        limit="comments of each split",
        out="folder for the results",
        out_required=True,
    )
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int)
    given = parser.parse_args(arguments)
    if find_spec("torch") is None:
        raise ExtraMissingError("the text trainer", "train")
    from affectgraph.perceivers.training.text_fit import Config

    chosen = {
        name: value
        for name in ("epochs", "seed", "threads")
        if (value := getattr(given, name)) is not None
    }
    say = command.sayer(given)
    command.write(given, run(given.data, given.out, Config(**chosen), say, limit=given.limit))


if __name__ == "__main__":
    main()
