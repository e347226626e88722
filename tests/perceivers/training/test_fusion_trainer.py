from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.fusion import Pool
from affectgraph.perceivers.text.encoder import WEIGHTS, Encoding
from affectgraph.perceivers.training.fusion import main, train
from affectgraph.perceivers.training.fusion_context import Settings, Utterances
from affectgraph.perceivers.training.fusion_context import train as train_context
from affectgraph.perceivers.training.fusion_learn import Given, learn
from affectgraph.perceivers.training.fusion_mosi import by_agreement
from affectgraph.perceivers.training.fusion_words import WIDTH, Words, basic

QUICK = Settings(hidden=16, epochs=12, batch=8, drop_in=0.1, drop=0.1)


def dialogues(count: int, seed: int, *, noise: float = 1.0) -> Utterances:
    """Dialogues of six; the label of a row shows in the features of the row before it."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=6 * count)
    shown = np.where(
        np.arange(6 * count) % 6 == 5, rng.integers(2, size=6 * count), np.roll(labels, -1)
    )
    features = np.stack([2.0 * shown - 1, rng.normal(size=6 * count)], axis=1)
    features += noise * rng.normal(size=features.shape)
    return Utterances(features, labels, np.repeat(np.arange(count), 6))


def accuracy(logits: np.ndarray, truth: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == truth).mean())


def test_context_is_used_where_there_is_any() -> None:
    given, held, test = (dialogues(n, s, noise=0.3) for n, s in ((60, 0), (10, 1), (20, 2)))
    inner = np.arange(len(test.labels)) % 6 > 0
    found = {}
    for context in (True, False):
        settings = Settings(hidden=16, epochs=30, batch=4, drop_in=0.0, drop=0.0, context=context)
        model = train_context(given, held, 2, settings, seed=0)
        found[context] = accuracy(model.logits(test)[inner], test.labels[inner])
    assert found[True] > 0.85
    assert found[False] < 0.65


def test_a_seed_makes_a_run_repeatable_and_leaves_torchs_own_alone() -> None:
    import torch

    given, held = dialogues(20, 0), dialogues(8, 1)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, two = (train_context(given, held, 2, QUICK, seed=3).logits(held) for _ in range(2))
    assert torch.rand(1) == expected
    assert np.array_equal(one, two)


def corpus() -> tuple[dict[str, Given], np.ndarray]:
    """Two modalities that each tell something of their own row, and one that does not."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=900)
    sequence = np.repeat(np.arange(150), 6)
    parts = {}
    for name, sharp in (("text", 1.6), ("face", 1.2), ("speech", 0.0)):
        features = rng.normal(size=(900, 3)) + sharp * np.eye(3)[labels]
        rows = Utterances(features, labels, sequence)
        there = np.ones(900, np.bool_)
        if name == "face":
            there = sequence % 5 > 0
        parts[name] = Given(
            rows.only(sequence < 100), rows.only(sequence >= 100), there[sequence < 100],
            there[sequence >= 100], Settings(hidden=8, epochs=8, batch=8, context=False),
        )  # fmt: skip
    fold = np.where(sequence[sequence < 100] < 60, -1, 0)
    return parts, fold


def test_two_modalities_are_better_than_one_and_a_useless_one_does_no_harm() -> None:
    given, fold = corpus()
    learned = learn(given, fold, 3, (0, 1), lambda _: None)
    told = {
        names: accuracy(learned.told(names), learned.truth)
        for names in (("text",), ("text", "face"), ("text", "speech"), ("text", "face", "speech"))
    }
    assert told["text", "face"] > told[("text",)] + 0.03
    assert told["text", "speech"] >= told[("text",)] - 0.01
    assert told["text", "face", "speech"] >= told["text", "face"] - 0.02
    assert learned.pool.weights["speech+text"]["speech"] < 0.5


