"""Any text classifier of transformers as a reader of words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectgraph.perceivers.adapters import Checkpoint, TransformersText
from affectgraph.perceivers.adapters.text import TextClassifier
from affectgraph.perceivers.contracts import Perceiver, TextReader
from affectgraph.perceivers.device import Device
from affectgraph.perceivers.errors import NodeError, SetupError
from affectgraph.perceivers.labels import EKMAN_7, GOEMOTIONS_28
from affectgraph.perceivers.turn import Turn

pytest.importorskip("transformers", reason="the extra 'gpu' is not installed")

AT = datetime(2026, 1, 1, tzinfo=UTC)
Make = Callable[..., Path]


async def by_hand(folder: Path, text: str) -> np.ndarray[Any, Any]:
    """What the library itself says of a text."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    def run() -> np.ndarray[Any, Any]:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
        with torch.inference_mode():
            return np.asarray(model(**inputs).logits[0].double())

    return await asyncio.to_thread(run)


async def test_it_says_what_the_library_says(text_checkpoint: Make) -> None:
    folder = text_checkpoint()
    reader = TransformersText(Checkpoint(folder))
    assert isinstance(reader, Perceiver)
    assert isinstance(reader, TextReader)
    text = "I am so happy today!"
    reading = await reader.perceive(Turn(text=text, at=AT))
    logits = await by_hand(folder, text)
    expected = np.exp(logits) / np.exp(logits).sum()
    assert reading.affect is not None
    assert reading.affect.distribution.label_set == "ekman-7"
    np.testing.assert_allclose(reading.affect.distribution.probs, expected, atol=1e-5)
    assert reading.affect.confidence == pytest.approx(expected.max(), abs=1e-5)
    assert (reading.covers, reading.model) == (len(text), "words")


async def test_the_temperature_softens(text_checkpoint: Make) -> None:
    folder = text_checkpoint()
    text = "the dog is gone"
    logits = await by_hand(folder, text) / 4
    reading = await TransformersText(Checkpoint(folder, temperature=4)).read(text, AT)
    assert reading.affect is not None
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(reading.affect.distribution.probs, expected, atol=1e-5)


async def test_a_model_of_several_labels_at_once_gives_each_its_own(text_checkpoint: Make) -> None:
    folder = text_checkpoint(GOEMOTIONS_28.labels, problem_type="multi_label_classification")
    reading = await TransformersText(Checkpoint(folder)).read("we won!", AT)
    sure = 1 / (1 + np.exp(-(await by_hand(folder, "we won!"))))
    assert reading.affect is not None
    assert reading.affect.distribution.label_set == "goemotions-28"
    np.testing.assert_allclose(reading.affect.distribution.probs, sure / sure.sum(), atol=1e-5)
    assert reading.affect.confidence == pytest.approx(sure.max(), abs=1e-5)


async def test_sessions_share_a_pass_and_none_hears_of_another(text_checkpoint: Make) -> None:
    texts = [
        "I am so happy today!",
        "The dog is gone.",
        "It was all my fault. Never again. We won!",
        "sad",
        "is it my fault?",
    ]
    alone = TransformersText(Checkpoint(text_checkpoint()))
    single = [await alone.read(text, AT) for text in texts]
    shared = TransformersText(Checkpoint(text_checkpoint()))
    await shared.warm_up()
    together = await asyncio.gather(*(shared.read(text, AT) for text in texts))
    assert shared.stats.batches < alone.stats.batches
    for one, other in zip(single, together, strict=True):
        assert one.affect is not None
        assert other.affect is not None
        np.testing.assert_allclose(
            one.affect.distribution.probs, other.affect.distribution.probs, atol=1e-5
        )
        assert other.affect.evidence[0].end == one.affect.evidence[0].end
    await shared.close()


async def test_the_evidence_is_the_sentence_that_speaks_most(text_checkpoint: Make) -> None:
    reader = TransformersText(Checkpoint(text_checkpoint()))
    sentences = ["The dog is gone.", "We won!", "It was all my fault."]
    reading = await reader.read(" ".join(sentences), AT)
    assert reading.affect is not None
    top = reading.affect.distribution.to(EKMAN_7).top
    alone = [(await reader.read(sentence, AT)).affect for sentence in sentences]
    best = max(range(3), key=lambda at: alone[at].distribution[top])  # type: ignore[union-attr]
    (evidence,) = reading.affect.evidence
    assert evidence.start is not None
    assert evidence.end is not None
    told = " ".join(sentences)[int(evidence.start) : int(evidence.end)]
    assert told == sentences[best]


async def test_a_long_text_is_read_to_its_end(text_checkpoint: Make) -> None:
    reader = TransformersText(Checkpoint(text_checkpoint()))
    long = "the dog is gone . " * 60
    reading = await reader.read(long + "we won ! we won !", AT)
    other = await reader.read(long + "never again . again .", AT)
    assert reading.affect is not None
    assert other.affect is not None
    assert reading.covers == len(long) + 17
    assert reading.affect.distribution != other.affect.distribution


