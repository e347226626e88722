from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from affectgraph.perceivers.errors import ModelCorruptError, SetupError
from affectgraph.perceivers.labels import MESC_7, LabelSet
from affectgraph.perceivers.text.encoder import MiniLMEncoder
from affectgraph.reasoners.context import Exchange, ReasoningContext
from affectgraph.reasoners.contracts import LabelHead
from affectgraph.reasoners.heads.dialogue import DialogueHead, HeadWeights, lines_of
from affectgraph.reasoners.heads.features import Part, features
from affectgraph.reasoners.heads.lines import Line, turns
from affectgraph.reasoners.heads.perceptron import Perceptrons
from affectgraph.reasoners.heads.runs import HeadTask
from affectgraph.reasoners.heads.words import WordsReader
from affectgraph.reasoners.taxonomy import MESC_10

WIDE, COMPONENTS, TEXT = 799, 6, 4
PARTS: frozenset[Part] = frozenset({"emotions", "strategies", "words", "manner", "text"})


def weights(task: HeadTask, count: int) -> HeadWeights:
    """A head of random weights."""
    draw = np.random.default_rng(1)
    words = WordsReader(
        np.zeros(WIDE),
        draw.normal(size=(WIDE, COMPONENTS)) / 30,
        (draw.normal(size=(COMPONENTS, 7)), np.zeros(7)),
        (draw.normal(size=(COMPONENTS, 10)), np.zeros(10)),
    )
    lines = [Line(True, "Hm."), Line(False, "Yes?")]
    coded = words.code(lines, np.zeros((2, WIDE)), given=False, text=TEXT)
    wide = len(features(coded, turns(lines)[0], PARTS))
    net = Perceptrons(
        np.zeros(wide),
        np.ones(wide),
        (draw.normal(size=(2, wide, 3)), draw.normal(size=(2, 3))),
        (draw.normal(size=(2, 3, count)), draw.normal(size=(2, count))),
        draw.normal(size=(2, wide, count)) / 10,
    )
    return HeadWeights(task, PARTS, TEXT, words, net)


def test_the_thread_is_heard_in_sentences() -> None:
    context = ReasoningContext(
        utterance="It rains. Again!",
        history=(
            Exchange(said="Hello.", replied="Hi. How are you?"),
            Exchange(said="", replied=""),
        ),
    )
    lines = lines_of(context, 5)
    assert [line.text for line in lines] == ["Hello.", "Hi.", "How are you?", "It rains.", "Again!"]
    assert [line.person for line in lines] == [True, False, False, True, True]
    assert [line.text for line in lines_of(context, 0)] == ["It rains.", "Again!"]


def test_weights_come_back_as_they_were_written(tmp_path: Path) -> None:
    head = weights("strategy", 10)
    head.save(tmp_path / "head.safetensors")
    read = HeadWeights.load(tmp_path / "head.safetensors")
    assert (read.task, read.parts, read.text) == ("strategy", PARTS, TEXT)
    rows = np.random.default_rng(0).normal(size=(3, len(head.perceptrons.mean)))
    assert np.allclose(head.perceptrons.probs(rows), read.perceptrons.probs(rows), atol=1e-5)


def test_members_are_averaged() -> None:
    net = weights("strategy", 10).perceptrons
    rows = np.random.default_rng(0).normal(size=(3, len(net.mean)))
    assert net.each(rows).shape == (2, 3, 10)
    assert np.allclose(net.probs(rows), net.each(rows).mean(axis=0))
    assert np.allclose(net.probs(rows).sum(axis=1), 1)


def test_what_is_no_head_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(SetupError, match="no such head"):
        HeadWeights.load(tmp_path / "absent.safetensors")
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(ModelCorruptError):
        HeadWeights.load(tmp_path / "junk")
    save_file({"a": np.zeros(2, np.float32)}, str(tmp_path / "other"), {"format": "other"})
    with pytest.raises(ModelCorruptError, match="not the weights of a dialogue head"):
        HeadWeights.load(tmp_path / "other")


@pytest.fixture
def files(tmp_path: Path) -> dict[HeadTask, Path]:
    found: dict[HeadTask, Path] = {
        "user_emotion": tmp_path / "emotion.safetensors",
        "strategy": tmp_path / "strategy.safetensors",
    }
    weights("user_emotion", 7).save(found["user_emotion"])
    weights("strategy", 10).save(found["strategy"])
    return found


@pytest.mark.parametrize(("task", "labels"), [("user_emotion", MESC_7), ("strategy", MESC_10)])
async def test_a_head_reads_a_thread(
    files: dict[HeadTask, Path], task: HeadTask, labels: LabelSet
) -> None:
    head = DialogueHead(MiniLMEncoder(), weights=files[task], task=task)
    assert isinstance(head, LabelHead)
    assert (head.stage, head.labels) == (task, labels)
    context = ReasoningContext(utterance="The roof leaks.")
    alone = await head.read(context)
    assert alone is not None
    assert sum(alone.probs) == pytest.approx(1)
    past = (Exchange(said="I have moved.", replied="How is the new flat?"),)
    later = await head.read(context.model_copy(update={"history": past}))
    assert later is not None
    assert later != alone
    assert await head.read(ReasoningContext(utterance=" ")) is None


async def test_weights_of_the_other_label_are_refused(files: dict[HeadTask, Path]) -> None:
    with pytest.raises(SetupError, match="decides strategy, not user_emotion"):
        await DialogueHead(MiniLMEncoder(), weights=files["strategy"]).warm_up()


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(SetupError, match="longest"):
        DialogueHead(MiniLMEncoder(), weights=Path("x"), longest=-1)