def test_a_row_without_the_modality_is_told_by_the_frequencies() -> None:
    given, fold = corpus()
    learned = learn(given, fold, 3, (0,), lambda _: None)
    absent = ~learned.there["face"]
    assert absent.any()
    assert np.allclose(learned.told(["face"])[absent], learned.shares)
    # With the words beside it such a row is told by the words alone.
    both = learned.told(["text", "face"])
    assert np.allclose(both[absent], learned.told(["text"])[absent])


def test_the_labels_of_the_test_rows_are_never_looked_at() -> None:
    given, fold = corpus()
    blind = {
        name: Given(
            each.learning,
            Utterances(each.test.features, np.zeros_like(each.test.labels), each.test.sequence),
            each.there,
            each.there_test,
            each.settings,
        )
        for name, each in given.items()
    }
    seen, unseen = (learn(which, fold, 3, (0,), lambda _: None) for which in (given, blind))
    names = list(given)
    assert np.array_equal(seen.told(names), unseen.told(names))
    one, two = (by_agreement(each, "text", "face") for each in (seen, unseen))
    assert np.array_equal(one.told(names), two.told(names))


def test_agreement_finds_out_what_knows_nothing() -> None:
    given, fold = corpus()
    learned = learn(given, fold, 3, (0,), lambda _: None)
    judged = by_agreement(learned, "text", "speech")
    assert judged.probs["speech"].max() < 0.6
    assert judged.pool.weights["speech+text"] == {"speech": 1.0, "text": 1.0}


class SomeEncoder:
    """Says something of every text; counts how many it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> list[Encoding]:
        self.asked += len(texts)
        return [self._encode(text) for text in texts]

    def _encode(self, text: str) -> Encoding:
        rng = np.random.default_rng(len(text))
        return Encoding(
            rng.normal(size=384).astype(np.float32), rng.normal(size=768).astype(np.float32),
            rng.dirichlet(np.ones(28)).astype(np.float32), np.full(3, 3, np.float32),
        )  # fmt: skip


async def test_words_are_encoded_once(tmp_path: Path) -> None:
    encoder, weights = SomeEncoder(), tmp_path / "encoder.onnx"
    await asyncio.to_thread(weights.write_bytes, b"one")
    words = Words(encoder, tmp_path / "cache", weights=weights)
    rows = await words.encode("some", ["a", "bb"])
    assert rows.shape == (2, WIDTH)
    assert np.array_equal(await words.encode("some", ["a", "bb"]), rows)
    assert encoder.asked == 2
    assert basic(rows).sum(axis=1) == pytest.approx(1)
    await asyncio.to_thread(weights.write_bytes, b"another")
    await words.encode("some", ["a", "bb"])
    assert encoder.asked == 4


@pytest.mark.data
@pytest.mark.parametrize("corpus", ["meld", "mosi"])
def test_end_to_end_on_a_small_slice(
    data_root: Path, tmp_path: Path, corpus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not WEIGHTS.is_file():
        pytest.skip("the encoder's weights are not shipped here")
    out, cache = tmp_path / "out", tmp_path / "cache"
    main(
        ["--data", str(data_root), "--corpus", corpus, "--limit", "120", "--json",
         "--out", str(out), "--cache", str(cache)]
    )  # fmt: skip
    printed, progress = capsys.readouterr()
    report = json.loads(printed)
    assert report["name"] == f"fusion-{corpus}"
    assert progress == ""
    assert "majority" in report["baselines"]
    # What is kept makes a second run, without an encoder, say the same.
    again = train(corpus, data_root, cache=cache, encoder=_Silent(), limit=120)
    assert json.loads(json.dumps(again)) == report
    if corpus == "meld":
        assert set(Pool.load(out / "late.json").weights) == {
            "face+speech", "face+text", "speech+text", "face+speech+text",
        }  # fmt: skip


class _Silent:
    async def encode_all(self, texts: Sequence[str], *, keep: bool = True) -> list[Encoding]:
        raise AssertionError("nothing is left to encode")