async def test_a_tokenizer_that_tells_no_places_reads_a_long_text_to_its_end(
    text_checkpoint: Make,
) -> None:
    reader = TransformersText(Checkpoint(text_checkpoint(kind="bytes")))
    long = "the dog is gone. " * 60
    reading = await reader.read(long + "we won! we won!", AT)
    # Windows of 62 bytes at most, and the sentences of one of them.
    assert len(long) / 62 < reader.stats.items < 2 * len(long) / 62
    other = await reader.read(long + "never again. it was my fault.", AT)
    assert reading.affect is not None
    assert other.affect is not None
    assert reading.covers == len(long) + 15
    assert reading.affect.distribution != other.affect.distribution


@pytest.mark.parametrize("text", ["we won! never again. " * 20, "a" * 500, "é" * 500])
async def test_windows_that_are_counted_cover_a_text_without_a_gap(
    text_checkpoint: Make, text: str
) -> None:
    classifier = TextClassifier(Checkpoint(text_checkpoint(kind="bytes")))

    def cut() -> tuple[list[tuple[int, int]], list[int]]:
        windows = classifier.windows(text)
        tokenizer = classifier._loaded().processor
        return windows, [len(tokenizer(text[a:b])["input_ids"]) for a, b in windows]

    windows, tokens = await asyncio.to_thread(cut)
    assert [start for start, _ in windows] == [0, *(end for _, end in windows[:-1])]
    assert windows[-1][1] == len(text)
    assert max(tokens) <= 62 < sum(tokens)


@pytest.mark.parametrize(
    ("text", "reason"), [("  ...", "absent"), ("Сегодня мне грустно", "unsupported-language")]
)
async def test_what_cannot_be_read_is_not(text_checkpoint: Make, text: str, reason: str) -> None:
    reading = await TransformersText(Checkpoint(text_checkpoint())).read(text, AT)
    assert reading.abstention is not None
    assert reading.abstention.reason == reason


async def test_a_model_of_any_language_reads_any(text_checkpoint: Make) -> None:
    reader = TransformersText(Checkpoint(text_checkpoint()), any_language=True)
    assert (await reader.read("Сегодня мне грустно", AT)).affect is not None
    assert (await reader.read("...", AT)).abstention is not None


async def test_half_precision_stays_near(text_checkpoint: Make) -> None:
    folder, text = text_checkpoint(), "I am so sad today."
    full = await TransformersText(Checkpoint(folder)).read(text, AT)
    half = await TransformersText(Checkpoint(folder, device=Device(precision="bf16"))).read(
        text, AT
    )
    assert full.affect is not None
    assert half.affect is not None
    np.testing.assert_allclose(
        full.affect.distribution.probs, half.affect.distribution.probs, atol=0.05
    )
    assert full.affect.distribution != half.affect.distribution


async def test_a_checkpoint_without_a_trained_head_is_refused(text_checkpoint: Make) -> None:
    """The library would fill the head with random numbers and go on."""
    with pytest.raises(SetupError, match=r"headless: not trained for this: 2 of its weights"):
        await TransformersText(
            Checkpoint(text_checkpoint(name="headless", kind="headless"))
        ).warm_up()


async def test_labels_that_mean_nothing_are_refused(text_checkpoint: Make) -> None:
    folder = text_checkpoint(["LABEL_0", "LABEL_1"])
    with pytest.raises(SetupError, match="nothing is known of 'label 0'"):
        await TransformersText(Checkpoint(folder)).warm_up()
    told = TransformersText(Checkpoint(folder, labels={"LABEL_0": "joy", "LABEL_1": "sadness"}))
    reading = await told.read("we won!", AT)
    assert reading.affect is not None
    assert reading.affect.distribution["joy"] + reading.affect.distribution["sadness"] > 0.999


async def test_what_is_no_checkpoint_is_told(text_checkpoint: Make, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"holds no config\.json"):
        await TransformersText(Checkpoint(tmp_path / "nowhere")).warm_up()
    folder = text_checkpoint()
    (folder / "model.safetensors").write_bytes(b"cut short")
    with pytest.raises(SetupError, match="words: not a checkpoint"):
        await TransformersText(Checkpoint(folder)).warm_up()


async def test_a_pickle_is_not_opened(text_checkpoint: Make) -> None:
    import torch

    folder = text_checkpoint()
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(SetupError, match="words: not a checkpoint"):
        await TransformersText(Checkpoint(folder)).warm_up()


async def test_numbers_that_are_not_finite_are_told(text_checkpoint: Make) -> None:
    from safetensors.numpy import load_file, save_file

    folder = text_checkpoint()
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"][:] = np.nan
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(NodeError, match="not finite"):
        await TransformersText(Checkpoint(folder)).read("we won!", AT)


def test_too_short_a_window_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="max_tokens must be 8 or more"):
        TransformersText(Checkpoint(tmp_path), max_tokens=4)
